/*
 * libiotda for C++: who reports.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_CLIENT_HPP
#define IOTDA_CLIENT_HPP

#include "batch.hpp"
#include "config.hpp"
#include "outcome.hpp"
#include "service.hpp"

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

namespace detail {

/* How often one text is in another. */
inline std::size_t count(std::string_view text, std::string_view part) noexcept {
    std::size_t found = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        found++;
    return found;
}

/* Where statuses are to be written: never NULL, which would mean that nobody wants them. */
inline iotda_status_t *room(std::vector<iotda_status_t> &statuses) noexcept {
    static iotda_status_t none;
    return statuses.empty() ? &none : statuses.data();
}

} // namespace detail

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
        const auto outcome = Outcome::of({}, iotda_init, config.native_handle(), &client);
        return made(outcome, client);
    }

    /**
     * Makes a client for another device. It shares connections, TLS sessions and addresses with this one, and
     * its other settings; either may go first. Uses no network.
     */
    [[nodiscard]] Result<Client> open_device(const TextArgument &device_id,
                                             Bytes secret) const noexcept {
        iotda_client_t *device = nullptr;
        const auto outcome = Outcome::of({}, iotda_open_device, handle_.get(), device_id.c_str(),
                                         secret.data(), secret.size(), &device);
        return made(outcome, device);
    }

    /**
     * The same with an access token of the device, which export_token or the token callback gave: it spares an
     * authentication. One that is damaged, expired, or of another device or endpoint is not used; "": none.
     */
    [[nodiscard]] Result<Client> open_device(const TextArgument &device_id, Bytes secret,
                                             const TextArgument &token) const noexcept {
        iotda_client_t *device = nullptr;
        const auto outcome =
            Outcome::of({}, iotda_open_device_with_token, handle_.get(), device_id.c_str(),
                        secret.data(), secret.size(), token.c_str(), &device);
        return made(outcome, device);
    }

    /**
     * Authenticates, unless there is an access token that is valid and not yet due to be renewed. Optional, unless
     * Config::set_authentication says otherwise: it shows early whether the settings are right.
     */
    Outcome auth(const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_auth, handle_.get());
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
    /** The same from its parts: client.report_props("weather", json.dump(), 5s). */
    template <class Id, class Object,
              std::enable_if_t<std::is_constructible_v<ServiceArgument, Id, Object>, int> = 0>
    Outcome report_props(Id &&id, Object &&properties, const CallOptions &options = {}) const {
        return report_props(ServiceArgument(std::forward<Id>(id), std::forward<Object>(properties)),
                            options);
    }
    template <class Id, class Object, class Duration,
              std::enable_if_t<std::is_constructible_v<ServiceArgument, Id, Object>, int> = 0>
    Outcome report_props(Id &&id, Object &&properties,
                         std::chrono::time_point<std::chrono::system_clock, Duration> time,
                         const CallOptions &options = {}) const {
        return report_props(
            ServiceArgument(std::forward<Id>(id), std::forward<Object>(properties), time), options);
    }
    /** Reports properties by a request body that the program made itself. It is checked, and sent as it is, without a copy here. */
    Outcome report_props_json(std::string_view json,
                              const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_report_props_json, handle_.get(), json.data(),
                           json.size());
    }

    /** Reports a message of the device: any bytes, also none. */
    Outcome report_message(Bytes data, const CallOptions &options = {}) const noexcept {
        return Outcome::of(options, iotda_report_message, handle_.get(), data.data(), data.size());
    }

    /**
     * Reports properties of child devices of this gateway, any number from one up, in as many requests as the
     * platform's limits ask for. Status::partial if some were delivered and others were not. Allocates room for
     * a status for each child.
     */
    BatchOutcome gateway_batch(Span<const Child> children, const CallOptions &options = {}) const {
        std::vector<iotda_status_t> child_status(children.size());
        const auto outcome = gateway_batch(children, child_status, options);
        return BatchOutcome(std::move(child_status), outcome);
    }
    BatchOutcome gateway_batch(const Batch &batch, const CallOptions &options = {}) const {
        return gateway_batch(Batch::Native(batch).children(), options);
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
        auto outcome = Outcome::of(options, iotda_gateway_batch, handle_.get(), children.data(),
                                   children.size(), child_status.data());
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
            const auto outcome = Outcome::of(options, iotda_gateway_batch_json, handle_.get(),
                                             json.data(), json.size(), detail::room(child_status),
                                             child_status.size(), &children);
            const bool too_few = children > child_status.size();
            child_status.resize(children);
            if (!too_few)
                return BatchOutcome(std::move(child_status), outcome);
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
        return Outcome::of({}, iotda_check_props_json, json.data(), json.size());
    }
    /** The same for report_message. */
    static Outcome check_message(Bytes data) noexcept {
        return Outcome::of({}, iotda_check_message, data.data(), data.size());
    }
    /** The same for gateway_batch, for each child; the whole is as the first child that would be left out. */
    static BatchOutcome check_batch(Span<const Child> children) {
        std::vector<iotda_status_t> child_status(children.size());
        auto outcome = Outcome::of({}, iotda_check_batch, children.data(), children.size(),
                                   detail::room(child_status));
        if (!outcome)
            explain(outcome, children);
        return BatchOutcome(std::move(child_status), outcome);
    }
    static BatchOutcome check_batch(const Batch &batch) {
        return check_batch(Batch::Native(batch).children());
    }

    /** Counters since the client was made, over all devices that share its connections. Never blocks. */
    [[nodiscard]] Result<iotda_stats_t> stats() const noexcept {
        iotda_stats_t stats{};
        stats.struct_size = sizeof stats;
        const Outcome outcome(Status{::iotda_stats(handle_.get(), &stats)});
        return outcome ? Result<iotda_stats_t>(outcome, std::move(stats))
                       : Result<iotda_stats_t>(outcome);
    }

    /** The platform's time, to the second; nothing if no answer has said it yet. Never blocks. */
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
     * How long the present access token is still valid; nothing if there is no valid one, or if the platform did not
     * say how long it lasts. Never blocks.
     */
    [[nodiscard]] std::optional<std::chrono::milliseconds> token_remaining() const noexcept {
        const auto ms = iotda_token_remaining_ms(handle_.get());
        if (ms == 0)
            return std::nullopt;
        return std::chrono::milliseconds(ms);
    }

    /**
     * Puts an access token of this device to use that export_token or the token callback gave, in this process or in
     * another, instead of the present one. One that is damaged, expired, or of another device or endpoint is refused
     * (Status::invalid_argument), and the present one stays. Never blocks.
     */
    Outcome import_token(const TextArgument &token) const noexcept {
        return Outcome::of({}, iotda_token_import, handle_.get(), token.c_str());
    }

    /** Closes the client now instead of when it is destroyed. No other call on it may be running. */
    void close() noexcept {
        handle_.reset();
    }
    /** Whether there is a client, whatever state it is in. */
    explicit operator bool() const noexcept {
        return handle_.get() != nullptr;
    }
    /** The handle for functions of iotda.h; it stays this object's. */
    [[nodiscard]] iotda_client_t *native_handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Client(iotda_client_t *client) noexcept : handle_(client) {}

    Outcome report(Span<const iotda_service_t> services,
                   const CallOptions &options) const noexcept {
        auto outcome = Outcome::of(options, iotda_report_props, handle_.get(), services.data(),
                                   services.size());
        if (outcome.status() == Status::invalid_argument)
            outcome.explain(services, detail::Line("services"));
        return outcome;
    }

    static Outcome check(Span<const iotda_service_t> services) noexcept {
        auto outcome = Outcome::of({}, iotda_check_props, services.data(), services.size());
        if (outcome.status() == Status::invalid_argument)
            outcome.explain(services, detail::Line("services"));
        return outcome;
    }

    Outcome export_to(Span<char> out, std::size_t &length) const noexcept {
        return Outcome::of({}, iotda_token_export, handle_.get(), out.data(), out.size(), &length);
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

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_CLIENT_HPP */
