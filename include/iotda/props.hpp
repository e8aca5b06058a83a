/*
 * libiotda for C++: a JSON object of properties, built member by member.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_PROPS_HPP
#define IOTDA_PROPS_HPP

#include "handle.hpp"
#include "text.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

namespace detail {

/* What Props::add takes for a number: no characters. */
template <class T>
struct IsNumber : std::bool_constant<std::is_floating_point_v<T> ||
                                     (std::is_integral_v<T> && sizeof(T) <= sizeof(std::int64_t))> {
};
template <> struct IsNumber<char> : std::false_type {};
template <> struct IsNumber<wchar_t> : std::false_type {};
template <> struct IsNumber<char16_t> : std::false_type {};
template <> struct IsNumber<char32_t> : std::false_type {};
#ifdef __cpp_char8_t
template <> struct IsNumber<char8_t> : std::false_type {};
#endif

} // namespace detail

/**
 * A JSON object of properties, built member by member. Numbers are written as JSON demands, whatever the
 * locale; text is escaped. It can be cleared and filled again, which keeps its memory.
 *
 * Integers are of any type up to 64 bits, signed or not. A float has the fewest digits that read back as the same
 * float, a double those of a double. NaN and infinities are refused: JSON has none. A name that is there already is
 * refused: clear a Props before it is filled again.
 *
 * A temporary one can be filled and kept: auto props = iotda::Props().add("Height", 124);
 */
class Props {
    template <class T> using Number = std::enable_if_t<detail::IsNumber<T>::value, int>;

  public:
    Props() noexcept : handle_(iotda_props_new()) {}

    /**
     * Adds a member. A member that is refused is left out and remembered: failed() is its name, reason() why, and a
     * report of these properties fails with Status::invalid_argument and that reason, until clear() is called. Never
     * blocks.
     */
    template <class T, Number<T> = 0> Props &add(const TextArgument &name, T value) & {
        return remember(
            name, try_add(name, value), [&](Props &other) { return other.try_add(name, value); },
            reason_of(value));
    }
    /** Adds text. A std::string_view is copied. */
    Props &add(const TextArgument &name, const TextArgument &value) & {
        return remember(
            name, try_add(name, value), [&](Props &other) { return other.try_add(name, value); },
            "its text is not UTF-8");
    }
    /** Adds any JSON value, checked and otherwise as it is written. A std::string_view is copied. */
    Props &add_json(const TextArgument &name, const TextArgument &json) & {
        return remember(
            name, try_add_json(name, json),
            [&](Props &other) { return other.try_add_json(name, json); },
            "its value is not JSON, or nested too deep");
    }
    template <class T, Number<T> = 0>
    [[nodiscard]] Props add(const TextArgument &name, T value) && {
        return std::move(add(name, value));
    }
    [[nodiscard]] Props add(const TextArgument &name, const TextArgument &value) && {
        return std::move(add(name, value));
    }
    [[nodiscard]] Props add_json(const TextArgument &name, const TextArgument &json) && {
        return std::move(add_json(name, json));
    }

    /** As add and add_json, but a failure is returned and not remembered. */
    template <class T, Number<T> = 0>
    [[nodiscard]] Status try_add(const TextArgument &name, T value) noexcept {
        if constexpr (std::is_same_v<T, bool>) {
            return Status{iotda_props_add_boolean(handle_.get(), name.c_str(), value)};
        } else if constexpr (std::is_same_v<T, float>) {
            return Status{iotda_props_add_float(handle_.get(), name.c_str(), value)};
        } else if constexpr (std::is_floating_point_v<T>) {
            const auto widened = static_cast<double>(value);
            return Status{iotda_props_add_double(handle_.get(), name.c_str(), widened)};
        } else if constexpr (std::is_unsigned_v<T> && sizeof(T) >= sizeof(std::int64_t)) {
            /* Beyond the integers of iotda.h, and not beyond those of JSON. */
            char digits[24] = "";
            std::to_chars(digits, digits + sizeof digits - 1, value);
            return Status{iotda_props_add_json(handle_.get(), name.c_str(), digits)};
        } else {
            return Status{iotda_props_add_integer(handle_.get(), name.c_str(), value)};
        }
    }
    [[nodiscard]] Status try_add(const TextArgument &name, const TextArgument &value) noexcept {
        return Status{iotda_props_add_string(handle_.get(), name.c_str(), value.c_str())};
    }
    [[nodiscard]] Status try_add_json(const TextArgument &name, const TextArgument &json) noexcept {
        return Status{iotda_props_add_json(handle_.get(), name.c_str(), json.c_str())};
    }

    /** Removes all members, and forgets a failure. */
    void clear() noexcept {
        iotda_props_clear(handle_.get());
        failure_ = Status::ok;
        failed_.clear();
        refusal_.clear();
    }

    /** Why the first member was refused that was; Status::ok if none was. */
    [[nodiscard]] Status status() const noexcept {
        return failure_;
    }
    /** The name of the first member that was refused; "" if none was. Valid until this is changed. */
    [[nodiscard]] const std::string &failed() const & noexcept IOTDA_LIFETIMEBOUND {
        return failed_;
    }
    const std::string &failed() const && = delete;
    /** Why, as the message of a report would have it; "" if none was. Valid until this is changed. */
    [[nodiscard]] const char *reason() const & noexcept IOTDA_LIFETIMEBOUND {
        return refusal_.empty() ? "" : refusal_.c_str() + 1;
    }
    const char *reason() const && = delete;

    /**
     * The object, with the members that were not refused. It belongs to this builder; valid until that is changed.
     * NULL without memory, or if this was moved from.
     */
    [[nodiscard]] CStringView json() const & noexcept IOTDA_LIFETIMEBOUND {
        return iotda_props_json(handle_.get());
    }
    CStringView json() const && = delete;

    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] iotda_props_t *native_handle() const noexcept {
        return handle_.get();
    }

  private:
    friend struct Service;

    template <class T> static const char *reason_of(T value) noexcept {
        /* By comparison: for one function, <cmath> is too much to compile. */
        using Limits = std::numeric_limits<T>;
        if constexpr (std::is_floating_point_v<T>)
            if (!(value >= Limits::lowest() && value <= (Limits::max)()))
                return "it is NaN or infinite, which JSON has not";
        return "its name is empty or not UTF-8";
    }

    /* What would be taken by an object without members is there already. */
    template <class Again>
    Props &remember(const TextArgument &name, Status status, Again again, const char *reason) {
        if (status == Status::ok || failure_ != Status::ok)
            return *this;
        failure_ = status;
        failed_ = name.c_str() == nullptr || detail::refusal(name.c_str()) ? "" : name.c_str();
        Props other;
        if (handle_.get() == nullptr)
            reason = "the Props is empty: there was no memory, or it was moved from";
        else if (status == Status::internal)
            reason = "there is no memory for it";
        else if (again(other) == Status::ok)
            reason = "there is one of this name already: clear the Props before it is filled again";
        refusal_ = detail::refused;
        refusal_.append("leave out or correct the property \"")
            .append(failed_.substr(0, 64))
            .append("\": ");
        refusal_.append(reason);
        return *this;
    }

    detail::Handle<iotda_props_t> handle_;
    Status failure_ = Status::ok;
    std::string failed_;
    /* As Service passes it on: see detail::refused. */
    std::string refusal_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_PROPS_HPP */
