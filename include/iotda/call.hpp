/*
 * libiotda for C++: what one call is given: its time, and what ends it. How it ended is in outcome.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_CALL_HPP
#define IOTDA_CALL_HPP

#include "handle.hpp"
#include "time.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#if __cplusplus >= 202002L
#include <version>
#endif
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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

#ifdef __cpp_lib_jthread
namespace detail {

/* Triggers a Cancel when a stop is requested. */
class Stop {
  public:
    explicit Stop(const std::stop_token &token) : callback_(token, Trigger{cancel}) {}
    Stop(const Stop &) = delete;
    Stop &operator=(const Stop &) = delete;

    Cancel cancel;

  private:
    struct Trigger {
        const Cancel &cancel;
        void operator()() const noexcept {
            cancel.trigger();
        }
    };
    std::stop_callback<Trigger> callback_;
};

} // namespace detail
#endif

/**
 * What one call is given: how long it may take, name look-up and authentication included, and what ends it.
 *
 *   client.report_message("hello");                                  // the client's timeout
 *   client.report_message("hello", 500ms);                           // a timeout of its own
 *   client.report_message("hello", deadline);                        // a time of std::chrono::steady_clock
 *   client.report_message("hello", iotda::CallOptions(500ms).cancelled_by(cancel));
 *
 * From C++20 on, a std::stop_token is taken like a Cancel: client.report_message("hello", stop). That makes a Cancel, in
 * memory of its own, which the options and their copies keep: make the options once for many calls.
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
    CallOptions &cancelled_by(const Cancel &cancel IOTDA_LIFETIMEBOUND) & noexcept {
        cancel_ = cancel.native_handle();
        lacks_handle_ = cancel_ == nullptr;
        stop_.reset();
        return *this;
    }
    [[nodiscard]] CallOptions cancelled_by(const Cancel &cancel IOTDA_LIFETIMEBOUND) && noexcept {
        return cancelled_by(cancel);
    }
    CallOptions &cancelled_by(const Cancel &&) & = delete;
    CallOptions cancelled_by(const Cancel &&) && = delete;

#ifdef __cpp_lib_jthread
    CallOptions(const std::stop_token &token) {
        cancelled_by(token);
    }
    /** The call ends with Status::cancelled when a stop is requested. Instead of a Cancel that was given before. */
    CallOptions &cancelled_by(const std::stop_token &token) & {
        const auto stop = std::make_shared<detail::Stop>(token);
        cancelled_by(stop->cancel);
        stop_ = stop;
        return *this;
    }
    [[nodiscard]] CallOptions cancelled_by(const std::stop_token &token) && {
        return cancelled_by(token);
    }
#endif

  private:
    friend class Outcome;
    enum class Limit { of_client, timeout, deadline };

    Limit limit_ = Limit::of_client;
    std::uint32_t timeout_ms_ = 0;
    std::chrono::steady_clock::time_point deadline_;
    const iotda_cancel_t *cancel_ = nullptr;
    bool lacks_handle_ = false;
    /* What cancel_ is in, if that is not the program's. Of the same size in every language version. */
    std::shared_ptr<const void> stop_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_CALL_HPP */
