/*
 * libiotda for C++: who owns what the library hands out, and what it is given to keep.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_HANDLE_HPP
#define IOTDA_HANDLE_HPP

#include "status.hpp"

#include <cstddef>
#include <type_traits>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

namespace detail {

template <class F, class = void> struct CanBeEmpty : std::false_type {};
template <class F>
struct CanBeEmpty<F, std::void_t<decltype(std::declval<const F &>() == nullptr)>>
    : std::bool_constant<std::is_pointer_v<F> || std::is_constructible_v<F, std::nullptr_t>> {};

/* Whether there is nothing to call: an empty std::function, or a pointer to no function. */
template <class F> bool is_empty(const F &callable) noexcept {
    if constexpr (CanBeEmpty<F>::value)
        return callable == nullptr;
    else
        return false;
}

template <class F> void destroy(void *callable) noexcept {
    delete static_cast<F *>(callable);
}

struct Free {
    void operator()(iotda_config_t *config) const noexcept {
        iotda_config_free(config);
    }
    void operator()(iotda_client_t *client) const noexcept {
        iotda_close(client);
    }
    void operator()(iotda_props_t *props) const noexcept {
        iotda_props_free(props);
    }
    void operator()(iotda_cancel_t *cancel) const noexcept {
        iotda_cancel_free(cancel);
    }
    void operator()(iotda_outbox_t *outbox) const noexcept {
        iotda_outbox_close(outbox);
    }
};

/* Owns what the library handed out, as a std::unique_ptr would, whose five instances were a seventh of the compile time. */
template <class T> class Handle {
  public:
    Handle() noexcept = default;
    explicit Handle(T *object) noexcept : object_(object) {}
    Handle(Handle &&other) noexcept : object_(other.object_) {
        other.object_ = nullptr;
    }
    Handle &operator=(Handle &&other) noexcept {
        if (this != &other) {
            Free()(object_);
            object_ = other.object_;
            other.object_ = nullptr;
        }
        return *this;
    }
    ~Handle() {
        Free()(object_);
    }

    [[nodiscard]] T *get() const noexcept {
        return object_;
    }
    void reset() noexcept {
        *this = Handle();
    }

  private:
    T *object_ = nullptr;
};

} // namespace detail

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_HANDLE_HPP */
