/*
 * libiotda for C++: the settings of a client.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_CONFIG_HPP
#define IOTDA_CONFIG_HPP

#include "handle.hpp"
#include "text.hpp"
#include "time.hpp"
#include "transport.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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
    Config &set_endpoint(const TextArgument &url) & noexcept {
        return after(iotda_config_set_endpoint(handle_.get(), url.c_str()));
    }
    /** Required. The device's id, and its secret: any bytes, at least one. */
    Config &set_device(const TextArgument &device_id, Bytes secret) & noexcept {
        return after(iotda_config_set_device(handle_.get(), device_id.c_str(), secret.data(),
                                             secret.size()));
    }
    /** 0 (default): the device's clock does not matter. 1: the platform compares it with its own. */
    Config &set_sign_type(std::int32_t sign_type) & noexcept {
        return after(iotda_config_set_sign_type(handle_.get(), sign_type));
    }
    /** The most that a whole call may take, if it says nothing else. Default: 30 s. */
    template <class Rep, class Period>
    Config &set_timeout(std::chrono::duration<Rep, Period> total) & noexcept {
        return after(iotda_config_set_timeout_ms(handle_.get(), detail::milliseconds(total)));
    }
    /** The most that connecting may take, TCP and TLS together. Default: 10 s. */
    template <class Rep, class Period>
    Config &set_connect_timeout(std::chrono::duration<Rep, Period> connect) & noexcept {
        const auto ms = detail::milliseconds(connect);
        return after(iotda_config_set_connect_timeout_ms(handle_.get(), ms));
    }
    /** The most that one attempt of a call may take, connecting included. Default: 10 s. */
    template <class Rep, class Period>
    Config &set_attempt_timeout(std::chrono::duration<Rep, Period> attempt) & noexcept {
        const auto ms = detail::milliseconds(attempt);
        return after(iotda_config_set_attempt_timeout_ms(handle_.get(), ms));
    }
    /** How often a call is tried in all, and the pauses between. Default: 10 times, 500 ms, 10 s. */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Config &set_retry(std::uint32_t max_attempts, std::chrono::duration<Rep1, Period1> base,
                      std::chrono::duration<Rep2, Period2> max) & noexcept {
        return after(iotda_config_set_retry(handle_.get(), max_attempts, detail::milliseconds(base),
                                            detail::milliseconds(max)));
    }
    /** The platform's rates where they are known, in reports per second; 0 (default): not known. */
    Config &set_rates(double device_per_second, double tenant_per_second) & noexcept {
        return after(iotda_config_set_rates(handle_.get(), device_per_second, tenant_per_second));
    }
    /**
     * The most connections that are kept open unused, and for how long. Default: IOTDA_POOL_AS_USED, as many as were
     * lately used at the same time, for 55 s.
     */
    template <class Rep, class Period>
    Config &set_pool(std::uint32_t kept_connections,
                     std::chrono::duration<Rep, Period> kept) & noexcept {
        const auto ms = detail::milliseconds(kept);
        return after(iotda_config_set_pool(handle_.get(), kept_connections, ms));
    }
    /** The most connections that are used at the same time, at least 1; further calls wait. Default: 256. */
    Config &set_max_connections(std::uint32_t most) & noexcept {
        return after(iotda_config_set_max_connections(handle_.get(), most));
    }
    /** TCP keep-alive after so long without traffic, in whole seconds, rounded up; 0 (default): never. */
    template <class Rep, class Period>
    Config &set_tcp_keepalive(std::chrono::duration<Rep, Period> idle) & noexcept {
        return after(iotda_config_set_tcp_keepalive_s(handle_.get(), detail::seconds(idle)));
    }
    /** An access token that Client::export_token gave before a restart; "" (default): none. */
    Config &set_token(const TextArgument &token) & noexcept {
        return after(iotda_config_set_token(handle_.get(), token.c_str()));
    }
    /** With Authentication::when_asked, Client::auth alone authenticates, and no report does. Default: when_needed. */
    Config &set_authentication(Authentication when) & noexcept {
        return after(
            iotda_config_set_authentication(handle_.get(), static_cast<std::int32_t>(when)));
    }

    /** The certificate authorities to trust instead of those that are built in: PEM text. */
    Config &set_ca_pem(Bytes pem) & noexcept {
        return after(iotda_config_set_ca_pem(handle_.get(), pem.data(), pem.size()));
    }
    /** As set_ca_pem, from a file, which is read at once. May block on the file system. */
    Config &set_ca_file(const TextArgument &path) & noexcept {
        return after(iotda_config_set_ca_file(handle_.get(), path.c_str()));
    }
    /** Certificate authorities to trust beside those that are trusted already: PEM text. */
    Config &add_ca_pem(Bytes pem) & noexcept {
        return after(iotda_config_add_ca_pem(handle_.get(), pem.data(), pem.size()));
    }
    /** As add_ca_pem, from a file, which is read at once. May block on the file system. */
    Config &add_ca_file(const TextArgument &path) & noexcept {
        return after(iotda_config_add_ca_file(handle_.get(), path.c_str()));
    }
    /** The device's own certificate chain and private key, both PEM text. */
    Config &set_client_certificate(Bytes chain_pem, Bytes key_pem) & noexcept {
        return after(iotda_config_set_client_certificate(
            handle_.get(), chain_pem.data(), chain_pem.size(), key_pem.data(), key_pem.size()));
    }
    /** A key that the server must have: the 32 bytes of the SHA-256 of its SubjectPublicKeyInfo. */
    Config &add_pinned_key(Bytes sha256) & noexcept {
        return after(iotda_config_add_pinned_key(handle_.get(), sha256.data(), sha256.size()));
    }
    /** Whether TLS 1.3 is offered beside 1.2. Default: false. */
    Config &set_tls_1_3(bool offer) & noexcept {
        return after(iotda_config_set_tls_1_3(handle_.get(), offer));
    }

    /** The proxy, "http://host:port" or "http://user:password@host:port"; "" (default): none. */
    Config &set_proxy(const TextArgument &url) & noexcept {
        return after(iotda_config_set_proxy(handle_.get(), url.c_str()));
    }
    /** Takes the proxy from the environment, now; the endpoint must have been set. */
    Config &set_proxy_from_environment() & noexcept {
        return after(iotda_config_set_proxy_from_environment(handle_.get()));
    }
    /**
     * A custom transport. It is owned from now on, and destroyed, in any thread, when the
     * config and all clients made of it are gone.
     */
    Config &set_transport(std::unique_ptr<Transport> transport) & noexcept {
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
            if (detail::is_empty(clock))
                return set_clock(nullptr);
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
            if (detail::is_empty(log))
                return set_log(level, nullptr);
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
            if (detail::is_empty(issued))
                return set_token_callback(nullptr);
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

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_CONFIG_HPP */
