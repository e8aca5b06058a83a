/*
 * libiotda for C++: what a function returns, and the other enumerations of all calls; the version of the header.
 * Every other header includes this one. What a call returns beside its status is in outcome.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_STATUS_HPP
#define IOTDA_STATUS_HPP

#include "../iotda.h"

#include <cstdint>

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "libiotda needs C++17"
#endif

/* Says to a compiler that knows it that what is made refers to the argument. */
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define IOTDA_LIFETIMEBOUND [[clang::lifetimebound]]
#endif
#endif
#ifndef IOTDA_LIFETIMEBOUND
#define IOTDA_LIFETIMEBOUND
#endif

/*
 * The version of this header, as a namespace inside of iotda: what is compiled with one version of the header is not
 * taken for what is compiled with another, whose types differ, where both are linked into one program.
 */
#define IOTDA_HPP_VERSION v0_1_0

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

/** What a function returns, by what a caller does about it; the numbers and texts are those of iotda.h. */
enum class Status : iotda_status_t {
    ok = IOTDA_OK,
    invalid_argument = IOTDA_E_INVALID_ARGUMENT,
    too_large = IOTDA_E_TOO_LARGE,
    config = IOTDA_E_CONFIG,
    dns = IOTDA_E_DNS,
    connect = IOTDA_E_CONNECT,
    tls = IOTDA_E_TLS,
    clock = IOTDA_E_CLOCK,
    timeout = IOTDA_E_TIMEOUT,
    cancelled = IOTDA_E_CANCELLED,
    auth_failed = IOTDA_E_AUTH_FAILED,
    token_rejected = IOTDA_E_TOKEN_REJECTED,
    rate_limited = IOTDA_E_RATE_LIMITED,
    unknown_child = IOTDA_E_UNKNOWN_CHILD,
    rejected = IOTDA_E_REJECTED,
    server = IOTDA_E_SERVER,
    protocol = IOTDA_E_PROTOCOL,
    partial = IOTDA_E_PARTIAL,
    storage = IOTDA_E_STORAGE,
    forked = IOTDA_E_FORKED,
    internal = IOTDA_E_INTERNAL,
    full = IOTDA_E_FULL,
    expired = IOTDA_E_EXPIRED,
};

/** The name of a status, such as "IOTDA_E_RATE_LIMITED". Terminated, and valid for as long as the program runs. */
[[nodiscard]] inline const char *status_name(Status status) noexcept {
    return iotda_status_name(static_cast<iotda_status_t>(status));
}

/** One plain sentence that says what a status means. Terminated, and valid for as long as the program runs. */
[[nodiscard]] inline const char *status_text(Status status) noexcept {
    return iotda_status_text(static_cast<iotda_status_t>(status));
}

/**
 * Whether to keep what was to be reported and send it later (true), or to drop it (false): false for a verdict on the
 * data itself, and for Status::ok. After Status::partial, ask for the status of each child.
 */
[[nodiscard]] inline bool is_transient(Status status) noexcept {
    return iotda_status_is_transient(static_cast<iotda_status_t>(status));
}

/** The library's version, such as "0.1.0". Valid for as long as the program runs. */
[[nodiscard]] inline const char *version() noexcept {
    return iotda_version();
}

/** How much a log line matters; see Config::set_log. */
enum class LogLevel : std::int32_t {
    error = IOTDA_LOG_ERROR,
    warning = IOTDA_LOG_WARNING,
    info = IOTDA_LOG_INFO,
    debug = IOTDA_LOG_DEBUG,
};

/** Who authenticates; see Config::set_authentication. */
enum class Authentication : std::int32_t {
    when_needed = IOTDA_AUTHENTICATE_WHEN_NEEDED,
    when_asked = IOTDA_AUTHENTICATE_WHEN_ASKED,
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_STATUS_HPP */
