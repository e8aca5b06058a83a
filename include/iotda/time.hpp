/*
 * libiotda for C++: times and durations of std::chrono as the library takes them. Times are bounded here, since
 * converting what is far away would overflow; which event times a report can have is said in service.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_TIME_HPP
#define IOTDA_TIME_HPP

#include "status.hpp"

#include <chrono>
#include <cstdint>
#include <limits>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

/** The time of day, UTC. What measures it in C++17 counts from 1970, as C++20 then demands. */
using SystemTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

namespace detail {

/* Rounded up, and bounded. By floating point, since the largest durations are beyond any integer. */
template <class Rep, class Period>
std::uint32_t milliseconds(std::chrono::duration<Rep, Period> duration) noexcept {
    constexpr std::uint32_t most = (std::numeric_limits<std::uint32_t>::max)();
    const auto exact = std::chrono::duration<double, std::milli>(duration).count();
    if (!(exact > 0))
        return 0;
    if (exact >= static_cast<double>(most))
        return most;
    const auto whole = static_cast<std::uint32_t>(exact);
    return static_cast<double>(whole) < exact ? whole + 1 : whole;
}

/* Of milliseconds() whole seconds, rounded up. */
template <class Rep, class Period>
std::uint32_t seconds(std::chrono::duration<Rep, Period> duration) noexcept {
    const auto ms = milliseconds(duration);
    return ms / 1000 + (ms % 1000 != 0 ? 1 : 0);
}

/* Bounded, since the conversion of what is far away would overflow. */
template <class Duration>
std::int64_t unix_ms(std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept {
    const auto since_1970 = time.time_since_epoch();
    const auto exact = std::chrono::duration<double, std::milli>(since_1970).count();
    if (!(exact > -9e15 && exact < 9e15))
        return exact > 0 ? std::int64_t{9000000000000000} : std::int64_t{-9000000000000000};
    return std::int64_t{std::chrono::floor<std::chrono::milliseconds>(since_1970).count()};
}

/* An event time that no report can have; not that of none, as the time point of zero would be. */
inline constexpr std::int64_t no_event_time = (std::numeric_limits<std::int64_t>::min)();

/* Of the years 2000 to 9999. */
template <class Duration>
std::int64_t
event_time_ms(std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept {
    const auto ms = unix_ms(time);
    return ms >= 946684800000 && ms <= 253402300799999 ? ms : no_event_time;
}

} // namespace detail

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_TIME_HPP */
