/*
 * libiotda for C++: reports that outlive outages and restarts.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_OUTBOX_HPP
#define IOTDA_OUTBOX_HPP

#include "client.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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

    OutboxOptions &max_bytes(std::uint64_t bytes) & noexcept {
        native_.max_bytes = bytes;
        return *this;
    }
    /** Rounded up to the next second. */
    template <class Rep, class Period>
    OutboxOptions &max_age(std::chrono::duration<Rep, Period> age) & noexcept {
        native_.max_age_s = detail::seconds(age);
        return *this;
    }
    /** Default: 1 s. Zero: what is put is on disk when the put returns. */
    template <class Rep, class Period>
    OutboxOptions &sync_within(std::chrono::duration<Rep, Period> window) & noexcept {
        native_.sync_ms = detail::milliseconds(window);
        return *this;
    }
    OutboxOptions &coalesce_bytes(std::uint32_t bytes) & noexcept {
        native_.coalesce_bytes = bytes;
        return *this;
    }
    template <class Rep, class Period>
    OutboxOptions &linger(std::chrono::duration<Rep, Period> time) & noexcept {
        native_.linger_ms = detail::milliseconds(time);
        return *this;
    }
    OutboxOptions &requests_at_once(std::uint32_t requests) & noexcept {
        native_.requests_at_once = requests;
        return *this;
    }
    OutboxOptions &when_full(WhenFull what) & noexcept {
        native_.when_full = static_cast<std::int32_t>(what);
        return *this;
    }
    /** Default: true. false: Outbox::pump delivers. */
    OutboxOptions &start_worker(bool start) & noexcept {
        native_.start_worker = start;
        return *this;
    }
    OutboxOptions &pad_commits(bool pad) & noexcept {
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
     * The same with a callable that is given what became of each entry: its id, the device, a Status and a message, which
     * are valid during the call alone. See iotda_outbox_settled_t for what it may call; if it throws, the program
     * ends. It is copied or moved to memory of its own. An empty std::function: as without.
     */
    template <class Settled>
    [[nodiscard]] static Result<Outbox> open(const Client &client, const OutboxOptions &options,
                                             Settled settled) {
        if (detail::is_empty(settled))
            return open(client, options);
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
        return Outcome::of({}, iotda_outbox_attach, handle_.get(), device.native_handle());
    }

    /** Puts properties of a device; returns the entry's id. */
    Result<std::uint64_t> put_props(const Client &device, Span<const Service> services,
                                    const CallOptions &options = {}) const noexcept {
        return put(options, iotda_outbox_put_props, handle_.get(), device.native_handle(),
                   services.data(), services.size());
    }
    /** The same for one service: its id, its properties and, perhaps, its time. */
    Result<std::uint64_t> put_props(const Client &device, const ServiceArgument &service,
                                    const CallOptions &options = {}) const noexcept {
        const auto native = service.native();
        return put(options, iotda_outbox_put_props, handle_.get(), device.native_handle(), &native,
                   std::size_t{1});
    }
    Result<std::uint64_t> put_props_json(const Client &device, std::string_view json,
                                         const CallOptions &options = {}) const noexcept {
        return put(options, iotda_outbox_put_props_json, handle_.get(), device.native_handle(),
                   json.data(), json.size());
    }
    Result<std::uint64_t> put_message(const Client &device, Bytes data,
                                      const CallOptions &options = {}) const noexcept {
        return put(options, iotda_outbox_put_message, handle_.get(), device.native_handle(),
                   data.data(), data.size());
    }
    /** Puts properties of children of a gateway, all or none; returns the id of the first one's entry. */
    Result<std::uint64_t> put_batch(const Client &gateway, Span<const Child> children,
                                    const CallOptions &options = {}) const noexcept {
        return put(options, iotda_outbox_put_batch, handle_.get(), gateway.native_handle(),
                   children.data(), children.size());
    }
    Result<std::uint64_t> put_batch(const Client &gateway, const Batch &batch,
                                    const CallOptions &options = {}) const {
        return put_batch(gateway, Batch::Native(batch).children(), options);
    }
    Result<std::uint64_t> put_batch_json(const Client &gateway, std::string_view json,
                                         const CallOptions &options = {}) const noexcept {
        return put(options, iotda_outbox_put_batch_json, handle_.get(), gateway.native_handle(),
                   json.data(), json.size());
    }

    /** Returns when all that was put is on disk. */
    Outcome sync(const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_outbox_sync, handle_.get());
    }
    /** Delivers what is due, in this thread. Its retry_after() says when to pump again; nothing: nothing waits. */
    Outcome pump(const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_outbox_pump, handle_.get());
    }
    /** Waits until all that was put before is settled. */
    Outcome flush(const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_outbox_flush, handle_.get());
    }
    /** The network is back. */
    void wake() const noexcept {
        iotda_outbox_wake(handle_.get());
    }
    /** Gives up what waits for a device; returns how many entries that were. */
    Result<std::uint64_t> discard(const TextArgument &device_id) const noexcept {
        return put({}, iotda_outbox_discard, handle_.get(), device_id.c_str());
    }
    /** The first dead letter after this number (0: the first of all); nothing if there is none. */
    [[nodiscard]] Result<std::optional<DeadLetter>> dead_read(std::uint64_t cursor = 0) const {
        DeadLetter letter{};
        letter.struct_size = sizeof(iotda_dead_t);
        for (;;) {
            std::size_t length = 0;
            const auto outcome =
                Outcome::of({}, iotda_outbox_dead_read, handle_.get(), cursor, &letter,
                            letter.body.data(), letter.body.size(), &length);
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
        return handle_.get() != nullptr;
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
        const auto outcome =
            Outcome::of({}, iotda_outbox_open, client.native_handle(), &options, &outbox);
        return outcome ? Result<Outbox>(outcome, Outbox(outbox)) : Result<Outbox>(outcome);
    }

    template <class... Parameters, class... Arguments>
    static Result<std::uint64_t> put(const CallOptions &options,
                                     iotda_status_t (*function)(Parameters...),
                                     Arguments... arguments) noexcept {
        std::uint64_t number = 0;
        const auto outcome = Outcome::of(options, function, arguments..., &number);
        return outcome ? Result<std::uint64_t>(outcome, std::move(number))
                       : Result<std::uint64_t>(outcome);
    }

    detail::Handle<iotda_outbox_t> handle_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_OUTBOX_HPP */
