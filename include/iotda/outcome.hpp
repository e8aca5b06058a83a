/*
 * libiotda for C++: how a call ended, and what it returned.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_OUTCOME_HPP
#define IOTDA_OUTCOME_HPP

#include "call.hpp"
#include "text.hpp"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus > 202002L
#include <version>
#endif
#ifdef __cpp_lib_expected
#include <expected>
#endif

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

namespace detail {

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

} // namespace detail

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

#ifdef __cpp_lib_expected
    /** The same as a std::expected, for C++23. */
    [[nodiscard]] std::expected<void, Outcome> to_expected() const noexcept {
        if (ok())
            return {};
        return std::expected<void, Outcome>(std::unexpect, *this);
    }
#endif

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
    template <class... Parameters, class... Arguments>
    static Outcome of(const CallOptions &options, iotda_status_t (*function)(Parameters...),
                      Arguments... arguments) noexcept {
        Outcome outcome;
        if (!outcome.prepare(options))
            return outcome;
        outcome.status_ = Status{function(arguments..., &outcome.call_)};
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

#ifdef __cpp_lib_expected
    /** The same as a std::expected, for C++23: const auto client = iotda::Client::make(config).to_expected(); */
    [[nodiscard]] std::expected<T, Outcome> to_expected() && {
        if (value_)
            return std::move(*value_);
        return std::expected<T, Outcome>(std::unexpect, *this);
    }
    [[nodiscard]] std::expected<T, Outcome> to_expected() const & {
        if (value_)
            return *value_;
        return std::expected<T, Outcome>(std::unexpect, *this);
    }
#endif

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

#ifdef __cpp_lib_expected
    /** The same as a std::expected, for C++23; what failed still has the children. */
    [[nodiscard]] std::expected<void, BatchOutcome> to_expected() const {
        if (ok())
            return {};
        return std::expected<void, BatchOutcome>(std::unexpect, *this);
    }
#endif

  private:
    friend class Client;
    friend class Outbox;

    /* In this order, so that a program's {} is no statuses of its own. */
    BatchOutcome(std::vector<iotda_status_t> &&child_status, const Outcome &outcome) noexcept
        : Outcome(outcome), child_status_(std::move(child_status)) {}

    std::vector<iotda_status_t> child_status_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_OUTCOME_HPP */
