/*
 * libiotda for C++17 and later: report to Huawei Cloud IoTDA over HTTPS.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_HPP
#define IOTDA_HPP

#include "iotda.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "iotda.hpp needs C++17"
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

/*
 * How to use it
 *
 *   iotda::Config config;
 *   config.set_endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")
 *       .set_device(device_id, secret);
 *   auto client = iotda::Client::make(config);
 *   if (!client)
 *       return fail(client.message());
 *
 *   iotda::Props props;
 *   props.add("Height", 124).add("Speed", 23.24);
 *   if (auto sent = client->report_props({"weather", props}, 5s); !sent)
 *       return fail(sent.message());
 *
 * This header is all there is: it calls the functions of iotda.h, and adds no library of its own. What
 * a function does beyond what is said here, and each status that it can return, is told in iotda.h at
 * the function of the same name.
 *
 * Errors: nothing throws, but for std::bad_alloc where a function says that it copies. The header works
 * with -fno-exceptions and -fno-rtti. A function that can fail returns an Outcome, or a Result, which is
 * an Outcome with a value; it must not be ignored. Setters and Props::add are chained instead: their
 * failure is remembered, and returned by the call that uses what was set.
 *
 * Ownership: Config, Client, Props and Cancel own their handle and can be moved and not copied. Moved
 * from, they are empty: every call on one is refused with Status::invalid_argument, and does no harm.
 * Arguments are borrowed for the call alone, but for Service and Child, which refer to what they were
 * made of.
 *
 * Threads: any number of threads may use a Client or a Cancel at the same time, though not move, assign
 * or destroy it meanwhile. All other objects are for one thread at a time.
 *
 * Text: the library takes terminated text. A const char* or a std::string is passed on as it is; a
 * std::string_view, which has no end of its own, is copied where a function says so. All text is UTF-8.
 * A text with a zero byte in it is refused (Status::invalid_argument), never cut; so is a null pointer, and an
 * array of char without a zero byte.
 *
 * Time: every duration is a std::chrono one. It is rounded up to the next millisecond and bounded by
 * 2^32 - 1 ms; less than nothing is nothing.
 */
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

/** The time of day, UTC. What measures it in C++17 counts from 1970, as C++20 then demands. */
using SystemTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

namespace detail {

/* What holds no elements of its own: a span, a string_view. It is as small as that, and can be copied as bytes. */
template <class C>
struct IsView : std::bool_constant<std::is_trivially_copyable_v<std::remove_reference_t<C>> &&
                                   sizeof(C) <= 2 * sizeof(void *)> {};
template <class T, std::size_t N> struct IsView<std::array<T, N>> : std::false_type {};
template <class T, std::size_t N> struct IsView<const std::array<T, N>> : std::false_type {};

/* A pointer to characters. Not an array, whose end is known. */
template <class T>
using IsTextPointer =
    std::bool_constant<std::is_same_v<T, const char *> || std::is_same_v<T, char *>>;

/* How many characters an array has before its first zero byte; all of them, if there is none. */
inline std::size_t bounded_length(const char *array, std::size_t size) noexcept {
    const void *end = size == 0 ? nullptr : std::memchr(array, 0, size);
    return end == nullptr ? size : static_cast<std::size_t>(static_cast<const char *>(end) - array);
}

} // namespace detail

/**
 * Elements one after the other that belong to somebody else: a pointer and a number, as std::span of
 * C++20. Made of an array, and of whatever has data() and size(): std::vector, std::array, std::span.
 */
template <class T> class Span {
    template <class C>
    using PointerOf = std::remove_pointer_t<decltype(std::declval<C &>().data())>;

    /* Not of a derived class: its elements have another size. And no temporary that could be written to. */
    template <class C>
    using RefersToElements = std::conjunction<
        std::is_convertible<PointerOf<C> (*)[], T (*)[]>,
        std::disjunction<std::is_lvalue_reference<C>, std::is_const<T>, detail::IsView<C>>>;

  public:
    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N>
    constexpr Span(T (&array IOTDA_LIFETIMEBOUND)[N]) noexcept : Span(array, N) {}
    template <class C, class = decltype(std::declval<C &>().size()),
              std::enable_if_t<RefersToElements<C>::value, int> = 0>
    constexpr Span(C &&container IOTDA_LIFETIMEBOUND) noexcept
        : Span(container.data(), container.size()) {}

    [[nodiscard]] constexpr T *data() const noexcept {
        return data_;
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return size_;
    }
    [[nodiscard]] constexpr bool empty() const noexcept {
        return size_ == 0;
    }
    [[nodiscard]] constexpr T &operator[](std::size_t index) const noexcept {
        return data_[index];
    }
    [[nodiscard]] constexpr T *begin() const noexcept {
        return data_;
    }
    [[nodiscard]] constexpr T *end() const noexcept {
        return data_ + size_;
    }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/**
 * Bytes that belong to somebody else: a secret, a message, PEM text. Made of text, and of whatever has
 * data() and size() and elements of one byte. An array of char is taken for text that ends at its first
 * zero byte, as a string literal does, or at its end; {data, size} says otherwise. A null const char * is refused by
 * the function that is given it.
 */
class Bytes {
    template <class T>
    static constexpr bool is_byte =
        std::is_same_v<T, char> || std::is_same_v<T, signed char> ||
        std::is_same_v<T, unsigned char> || std::is_same_v<T, std::byte>;
    template <class C>
    using ElementOf =
        std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const C &>().data())>>;

  public:
    constexpr Bytes() noexcept = default;
    constexpr Bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /* A null pointer to a byte is what the library refuses. */
    template <class T, std::enable_if_t<detail::IsTextPointer<T>::value, int> = 0>
    Bytes(const T &text) noexcept : data_(text), size_(text == nullptr ? 1 : std::strlen(text)) {}
    Bytes(std::nullptr_t) = delete;
    template <std::size_t N>
    Bytes(const char (&text IOTDA_LIFETIMEBOUND)[N]) noexcept
        : Bytes(static_cast<const void *>(text), detail::bounded_length(text, N)) {}
    template <class T, std::size_t N,
              std::enable_if_t<is_byte<T> && !std::is_same_v<T, char>, int> = 0>
    constexpr Bytes(const T (&array IOTDA_LIFETIMEBOUND)[N]) noexcept
        : Bytes(static_cast<const void *>(array), N) {}
    template <class C, class = decltype(std::declval<const C &>().size()),
              std::enable_if_t<is_byte<ElementOf<C>>, int> = 0>
    constexpr Bytes(const C &container IOTDA_LIFETIMEBOUND) noexcept
        : Bytes(static_cast<const void *>(container.data()), container.size()) {}

    [[nodiscard]] constexpr const void *data() const noexcept {
        return data_;
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return size_;
    }

  private:
    const void *data_ = nullptr;
    std::size_t size_ = 0;
};

namespace detail {

/*
 * What is not UTF-8 begins with this, and is refused by the library. Behind it stands what is wrong, which then becomes
 * the message of the call.
 */
inline constexpr char refused = '\xff';
inline constexpr const char *not_text =
    "\xff"
    "pass a text that ends with its first zero byte: it holds one before its end, or has none";

/* The reason for which a text is refused; NULL: it is not, as far as is known here. */
inline const char *refusal(const char *text) noexcept {
    return text != nullptr && *text == refused ? text + 1 : nullptr;
}

inline bool has_zero_byte(std::string_view text) noexcept {
    return !text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr;
}

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

/* Bounded, since the conversion of what is far away would overflow. */
template <class Duration>
std::int64_t unix_ms(std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept {
    const auto since_1970 = time.time_since_epoch();
    const auto exact = std::chrono::duration<double, std::milli>(since_1970).count();
    if (!(exact > -9e15 && exact < 9e15))
        return exact > 0 ? std::int64_t{9000000000000000} : std::int64_t{-9000000000000000};
    return std::int64_t{std::chrono::floor<std::chrono::milliseconds>(since_1970).count()};
}

/* Stands for an event time that no report can have; not for none, as the time point of zero would. */
inline constexpr std::int64_t no_event_time = (std::numeric_limits<std::int64_t>::min)();

/* Of the years 2000 to 9999. */
template <class Duration>
std::int64_t
event_time_ms(std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept {
    const auto ms = unix_ms(time);
    return ms >= 946684800000 && ms <= 253402300799999 ? ms : no_event_time;
}

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

/* Whether a callable is an empty std::function, or a pointer to no function. */
template <class F, class = void> struct CanBeEmpty : std::false_type {};
template <class F>
struct CanBeEmpty<F, std::void_t<decltype(std::declval<const F &>() == nullptr)>>
    : std::bool_constant<std::is_pointer_v<F> || std::is_constructible_v<F, std::nullptr_t>> {};

/* A line of text that is put together without memory; what does not fit is left out. */
class Line {
  public:
    explicit Line(std::string_view text) noexcept {
        add(text);
    }
    Line &add(std::string_view more) noexcept {
        const auto length = more.size() < sizeof text_ - size_ ? more.size() : sizeof text_ - size_;
        if (length > 0)
            std::memcpy(text_ + size_, more.data(), length);
        size_ += length;
        return *this;
    }
    Line &add(std::size_t number) noexcept {
        size_ = static_cast<std::size_t>(
            std::to_chars(text_ + size_, text_ + sizeof text_, number).ptr - text_);
        return *this;
    }
    [[nodiscard]] std::string_view text() const noexcept {
        return {text_, size_};
    }

  private:
    char text_[256];
    std::size_t size_ = 0;
};

/* How often one text is in another. */
inline std::size_t count(std::string_view text, std::string_view part) noexcept {
    std::size_t found = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        found++;
    return found;
}

/* Where statuses are to be written: never NULL, which would stand for no interest in them. */
inline iotda_status_t *room(std::vector<iotda_status_t> &statuses) noexcept {
    static iotda_status_t none;
    return statuses.empty() ? &none : statuses.data();
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

template <class T> using Handle = std::unique_ptr<T, Free>;

} // namespace detail

/**
 * Terminated text that belongs to somebody else, and must outlive this. Never copies: there is no way to
 * make one of a std::string_view, which has no end of its own, nor of a temporary std::string.
 */
class CStringView {
  public:
    /** NULL is passed on as it is, and refused by the library. */
    template <class T, std::enable_if_t<detail::IsTextPointer<T>::value, int> = 0>
    constexpr CStringView(const T &text) noexcept : text_(text) {}
    CStringView(std::nullptr_t) = delete;
    /** Ends at its first zero byte; without one, it is refused. */
    template <std::size_t N>
    CStringView(const char (&text IOTDA_LIFETIMEBOUND)[N]) noexcept
        : text_(detail::bounded_length(text, N) == N ? detail::not_text : text) {}
    CStringView(const std::string &text IOTDA_LIFETIMEBOUND) noexcept
        : text_(detail::has_zero_byte(text) ? detail::not_text : text.c_str()) {}
    CStringView(const std::string &&) = delete;

    [[nodiscard]] constexpr const char *c_str() const noexcept {
        return text_;
    }
    /** The same without its end. Counts the bytes. */
    [[nodiscard]] std::string_view view() const noexcept {
        return text_ == nullptr ? std::string_view() : std::string_view(text_);
    }

  private:
    const char *text_;
};

/**
 * Text as an argument, for the call alone: a const char* or std::string is passed on as it is, and a
 * std::string_view copied, in memory of its own if it is longer than a short string. A temporary std::string is kept.
 */
class TextArgument {
  public:
    TextArgument(CStringView text) noexcept : text_(text.c_str()) {}
    /** NULL is passed on as it is, and refused by the library. */
    template <class T, std::enable_if_t<detail::IsTextPointer<T>::value, int> = 0>
    TextArgument(const T &text) noexcept : text_(text) {}
    TextArgument(std::nullptr_t) = delete;
    template <std::size_t N>
    TextArgument(const char (&text IOTDA_LIFETIMEBOUND)[N]) noexcept
        : text_(CStringView(text).c_str()) {}
    TextArgument(const std::string &text IOTDA_LIFETIMEBOUND) noexcept
        : text_(CStringView(text).c_str()) {}
    TextArgument(std::string &&text) noexcept
        : copy_(std::move(text)), text_(CStringView(copy_).c_str()) {}
    TextArgument(std::string_view text)
        : copy_(detail::has_zero_byte(text) ? std::string_view(detail::not_text) : text),
          text_(copy_.c_str()) {}
    TextArgument(const TextArgument &) = delete;
    TextArgument &operator=(const TextArgument &) = delete;

    [[nodiscard]] const char *c_str() const noexcept {
        return text_;
    }

  private:
    std::string copy_;
    const char *text_;
};

/**
 * Ends calls from another thread or a signal handler: give it to them in their CallOptions. Once triggered, it stays so.
 *
 * It is destroyed after every call that was given it has returned.
 */
class Cancel {
  public:
    /** Never blocks. Without a handle only after a fault of the library; calls that are given it then are refused. */
    Cancel() noexcept : handle_(iotda_cancel_new()) {}

    /** Ends all calls that run with it, with Status::cancelled, at once. Any thread, and any signal handler; never blocks. */
    void trigger() const noexcept {
        iotda_cancel_trigger(handle_.get());
    }

    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] const iotda_cancel_t *native_handle() const noexcept {
        return handle_.get();
    }

  private:
    detail::Handle<iotda_cancel_t> handle_;
};

/**
 * What one call is told: how long it may take, name look-up and authentication included, and what ends it.
 *
 *   client.report_message("hello");                                  // the client's timeout
 *   client.report_message("hello", 500ms);                           // a timeout of its own
 *   client.report_message("hello", deadline);                        // a time of std::chrono::steady_clock
 *   client.report_message("hello", iotda::CallOptions(500ms).cancelled_by(cancel));
 *
 * A call whose time is over before it begins ends with Status::timeout and sends nothing.
 */
class CallOptions {
  public:
    CallOptions() noexcept = default;

    template <class Rep, class Period>
    CallOptions(std::chrono::duration<Rep, Period> timeout) noexcept
        : limit_(Limit::timeout), timeout_ms_(detail::milliseconds(timeout)) {}
    CallOptions(std::chrono::steady_clock::time_point deadline) noexcept
        : limit_(Limit::deadline), deadline_(deadline) {}
    CallOptions(const Cancel &cancel IOTDA_LIFETIMEBOUND) noexcept {
        cancelled_by(cancel);
    }
    CallOptions(const Cancel &&) = delete;

    /** The cancel must live until the call has returned. */
    CallOptions &cancelled_by(const Cancel &cancel IOTDA_LIFETIMEBOUND) &noexcept {
        cancel_ = cancel.native_handle();
        lacks_handle_ = cancel_ == nullptr;
        return *this;
    }
    [[nodiscard]] CallOptions cancelled_by(const Cancel &cancel IOTDA_LIFETIMEBOUND) &&noexcept {
        return cancelled_by(cancel);
    }
    CallOptions &cancelled_by(const Cancel &&) & = delete;
    CallOptions cancelled_by(const Cancel &&) && = delete;

  private:
    friend class Outcome;
    enum class Limit { of_client, timeout, deadline };

    Limit limit_ = Limit::of_client;
    std::uint32_t timeout_ms_ = 0;
    std::chrono::steady_clock::time_point deadline_;
    const iotda_cancel_t *cancel_ = nullptr;
    bool lacks_handle_ = false;
};

/** How a call ended. It holds everything itself, may be copied and kept, and allocates nothing. */
class [[nodiscard]] Outcome {
  public:
    /** Success, of a call that was not made: to be assigned one. */
    Outcome() noexcept = default;
    /** Of a program's own making, for its tests; the message is cut where it does not fit. Success has no message. */
    explicit Outcome(Status status, std::string_view message = {}) noexcept : status_(status) {
        if (!ok())
            say(message.empty() ? std::string_view(status_text(status)) : message);
    }

    [[nodiscard]] bool ok() const noexcept {
        return status_ == Status::ok;
    }
    explicit operator bool() const noexcept {
        return ok();
    }
    [[nodiscard]] Status status() const noexcept {
        return status_;
    }
    /** Whether to keep the data and send it later, or to drop it: see iotda::is_transient. */
    [[nodiscard]] bool is_transient() const noexcept {
        return iotda::is_transient(status_);
    }
    /**
     * Whether a report may have arrived although the call failed: something was sent, and no answer says that it was
     * not accepted. Sent again, it may then arrive twice.
     */
    [[nodiscard]] bool may_have_arrived() const noexcept {
        return call_.may_have_arrived;
    }
    /**
     * A sentence for a person: what failed, where, and what to do about it; "" on success. Terminated, UTF-8,
     * valid for as long as this outcome. Never holds a secret, a password or a token.
     */
    [[nodiscard]] const char *message() const noexcept IOTDA_LIFETIMEBOUND {
        return call_.message;
    }
    /** The platform's error code, such as "IOTDA.000006"; "" if it named none. Valid for as long as this outcome. */
    [[nodiscard]] const char *platform_code() const noexcept IOTDA_LIFETIMEBOUND {
        return call_.platform_code;
    }
    /** The HTTP status of the last answer; 0 if none arrived. */
    [[nodiscard]] int http_status() const noexcept {
        return call_.http_status;
    }
    /** Requests sent for this call, authentications not counted. */
    [[nodiscard]] std::uint32_t attempts() const noexcept {
        return call_.attempts;
    }
    /** How long to wait before trying again; nothing if that is unknown. */
    [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept {
        if (call_.retry_after_ms == 0)
            return std::nullopt;
        return std::chrono::milliseconds(call_.retry_after_ms);
    }

    /** The name of the status and the message: "IOTDA_E_DNS: …". For any stream that takes text. */
    template <class Stream>
    friend auto operator<<(Stream &stream, const Outcome &outcome)
        -> decltype(stream << std::declval<const char *>()) {
        stream << status_name(outcome.status_);
        if (!outcome.ok())
            stream << ": " << outcome.message();
        return stream;
    }

  private:
    friend class Client;
    friend class Outbox;

    /* Cut between characters, as the library does. */
    void say(std::string_view message) noexcept {
        std::size_t end = message.size();
        if (end > sizeof call_.message - 1) {
            end = sizeof call_.message - 1;
            while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80)
                end--;
        }
        if (end > 0)
            std::memcpy(call_.message, message.data(), end);
        call_.message[end] = '\0';
    }

    /* Says why, where the library has refused a service for what is known here alone. */
    void explain(Span<const iotda_service_t> services, const detail::Line &list) noexcept {
        for (std::size_t i = 0; i < services.size(); i++) {
            const auto &service = services[i];
            explain(detail::refusal(service.service_id), list, i, ".service_id");
            explain(detail::refusal(service.properties), list, i, ".properties");
            if (service.event_time_ms == detail::no_event_time)
                explain("give the time of the measurement, or none: it is not in the years 2000 to "
                        "9999 (a time_point of zero is 1970)",
                        list, i, ".event_time_ms");
        }
    }
    void explain(const char *reason, const detail::Line &list, std::size_t index,
                 std::string_view member) noexcept {
        if (reason == nullptr)
            return;
        detail::Line place = list;
        place.add("[").add(index).add("]").add(member);
        if (std::string_view(call_.message).find(place.text()) != std::string_view::npos)
            say(detail::Line(reason).add(" (").add(place.text()).add(")").text());
    }

    /* Makes a call of the library, unless its time is over. */
    template <class Function> static Outcome of(const CallOptions &options, Function function) {
        Outcome outcome;
        if (!outcome.prepare(options))
            return outcome;
        outcome.status_ = Status{function(&outcome.call_)};
        outcome.call_.cancel = nullptr;
        return outcome;
    }

    bool prepare(const CallOptions &options) noexcept {
        using Limit = CallOptions::Limit;
        call_.timeout_ms = options.timeout_ms_;
        call_.cancel = options.cancel_;
        if (options.limit_ == Limit::deadline) {
            const auto now = std::chrono::steady_clock::now();
            const bool over = options.deadline_ <= now;
            call_.timeout_ms = over ? 0 : detail::milliseconds(options.deadline_ - now);
        }
        if (options.lacks_handle_)
            *this =
                Outcome(Status::invalid_argument, "give the call a Cancel that was not moved from");
        else if (options.limit_ != Limit::of_client && call_.timeout_ms == 0)
            *this =
                Outcome(Status::timeout, "allow more time: the call's was over before it began");
        return ok();
    }

    iotda_call_t call_ = IOTDA_CALL_INIT;
    Status status_ = Status::ok;
};

/**
 * How a call ended, and what it returned if it succeeded.
 *
 * The value of a failed call must not be asked for: that writes the message to standard error and ends the program,
 * by std::abort.
 */
template <class T> class [[nodiscard]] Result : public Outcome {
  public:
    /** A failure. A success has a value: without one, it becomes Status::internal. */
    explicit Result(const Outcome &failure) noexcept
        : Outcome(failure.ok() ? Outcome(Status::internal, "give this result a value") : failure) {}
    /** A success. */
    explicit Result(T &&value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_(std::move(value)) {}

    [[nodiscard]] T &operator*() & IOTDA_LIFETIMEBOUND {
        return checked();
    }
    [[nodiscard]] const T &operator*() const & {
        return checked();
    }
    [[nodiscard]] T &&operator*() && {
        return std::move(checked());
    }
    [[nodiscard]] T *operator->() {
        return &checked();
    }
    [[nodiscard]] const T *operator->() const {
        return &checked();
    }
    /** As operator*. */
    [[nodiscard]] T &value() & {
        return checked();
    }
    [[nodiscard]] const T &value() const & {
        return checked();
    }
    [[nodiscard]] T &&value() && {
        return std::move(checked());
    }

  private:
    friend class Client;
    friend class Outbox;

    Result(const Outcome &outcome, T &&value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : Outcome(outcome), value_(std::move(value)) {}

    const T &checked() const {
        if (!value_)
            fail();
        return *value_;
    }
    T &checked() {
        if (!value_)
            fail();
        return *value_;
    }

    [[noreturn]] void fail() const noexcept {
        std::fprintf(stderr, "iotda: the value of a call that failed: %s: %s\n",
                     status_name(status()), message());
        std::abort();
    }

    std::optional<T> value_;
};

/** How a batch ended, for the whole and for each child. */
class [[nodiscard]] BatchOutcome : public Outcome {
  public:
    /** Of no children: to be assigned one. */
    BatchOutcome() noexcept = default;
    /** Of a program's own making, for its tests. */
    BatchOutcome(const Outcome &outcome, const std::vector<Status> &children) : Outcome(outcome) {
        for (const auto status : children)
            child_status_.push_back(static_cast<iotda_status_t>(status));
    }

    /** The number of children that were given, or that a body has; 0 if the body was not read that far. */
    [[nodiscard]] std::size_t size() const noexcept {
        return child_status_.size();
    }
    /** Status::ok if the child of this index was delivered, and otherwise why not. The index is below size(). */
    [[nodiscard]] Status child_status(std::size_t index) const noexcept {
        return Status{child_status_[index]};
    }

  private:
    friend class Client;
    friend class Outbox;

    BatchOutcome(const Outcome &outcome, std::vector<iotda_status_t> &&child_status) noexcept
        : Outcome(outcome), child_status_(std::move(child_status)) {}

    std::vector<iotda_status_t> child_status_;
};

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
    [[nodiscard]] const std::string &failed() const &noexcept IOTDA_LIFETIMEBOUND {
        return failed_;
    }
    const std::string &failed() const && = delete;
    /** Why, as the message of a report would have it; "" if none was. Valid until this is changed. */
    [[nodiscard]] const char *reason() const &noexcept IOTDA_LIFETIMEBOUND {
        return refusal_.empty() ? "" : refusal_.c_str() + 1;
    }
    const char *reason() const && = delete;

    /**
     * The object, with the members that were not refused. It belongs to this builder; valid until that is changed.
     * NULL without memory, or if this was moved from.
     */
    [[nodiscard]] CStringView json() const &noexcept IOTDA_LIFETIMEBOUND {
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
        if constexpr (std::is_floating_point_v<T>)
            if (!std::isfinite(value))
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
        if (handle_ == nullptr)
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

/**
 * The properties of one service of a device: iotda_service_t with constructors. It refers to the id and the
 * properties and copies neither, however large they are; both must outlive it unchanged.
 *
 * Properties are a JSON object, which is checked and then sent byte for byte. They are a const char*, a
 * std::string or a Props; of a std::string_view make a std::string, or use Client::report_props_json,
 * which needs no end. The event time is when the values were measured, in the years 2000 to 9999; without
 * one, the platform takes the time at which it receives the report. Another time is refused by the report.
 */
struct Service : iotda_service_t {
    Service(CStringView id, CStringView object) noexcept
        : iotda_service_t{id.c_str(), object.c_str(), IOTDA_TIME_NONE} {}
    template <class Duration>
    Service(CStringView id, CStringView object,
            std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept
        : iotda_service_t{id.c_str(), object.c_str(), detail::event_time_ms(time)} {}
    /** Where a member was refused (see Props::add), the report is. */
    Service(CStringView id, const Props &object IOTDA_LIFETIMEBOUND) noexcept
        : iotda_service_t{id.c_str(), usable(object), IOTDA_TIME_NONE} {}
    template <class Duration>
    Service(CStringView id, const Props &object IOTDA_LIFETIMEBOUND,
            std::chrono::time_point<std::chrono::system_clock, Duration> time) noexcept
        : iotda_service_t{id.c_str(), usable(object), detail::event_time_ms(time)} {}
    Service(CStringView, const Props &&) = delete;
    template <class Duration>
    Service(CStringView, const Props &&,
            std::chrono::time_point<std::chrono::system_clock, Duration>) = delete;

  private:
    static const char *usable(const Props &object) noexcept {
        return object.status() == Status::ok ? object.json().c_str() : object.refusal_.c_str();
    }
};

/**
 * What a gateway reports for one of its child devices: iotda_child_t with constructors. It refers to the id
 * and the services, which must outlive it.
 */
struct Child : iotda_child_t {
    Child(CStringView id, Span<const Service> list) noexcept
        : iotda_child_t{id.c_str(), list.data(), list.size()} {}
    Child(CStringView id, const Service &one IOTDA_LIFETIMEBOUND) noexcept
        : iotda_child_t{id.c_str(), &one, 1} {}
    Child(CStringView, const Service &&) = delete;
    /** Not of a temporary that holds the services itself. */
    template <class C,
              std::enable_if_t<!std::is_lvalue_reference_v<C> && !detail::IsView<C>::value &&
                                   std::is_convertible_v<C, Span<const Service>>,
                               int> = 0>
    Child(CStringView, C &&) = delete;
};

/* The library takes arrays of the structs of iotda.h. */
static_assert(sizeof(Service) == sizeof(iotda_service_t) && std::is_standard_layout_v<Service>);
static_assert(sizeof(Child) == sizeof(iotda_child_t) && std::is_standard_layout_v<Child>);

/**
 * One service as an argument of Client::report_props. As Service, but temporaries are kept in it:
 *
 *   client.report_props({"weather", iotda::Props().add("Height", 124)});
 *   client.report_props({"weather", json.dump(), measured});
 */
class ServiceArgument {
    template <class T>
    using IsProps = std::is_same<std::remove_cv_t<std::remove_reference_t<T>>, Props>;
    template <class Id, class Object>
    using Fits = std::enable_if_t<std::is_constructible_v<TextArgument, Id> &&
                                      (IsProps<Object>::value ||
                                       std::is_constructible_v<TextArgument, Object>),
                                  int>;

  public:
    ServiceArgument(const Service &service IOTDA_LIFETIMEBOUND) noexcept
        : id_(CStringView(service.service_id)), text_(CStringView(service.properties)),
          time_ms_(service.event_time_ms) {}
    template <class Id, class Object, Fits<Id, Object> = 0>
    ServiceArgument(Id &&id IOTDA_LIFETIMEBOUND, Object &&object IOTDA_LIFETIMEBOUND)
        : ServiceArgument(std::forward<Id>(id), std::forward<Object>(object), IOTDA_TIME_NONE,
                          IsProps<Object>()) {}
    template <class Id, class Object, class Duration, Fits<Id, Object> = 0>
    ServiceArgument(Id &&id IOTDA_LIFETIMEBOUND, Object &&object IOTDA_LIFETIMEBOUND,
                    std::chrono::time_point<std::chrono::system_clock, Duration> time)
        : ServiceArgument(std::forward<Id>(id), std::forward<Object>(object),
                          detail::event_time_ms(time), IsProps<Object>()) {}
    ServiceArgument(const ServiceArgument &) = delete;
    ServiceArgument &operator=(const ServiceArgument &) = delete;

    /** What the library takes. */
    [[nodiscard]] iotda_service_t native() const noexcept {
        return {id_.c_str(), text_.c_str(), time_ms_};
    }

  private:
    template <class Id, class Text>
    ServiceArgument(Id &&id, Text &&text, std::int64_t time_ms, std::false_type)
        : id_(std::forward<Id>(id)), text_(std::forward<Text>(text)), time_ms_(time_ms) {}
    template <class Id>
    ServiceArgument(Id &&id, const Props &object, std::int64_t time_ms, std::true_type)
        : id_(std::forward<Id>(id)), text_(CStringView(Service("", object).properties)),
          time_ms_(time_ms) {}
    template <class Id>
    ServiceArgument(Id &&id, Props &&object, std::int64_t time_ms, std::true_type)
        : id_(std::forward<Id>(id)), kept_(std::move(object)),
          text_(CStringView(Service("", *kept_).properties)), time_ms_(time_ms) {}

    TextArgument id_;
    std::optional<Props> kept_;
    TextArgument text_;
    std::int64_t time_ms_;
};

/** What send and receive of a Connection did. */
class [[nodiscard]] IoResult {
  public:
    /** So many bytes were moved. */
    [[nodiscard]] static constexpr IoResult moved(std::size_t bytes) noexcept {
        return IoResult(static_cast<std::int64_t>(bytes));
    }
    /** The other side sends no more. For receive. */
    [[nodiscard]] static constexpr IoResult end() noexcept {
        return IoResult(0);
    }
    /** The time was over before anything could be done. */
    [[nodiscard]] static constexpr IoResult timeout() noexcept {
        return IoResult(IOTDA_IO_TIMEOUT);
    }
    /** The connection is broken. */
    [[nodiscard]] static constexpr IoResult failed() noexcept {
        return IoResult(IOTDA_IO_FAILED);
    }
    /** As iotda_transport_t has it. */
    [[nodiscard]] constexpr std::int64_t native() const noexcept {
        return value_;
    }

  private:
    explicit constexpr IoResult(std::int64_t value) noexcept : value_(value) {}
    std::int64_t value_;
};

/**
 * A connection of a Transport. Used by one thread at a time, not always the same; closed by its destructor. Its
 * functions must not call the library.
 */
class Connection {
  public:
    virtual ~Connection() = default;
    /** Sends some of the bytes, at least one, within the timeout. */
    virtual IoResult send(Span<const std::byte> data,
                          std::chrono::milliseconds timeout) noexcept = 0;
    /** Receives some bytes, at least one, within the timeout. With a timeout of zero it must not wait. */
    virtual IoResult receive(Span<std::byte> buffer,
                             std::chrono::milliseconds timeout) noexcept = 0;
};

/** The program's own way to the network: a modem's sockets, or a TLS stack that the device has. */
class Transport {
  public:
    virtual ~Transport() = default;
    /**
     * Whether the connections are encrypted, and the server's certificate and name verified, by the transport
     * itself. false: the library does it, by TLS on top. Asked once.
     */
    [[nodiscard]] virtual bool is_secure() const noexcept = 0;
    /**
     * Opens a connection within the timeout; nullptr if that fails. The host is terminated. Called in the threads
     * that make the calls, at the same time in several of them; must not call the library.
     *
     * cancel_fd is a descriptor that becomes readable when the call is cancelled; -1: it cannot be cancelled. Poll it
     * beside your own, and return nullptr once it is readable. Do not read, close or keep it.
     */
    [[nodiscard]] virtual std::unique_ptr<Connection> connect(const char *host, std::uint16_t port,
                                                              std::chrono::milliseconds timeout,
                                                              int cancel_fd) noexcept = 0;
};

namespace detail {

/* A Transport as the table of functions that the library takes. */
inline void *connect(void *transport, const char *host, std::uint16_t port,
                     std::uint32_t timeout_ms, int cancel_fd) noexcept {
    const std::chrono::milliseconds timeout(timeout_ms);
    return static_cast<Transport *>(transport)->connect(host, port, timeout, cancel_fd).release();
}
inline std::int64_t send(void *connection, const void *data, std::size_t len,
                         std::uint32_t timeout_ms) noexcept {
    const Span<const std::byte> bytes(static_cast<const std::byte *>(data), len);
    const std::chrono::milliseconds timeout(timeout_ms);
    return static_cast<Connection *>(connection)->send(bytes, timeout).native();
}
inline std::int64_t receive(void *connection, void *buffer, std::size_t size,
                            std::uint32_t timeout_ms) noexcept {
    const Span<std::byte> bytes(static_cast<std::byte *>(buffer), size);
    const std::chrono::milliseconds timeout(timeout_ms);
    return static_cast<Connection *>(connection)->receive(bytes, timeout).native();
}

} // namespace detail

/**
 * The settings of a client. Every setter checks its value and copies it; text is a const char*, a std::string
 * or a std::string_view, which is copied once more.
 *
 * Setters are chained, on a config that has a name. One that fails keeps the old value and is remembered: Client::make
 * then fails with its message, until the same thing is set rightly. last_status() is that of the setter before. None blocks, but for those that
 * read a file. For defaults and units see the function of the same name in iotda.h.
 */
class Config {
  public:
    Config() noexcept : handle_(iotda_config_new()) {}

    /** How the setter that was called last ended. */
    [[nodiscard]] Status last_status() const noexcept {
        return last_status_;
    }
    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] iotda_config_t *native_handle() const noexcept {
        return handle_.get();
    }

    /** Required. The platform's address, "https://host" or "https://host:port". */
    Config &set_endpoint(const TextArgument &url) &noexcept {
        return after(iotda_config_set_endpoint(handle_.get(), url.c_str()));
    }
    /** Required. The device's id, and its secret: any bytes, at least one. */
    Config &set_device(const TextArgument &device_id, Bytes secret) &noexcept {
        return after(iotda_config_set_device(handle_.get(), device_id.c_str(), secret.data(),
                                             secret.size()));
    }
    /** 0 (default): the device's clock does not matter. 1: the platform compares it with its own. */
    Config &set_sign_type(std::int32_t sign_type) &noexcept {
        return after(iotda_config_set_sign_type(handle_.get(), sign_type));
    }
    /** The most that a whole call may take, if it says nothing else. Default: 30 s. */
    template <class Rep, class Period>
    Config &set_timeout(std::chrono::duration<Rep, Period> total) &noexcept {
        return after(iotda_config_set_timeout_ms(handle_.get(), detail::milliseconds(total)));
    }
    /** The most that connecting may take, TCP and TLS together. Default: 10 s. */
    template <class Rep, class Period>
    Config &set_connect_timeout(std::chrono::duration<Rep, Period> connect) &noexcept {
        const auto ms = detail::milliseconds(connect);
        return after(iotda_config_set_connect_timeout_ms(handle_.get(), ms));
    }
    /** The most that one attempt of a call may take, connecting included. Default: 10 s. */
    template <class Rep, class Period>
    Config &set_attempt_timeout(std::chrono::duration<Rep, Period> attempt) &noexcept {
        const auto ms = detail::milliseconds(attempt);
        return after(iotda_config_set_attempt_timeout_ms(handle_.get(), ms));
    }
    /** How often a call is tried in all, and the pauses between. Default: 10 times, 500 ms, 10 s. */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Config &set_retry(std::uint32_t max_attempts, std::chrono::duration<Rep1, Period1> base,
                      std::chrono::duration<Rep2, Period2> max) &noexcept {
        return after(iotda_config_set_retry(handle_.get(), max_attempts, detail::milliseconds(base),
                                            detail::milliseconds(max)));
    }
    /** The platform's rates where they are known, in reports per second; 0 (default): not known. */
    Config &set_rates(double device_per_second, double tenant_per_second) &noexcept {
        return after(iotda_config_set_rates(handle_.get(), device_per_second, tenant_per_second));
    }
    /**
     * The most connections that are kept open unused, and for how long. Default: IOTDA_POOL_AS_USED, as many as were
     * lately used at the same time, for 55 s.
     */
    template <class Rep, class Period>
    Config &set_pool(std::uint32_t kept_connections,
                     std::chrono::duration<Rep, Period> kept) &noexcept {
        const auto ms = detail::milliseconds(kept);
        return after(iotda_config_set_pool(handle_.get(), kept_connections, ms));
    }
    /** The most connections that are used at the same time, at least 1; further calls wait. Default: 256. */
    Config &set_max_connections(std::uint32_t most) &noexcept {
        return after(iotda_config_set_max_connections(handle_.get(), most));
    }
    /** TCP keep-alive after so long without traffic, in whole seconds, rounded up; 0 (default): never. */
    template <class Rep, class Period>
    Config &set_tcp_keepalive(std::chrono::duration<Rep, Period> idle) &noexcept {
        const auto ms = detail::milliseconds(idle);
        return after(
            iotda_config_set_tcp_keepalive_s(handle_.get(), ms / 1000 + (ms % 1000 != 0 ? 1 : 0)));
    }
    /** An access token that Client::export_token gave before a restart; "" (default): none. */
    Config &set_token(const TextArgument &token) &noexcept {
        return after(iotda_config_set_token(handle_.get(), token.c_str()));
    }
    /** With Authentication::when_asked, Client::auth alone authenticates, and no report does. Default: when_needed. */
    Config &set_authentication(Authentication when) &noexcept {
        return after(
            iotda_config_set_authentication(handle_.get(), static_cast<std::int32_t>(when)));
    }

    /** The certificate authorities to trust instead of those that are built in: PEM text. */
    Config &set_ca_pem(Bytes pem) &noexcept {
        return after(iotda_config_set_ca_pem(handle_.get(), pem.data(), pem.size()));
    }
    /** As set_ca_pem, from a file, which is read at once. May block on the file system. */
    Config &set_ca_file(const TextArgument &path) &noexcept {
        return after(iotda_config_set_ca_file(handle_.get(), path.c_str()));
    }
    /** Certificate authorities to trust beside those that are trusted already: PEM text. */
    Config &add_ca_pem(Bytes pem) &noexcept {
        return after(iotda_config_add_ca_pem(handle_.get(), pem.data(), pem.size()));
    }
    /** As add_ca_pem, from a file, which is read at once. May block on the file system. */
    Config &add_ca_file(const TextArgument &path) &noexcept {
        return after(iotda_config_add_ca_file(handle_.get(), path.c_str()));
    }
    /** The device's own certificate chain and private key, both PEM text. */
    Config &set_client_certificate(Bytes chain_pem, Bytes key_pem) &noexcept {
        return after(iotda_config_set_client_certificate(
            handle_.get(), chain_pem.data(), chain_pem.size(), key_pem.data(), key_pem.size()));
    }
    /** A key that the server must have: the 32 bytes of the SHA-256 of its SubjectPublicKeyInfo. */
    Config &add_pinned_key(Bytes sha256) &noexcept {
        return after(iotda_config_add_pinned_key(handle_.get(), sha256.data(), sha256.size()));
    }
    /** Whether TLS 1.3 is offered beside 1.2. Default: false. */
    Config &set_tls_1_3(bool offer) &noexcept {
        return after(iotda_config_set_tls_1_3(handle_.get(), offer));
    }

    /** The proxy, "http://host:port" or "http://user:password@host:port"; "" (default): none. */
    Config &set_proxy(const TextArgument &url) &noexcept {
        return after(iotda_config_set_proxy(handle_.get(), url.c_str()));
    }
    /** Takes the proxy from the environment, now; the endpoint must have been set. */
    Config &set_proxy_from_environment() &noexcept {
        return after(iotda_config_set_proxy_from_environment(handle_.get()));
    }
    /**
     * A custom transport. It is owned from now on, and destroyed, in any thread, when the
     * config and all clients made of it are gone.
     */
    Config &set_transport(std::unique_ptr<Transport> transport) &noexcept {
        if (transport == nullptr)
            return after(iotda_config_set_transport(handle_.get(), nullptr));
        iotda_transport_t table{};
        table.struct_size = sizeof table;
        table.is_secure = transport->is_secure();
        table.connect = detail::connect;
        table.send = detail::send;
        table.receive = detail::receive;
        table.close = detail::destroy<Connection>;
        table.destroy = detail::destroy<Transport>;
        table.user_data = transport.release();
        return after(iotda_config_set_transport(handle_.get(), &table));
    }

    /**
     * Where the time comes from: a callable that returns a time of std::chrono::system_clock. It is copied or
     * moved to memory of its own, called in the threads that make the calls, at the same time in several of
     * them, and destroyed, in any thread, when the config and all clients made of it are gone. It must not call
     * the library; if it throws, the program ends. An empty std::function, or nullptr: the system's clock.
     */
    template <class Clock> Config &set_clock(Clock clock) & {
        if constexpr (std::is_null_pointer_v<Clock>) {
            return after(iotda_config_set_clock(handle_.get(), nullptr, nullptr, nullptr));
        } else {
            if constexpr (detail::CanBeEmpty<Clock>::value) {
                if (clock == nullptr)
                    return set_clock(nullptr);
            }
            const iotda_clock_t read = [](void *callable) noexcept {
                return detail::unix_ms((*static_cast<Clock *>(callable))());
            };
            auto *callable = new Clock(std::move(clock));
            return after(
                iotda_config_set_clock(handle_.get(), read, callable, detail::destroy<Clock>));
        }
    }
    /**
     * Receives log lines up to a level: a callable that takes a LogLevel and a std::string_view, which is
     * valid during the call alone. It is kept, called and destroyed as that of set_clock. No line holds a
     * secret, a password or a token. An empty std::function, or nullptr: no log.
     */
    template <class Log> Config &set_log(LogLevel level, Log log) & {
        const auto number = static_cast<std::int32_t>(level);
        if constexpr (std::is_null_pointer_v<Log>) {
            return after(iotda_config_set_log(handle_.get(), number, nullptr, nullptr, nullptr));
        } else {
            if constexpr (detail::CanBeEmpty<Log>::value) {
                if (log == nullptr)
                    return set_log(level, nullptr);
            }
            const iotda_log_t write = [](void *callable, std::int32_t line_level,
                                         const char *line) noexcept {
                (*static_cast<Log *>(callable))(LogLevel{line_level}, std::string_view(line));
            };
            auto *callable = new Log(std::move(log));
            return after(
                iotda_config_set_log(handle_.get(), number, write, callable, detail::destroy<Log>));
        }
    }

    /**
     * Receives each access token that the client, or a device opened from it, is issued: a callable that takes the
     * device's id and the token, as Client::export_token gives it, as std::string_view; both are terminated, and valid
     * during the call alone. It is kept and destroyed as that of set_clock, and called as that of
     * iotda_config_set_token_callback: it may call import_token and export_token, and nothing else of the library. If it
     * throws, the program ends. An empty std::function, or nullptr: nothing is called.
     */
    template <class Issued> Config &set_token_callback(Issued issued) & {
        if constexpr (std::is_null_pointer_v<Issued>) {
            return after(iotda_config_set_token_callback(handle_.get(), nullptr, nullptr, nullptr));
        } else {
            if constexpr (detail::CanBeEmpty<Issued>::value) {
                if (issued == nullptr)
                    return set_token_callback(nullptr);
            }
            const iotda_token_callback_t pass = [](void *callable, const char *device_id,
                                                   const char *token) noexcept {
                (*static_cast<Issued *>(callable))(std::string_view(device_id),
                                                   std::string_view(token));
            };
            auto *callable = new Issued(std::move(issued));
            return after(iotda_config_set_token_callback(handle_.get(), pass, callable,
                                                         detail::destroy<Issued>));
        }
    }

  private:
    Config &after(iotda_status_t status) noexcept {
        last_status_ = Status{status};
        return *this;
    }

    detail::Handle<iotda_config_t> handle_;
    Status last_status_ = Status::ok;
};

/**
 * Reports to the platform for one device.
 *
 * The functions that take CallOptions block until the platform has answered, at most for the call's time; no
 * other touches the network. Any number of threads may call them at the same time.
 */
class Client {
  public:
    /** No client: every call is refused. To be assigned one. */
    Client() noexcept = default;

    /**
     * Makes a client of a config, which can then go, or be changed and used again. Uses no network. Fails also if
     * the program was compiled with a header of another binary interface than the library it runs with.
     */
    [[nodiscard]] static Result<Client> make(const Config &config) noexcept {
        if (iotda_abi_version() != IOTDA_ABI_VERSION)
            return Result<Client>(Outcome(Status::internal,
                                          "this program was compiled with the header of "
                                          "another version of libiotda than it runs with"));
        iotda_client_t *client = nullptr;
        const auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_init(config.native_handle(), &client, call);
        });
        return made(outcome, client);
    }

    /**
     * Makes a client for another device. It shares connections, TLS sessions and addresses with this one, and
     * its other settings; either may go first. Uses no network.
     */
    [[nodiscard]] Result<Client> open_device(const TextArgument &device_id,
                                             Bytes secret) const noexcept {
        iotda_client_t *device = nullptr;
        const auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_open_device(handle_.get(), device_id.c_str(), secret.data(), secret.size(),
                                     &device, call);
        });
        return made(outcome, device);
    }

    /**
     * The same with an access token of the device, which export_token or the token callback gave: it spares an
     * authentication. One that is damaged, expired, or of another device or endpoint is not used; "": none.
     */
    [[nodiscard]] Result<Client> open_device(const TextArgument &device_id, Bytes secret,
                                             const TextArgument &token) const noexcept {
        iotda_client_t *device = nullptr;
        const auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_open_device_with_token(handle_.get(), device_id.c_str(), secret.data(),
                                                secret.size(), token.c_str(), &device, call);
        });
        return made(outcome, device);
    }

    /**
     * Authenticates, unless there is an access token that is valid and not yet due to be renewed. Optional, unless
     * Config::set_authentication says otherwise: it shows early whether the settings are right.
     */
    Outcome auth(const CallOptions &options = {}) const noexcept {
        return Outcome::of(options,
                           [&](iotda_call_t *call) { return iotda_auth(handle_.get(), call); });
    }

    /** Reports properties of the device: services, at least one. At least once, not exactly once. */
    Outcome report_props(Span<const Service> services,
                         const CallOptions &options = {}) const noexcept {
        return report(Span<const iotda_service_t>(services.data(), services.size()), options);
    }
    Outcome report_props(std::initializer_list<Service> services,
                         const CallOptions &options = {}) const noexcept {
        return report(Span<const iotda_service_t>(services.begin(), services.size()), options);
    }
    /** The same for one service: its id, its properties and, perhaps, its time. */
    Outcome report_props(const ServiceArgument &service,
                         const CallOptions &options = {}) const noexcept {
        const auto native = service.native();
        return report(Span<const iotda_service_t>(&native, 1), options);
    }
    /** Reports properties by a request body that the program made itself. It is checked, and sent as it is, without a copy here. */
    Outcome report_props_json(std::string_view json,
                              const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, [&](iotda_call_t *call) {
            return iotda_report_props_json(handle_.get(), json.data(), json.size(), call);
        });
    }

    /** Reports a message of the device: any bytes, also none. */
    Outcome report_message(Bytes data, const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, [&](iotda_call_t *call) {
            return iotda_report_message(handle_.get(), data.data(), data.size(), call);
        });
    }

    /**
     * Reports properties of child devices of this gateway, any number from one up, in as many requests as the
     * platform's limits ask for. Status::partial if some were delivered and others were not. Allocates room for
     * a status for each child.
     */
    BatchOutcome gateway_batch(Span<const Child> children, const CallOptions &options = {}) const {
        std::vector<iotda_status_t> child_status(children.size());
        const auto outcome = gateway_batch(children, child_status, options);
        return BatchOutcome(outcome, std::move(child_status));
    }
    /** The same into room of the caller's, which must be as many as the children. Always written, if it is. */
    Outcome gateway_batch(Span<const Child> children, Span<iotda_status_t> child_status,
                          const CallOptions &options = {}) const noexcept {
        if (child_status.size() != children.size())
            return Outcome(Status::invalid_argument, "child_status and children differ in number");
        /* What is no status: it shows where the library wrote none, since the call did not come that far. */
        constexpr iotda_status_t unwritten = -1;
        for (auto &status : child_status)
            status = unwritten;
        auto outcome = Outcome::of(options, [&](iotda_call_t *call) {
            return iotda_gateway_batch(handle_.get(), children.data(), children.size(),
                                       child_status.data(), call);
        });
        if (!outcome)
            explain(outcome, children);
        for (auto &status : child_status)
            if (status == unwritten)
                status = static_cast<iotda_status_t>(outcome.status());
        return outcome;
    }
    /**
     * Reports a batch by a request body that the program made itself, with any number of children: see gateway_batch.
     * The body is not copied here; room for a status for each child is allocated.
     */
    BatchOutcome gateway_batch_json(std::string_view json, const CallOptions &options = {}) const {
        /* A guess: the number of ids. Where it is too low, nothing is sent, and the library says how many it takes. */
        std::vector<iotda_status_t> child_status(detail::count(json, "\"device_id\""));
        for (;;) {
            std::size_t children = 0;
            const auto outcome = Outcome::of(options, [&](iotda_call_t *call) {
                return iotda_gateway_batch_json(handle_.get(), json.data(), json.size(),
                                                detail::room(child_status), child_status.size(),
                                                &children, call);
            });
            const bool too_few = children > child_status.size();
            child_status.resize(children);
            if (!too_few)
                return BatchOutcome(outcome, std::move(child_status));
        }
    }

    /**
     * Whether report_props would send these services: what it refuses without asking the platform, this refuses with the
     * same status and message. It needs no client, and never blocks.
     */
    static Outcome check_props(Span<const Service> services) noexcept {
        return check(Span<const iotda_service_t>(services.data(), services.size()));
    }
    static Outcome check_props(std::initializer_list<Service> services) noexcept {
        return check(Span<const iotda_service_t>(services.begin(), services.size()));
    }
    static Outcome check_props(const ServiceArgument &service) noexcept {
        const auto native = service.native();
        return check(Span<const iotda_service_t>(&native, 1));
    }
    /** The same for report_props_json. */
    static Outcome check_props_json(std::string_view json) noexcept {
        return Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_check_props_json(json.data(), json.size(), call);
        });
    }
    /** The same for report_message. */
    static Outcome check_message(Bytes data) noexcept {
        return Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_check_message(data.data(), data.size(), call);
        });
    }
    /** The same for gateway_batch, for each child; the whole is as the first child that would be left out. */
    static BatchOutcome check_batch(Span<const Child> children) {
        std::vector<iotda_status_t> child_status(children.size());
        auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_check_batch(children.data(), children.size(), detail::room(child_status),
                                     call);
        });
        if (!outcome)
            explain(outcome, children);
        return BatchOutcome(outcome, std::move(child_status));
    }

    /** Counters since the client was made, over all devices that share its connections. Never blocks. */
    [[nodiscard]] Result<iotda_stats_t> stats() const noexcept {
        iotda_stats_t stats{};
        stats.struct_size = sizeof stats;
        const Outcome outcome(Status{::iotda_stats(handle_.get(), &stats)});
        return outcome ? Result<iotda_stats_t>(outcome, std::move(stats))
                       : Result<iotda_stats_t>(outcome);
    }

    /** The platform's time, to the second; nothing if no answer told it yet. Never blocks. */
    [[nodiscard]] std::optional<SystemTime> server_time() const noexcept {
        const auto ms = iotda_server_time_ms(handle_.get());
        if (ms == 0)
            return std::nullopt;
        return SystemTime(std::chrono::milliseconds(ms));
    }

    /**
     * The access token and its expiry as text, for Config::set_token after a restart; "" if there is no valid
     * token. Keep it as secret as the device's secret: the string is not wiped. Never blocks.
     */
    [[nodiscard]] Result<std::string> export_token() const {
        std::string token(512, '\0');
        std::size_t length = 0;
        auto outcome = export_to({token.data(), token.size()}, length);
        if (!outcome && length >= token.size()) {
            token.assign(length + 1, '\0');
            outcome = export_to({token.data(), token.size()}, length);
        }
        if (!outcome)
            return Result<std::string>(outcome);
        token.resize(length);
        return Result<std::string>(outcome, std::move(token));
    }
    /**
     * The same into room of the caller's, terminated. Returns the length. 512 bytes are enough for a token of the
     * length that the platform documents; where they are not, the message says how many are.
     */
    [[nodiscard]] Result<std::size_t> export_token(Span<char> out) const noexcept {
        std::size_t length = 0;
        const auto outcome = export_to(out, length);
        return outcome ? Result<std::size_t>(outcome, std::move(length))
                       : Result<std::size_t>(outcome);
    }

    /**
     * Puts an access token of this device to use that export_token or the token callback gave, in this process or in
     * another, instead of the present one. One that is damaged, expired, or of another device or endpoint is refused
     * (Status::invalid_argument), and the present one stays. Never blocks.
     */
    Outcome import_token(const TextArgument &token) const noexcept {
        return Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_token_import(handle_.get(), token.c_str(), call);
        });
    }

    /** Closes the client now instead of when it is destroyed. No other call on it may be running. */
    void close() noexcept {
        handle_.reset();
    }
    /** Whether there is a client, whatever state it is in. */
    explicit operator bool() const noexcept {
        return handle_ != nullptr;
    }
    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] iotda_client_t *native_handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Client(iotda_client_t *client) noexcept : handle_(client) {}

    Outcome report(Span<const iotda_service_t> services,
                   const CallOptions &options) const noexcept {
        auto outcome = Outcome::of(options, [&](iotda_call_t *call) {
            return iotda_report_props(handle_.get(), services.data(), services.size(), call);
        });
        if (outcome.status() == Status::invalid_argument)
            outcome.explain(services, detail::Line("services"));
        return outcome;
    }

    static Outcome check(Span<const iotda_service_t> services) noexcept {
        auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_check_props(services.data(), services.size(), call);
        });
        if (outcome.status() == Status::invalid_argument)
            outcome.explain(services, detail::Line("services"));
        return outcome;
    }

    Outcome export_to(Span<char> out, std::size_t &length) const noexcept {
        return Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_token_export(handle_.get(), out.data(), out.size(), &length, call);
        });
    }

    static void explain(Outcome &outcome, Span<const Child> children) noexcept {
        for (std::size_t i = 0; i < children.size(); i++) {
            const auto &child = children[i];
            if (child.services == nullptr)
                continue;
            const detail::Line all("children");
            const auto list = detail::Line("children[").add(i).add("].services");
            outcome.explain({child.services, child.service_count}, list);
            outcome.explain(detail::refusal(child.device_id), all, i, ".device_id");
        }
    }

    static Result<Client> made(const Outcome &outcome, iotda_client_t *client) noexcept {
        return outcome ? Result<Client>(outcome, Client(client)) : Result<Client>(outcome);
    }

    detail::Handle<iotda_client_t> handle_;
};

/** What becomes of a new entry while an outbox is full. */
enum class WhenFull : std::int32_t {
    refuse = IOTDA_OUTBOX_REFUSE,
    drop_oldest = IOTDA_OUTBOX_DROP_OLDEST,
};

/** What a dead letter is. */
enum class EntryKind : std::int32_t {
    props = IOTDA_ENTRY_PROPS,
    message = IOTDA_ENTRY_MESSAGE,
    child = IOTDA_ENTRY_CHILD,
};

/**
 * How an outbox is opened: iotda_outbox_options_t, which says what each setting means. Setters are chained; none can
 * fail, since Outbox::open checks them. The directory must outlive that call.
 */
class OutboxOptions {
  public:
    OutboxOptions(CStringView directory) noexcept {
        native_.directory = directory.c_str();
    }

    OutboxOptions &max_bytes(std::uint64_t bytes) &noexcept {
        native_.max_bytes = bytes;
        return *this;
    }
    /** Rounded up to the next second. */
    template <class Rep, class Period>
    OutboxOptions &max_age(std::chrono::duration<Rep, Period> age) &noexcept {
        const auto ms = detail::milliseconds(age);
        native_.max_age_s = ms / 1000 + (ms % 1000 != 0 ? 1 : 0);
        return *this;
    }
    /** Default: 1 s. Zero: what is put is on disk when the put returns. */
    template <class Rep, class Period>
    OutboxOptions &sync_within(std::chrono::duration<Rep, Period> window) &noexcept {
        native_.sync_ms = detail::milliseconds(window);
        return *this;
    }
    OutboxOptions &coalesce_bytes(std::uint32_t bytes) &noexcept {
        native_.coalesce_bytes = bytes;
        return *this;
    }
    template <class Rep, class Period>
    OutboxOptions &linger(std::chrono::duration<Rep, Period> time) &noexcept {
        native_.linger_ms = detail::milliseconds(time);
        return *this;
    }
    OutboxOptions &requests_at_once(std::uint32_t requests) &noexcept {
        native_.requests_at_once = requests;
        return *this;
    }
    OutboxOptions &when_full(WhenFull what) &noexcept {
        native_.when_full = static_cast<std::int32_t>(what);
        return *this;
    }
    /** Default: true. false: Outbox::pump delivers. */
    OutboxOptions &start_worker(bool start) &noexcept {
        native_.start_worker = start;
        return *this;
    }
    OutboxOptions &pad_commits(bool pad) &noexcept {
        native_.pad_commits = pad;
        return *this;
    }

    /** What iotda_outbox_open takes. */
    [[nodiscard]] const iotda_outbox_options_t &native() const noexcept {
        return native_;
    }

  private:
    iotda_outbox_options_t native_ = IOTDA_OUTBOX_OPTIONS_INIT;
};

/** A dead letter, with its request body. */
struct DeadLetter : iotda_dead_t {
    std::string body;

    [[nodiscard]] EntryKind entry_kind() const noexcept {
        return EntryKind{kind};
    }
};

/**
 * Reports that outlive outages, restarts and power cuts: see iotda_outbox_t. Any number of threads may call its functions
 * at the same time. Closed by its destructor, which syncs and delivers nothing.
 */
class Outbox {
  public:
    /** No outbox: every call is refused. To be assigned one. */
    Outbox() noexcept = default;

    /** Opens one, and attaches the client's device. Blocks on the file system. */
    [[nodiscard]] static Result<Outbox> open(const Client &client,
                                             const OutboxOptions &options) noexcept {
        return open(client, options.native());
    }
    /**
     * The same with a callable that is told what became of each entry: its id, the device, a Status and a message, which
     * are valid during the call alone. See iotda_outbox_settled_t for what it may call; if it throws, the program
     * ends. It is copied or moved to memory of its own.
     */
    template <class Settled>
    [[nodiscard]] static Result<Outbox> open(const Client &client, const OutboxOptions &options,
                                             Settled settled) {
        auto native = options.native();
        native.settled = [](void *callable, std::uint64_t id, const char *device_id,
                            iotda_status_t status, const char *message) noexcept {
            (*static_cast<Settled *>(callable))(id, std::string_view(device_id), Status{status},
                                                std::string_view(message));
        };
        native.user_data = new Settled(std::move(settled));
        native.destroy = detail::destroy<Settled>;
        return open(client, native);
    }

    /** Delivers what waits for this client's device through it. A put attaches its device as well. */
    Outcome attach(const Client &device) const noexcept {
        return Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_outbox_attach(handle_.get(), device.native_handle(), call);
        });
    }

    /** Puts properties of a device; returns the entry's id. */
    Result<std::uint64_t> put_props(const Client &device, Span<const Service> services,
                                    const CallOptions &options = {}) const noexcept {
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_props(handle_.get(), device.native_handle(), services.data(),
                                          services.size(), id, call);
        });
    }
    /** The same for one service: its id, its properties and, perhaps, its time. */
    Result<std::uint64_t> put_props(const Client &device, const ServiceArgument &service,
                                    const CallOptions &options = {}) const noexcept {
        const auto native = service.native();
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_props(handle_.get(), device.native_handle(), &native, 1, id,
                                          call);
        });
    }
    Result<std::uint64_t> put_props_json(const Client &device, std::string_view json,
                                         const CallOptions &options = {}) const noexcept {
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_props_json(handle_.get(), device.native_handle(), json.data(),
                                               json.size(), id, call);
        });
    }
    Result<std::uint64_t> put_message(const Client &device, Bytes data,
                                      const CallOptions &options = {}) const noexcept {
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_message(handle_.get(), device.native_handle(), data.data(),
                                            data.size(), id, call);
        });
    }
    /** Puts properties of children of a gateway, all or none; returns the id of the first one's entry. */
    Result<std::uint64_t> put_batch(const Client &gateway, Span<const Child> children,
                                    const CallOptions &options = {}) const noexcept {
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_batch(handle_.get(), gateway.native_handle(), children.data(),
                                          children.size(), id, call);
        });
    }
    Result<std::uint64_t> put_batch_json(const Client &gateway, std::string_view json,
                                         const CallOptions &options = {}) const noexcept {
        return put(options, [&](std::uint64_t *id, iotda_call_t *call) {
            return iotda_outbox_put_batch_json(handle_.get(), gateway.native_handle(), json.data(),
                                               json.size(), id, call);
        });
    }

    /** Returns when all that was put is on disk. */
    Outcome sync(const CallOptions &options = {}) const noexcept {
        return Outcome::of(
            options, [&](iotda_call_t *call) { return iotda_outbox_sync(handle_.get(), call); });
    }
    /** Delivers what is due, in this thread. Its retry_after() says when to pump again; nothing: nothing waits. */
    Outcome pump(const CallOptions &options = {}) const noexcept {
        return Outcome::of(
            options, [&](iotda_call_t *call) { return iotda_outbox_pump(handle_.get(), call); });
    }
    /** Waits until all that was put before is settled. */
    Outcome flush(const CallOptions &options = {}) const noexcept {
        return Outcome::of(
            options, [&](iotda_call_t *call) { return iotda_outbox_flush(handle_.get(), call); });
    }
    /** The network is back. */
    void wake() const noexcept {
        iotda_outbox_wake(handle_.get());
    }
    /** Gives up what waits for a device; returns how many entries that were. */
    Result<std::uint64_t> discard(const TextArgument &device_id) const noexcept {
        return put({}, [&](std::uint64_t *count, iotda_call_t *call) {
            return iotda_outbox_discard(handle_.get(), device_id.c_str(), count, call);
        });
    }
    /** The first dead letter after this number (0: the first of all); nothing if there is none. */
    [[nodiscard]] Result<std::optional<DeadLetter>> dead_read(std::uint64_t cursor = 0) const {
        DeadLetter letter{};
        letter.struct_size = sizeof(iotda_dead_t);
        for (;;) {
            std::size_t length = 0;
            const auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
                return iotda_outbox_dead_read(handle_.get(), cursor, &letter, letter.body.data(),
                                              letter.body.size(), &length, call);
            });
            const bool too_small = length > letter.body.size();
            letter.body.resize(length);
            if (too_small)
                continue;
            if (!outcome)
                return Result<std::optional<DeadLetter>>(outcome);
            std::optional<DeadLetter> found;
            if (letter.number != 0)
                found = std::move(letter);
            return Result<std::optional<DeadLetter>>(outcome, std::move(found));
        }
    }
    /** Dead letters up to this number are not needed any more. */
    Outcome dead_forget(std::uint64_t up_to_number) const noexcept {
        return Outcome(Status{iotda_outbox_dead_forget(handle_.get(), up_to_number)});
    }
    [[nodiscard]] Result<iotda_outbox_stats_t> stats() const noexcept {
        iotda_outbox_stats_t stats{};
        stats.struct_size = sizeof stats;
        const Outcome outcome(Status{iotda_outbox_stats(handle_.get(), &stats)});
        return outcome ? Result<iotda_outbox_stats_t>(outcome, std::move(stats))
                       : Result<iotda_outbox_stats_t>(outcome);
    }

    /** Closes it now instead of when it is destroyed. No other call on it may be running. */
    void close() noexcept {
        handle_.reset();
    }
    /** Whether there is an outbox, whatever state it is in. */
    explicit operator bool() const noexcept {
        return handle_ != nullptr;
    }
    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] iotda_outbox_t *native_handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Outbox(iotda_outbox_t *outbox) noexcept : handle_(outbox) {}

    static Result<Outbox> open(const Client &client,
                               const iotda_outbox_options_t &options) noexcept {
        iotda_outbox_t *outbox = nullptr;
        const auto outcome = Outcome::of({}, [&](iotda_call_t *call) {
            return iotda_outbox_open(client.native_handle(), &options, &outbox, call);
        });
        return outcome ? Result<Outbox>(outcome, Outbox(outbox)) : Result<Outbox>(outcome);
    }

    template <class Function>
    static Result<std::uint64_t> put(const CallOptions &options, Function function) noexcept {
        std::uint64_t id = 0;
        const auto outcome =
            Outcome::of(options, [&](iotda_call_t *call) { return function(&id, call); });
        return outcome ? Result<std::uint64_t>(outcome, std::move(id))
                       : Result<std::uint64_t>(outcome);
    }

    detail::Handle<iotda_outbox_t> handle_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_HPP */
