/*
 * libiotda for C++: statuses as std::error_code. It has the status alone; message, platform code and waits are in the
 * Outcome.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_ERROR_CODE_HPP
#define IOTDA_ERROR_CODE_HPP

#include "status.hpp"

#include <new>
#include <string>
#include <system_error>
#include <type_traits>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

namespace detail {

class Category final : public std::error_category {
  public:
    [[nodiscard]] const char *name() const noexcept override {
        return "iotda";
    }
    [[nodiscard]] std::string message(int status) const override {
        return status_text(Status{status});
    }
    [[nodiscard]] std::error_condition default_error_condition(int status) const noexcept override {
        switch (Status{status}) {
        case Status::invalid_argument:
            return std::errc::invalid_argument;
        case Status::too_large:
            return std::errc::message_size;
        case Status::connect:
            return std::errc::not_connected;
        case Status::timeout:
            return std::errc::timed_out;
        case Status::cancelled:
            return std::errc::operation_canceled;
        case Status::auth_failed:
        case Status::token_rejected:
            return std::errc::permission_denied;
        case Status::protocol:
            return std::errc::protocol_error;
        case Status::storage:
            return std::errc::io_error;
        case Status::full:
            return std::errc::no_space_on_device;
        default:
            return {status, *this};
        }
    }
};

} // namespace detail

/** The category of statuses, "iotda". It is there to the very end of the program. */
[[nodiscard]] inline const std::error_category &error_category() noexcept {
    alignas(detail::Category) static unsigned char place[sizeof(detail::Category)];
    static const auto *category = new (place) detail::Category();
    return *category;
}

/**
 * A status as an error code, which it also becomes by itself: std::error_code code = outcome.status(). Where
 * std::errc has one of the same meaning, the code compares equal to it: Status::timeout to std::errc::timed_out.
 */
[[nodiscard]] inline std::error_code make_error_code(Status status) noexcept {
    return {static_cast<int>(status), error_category()};
}

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

template <> struct std::is_error_code_enum<iotda::Status> : std::true_type {};

#endif /* IOTDA_ERROR_CODE_HPP */
