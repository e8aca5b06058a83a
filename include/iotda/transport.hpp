/*
 * libiotda for C++: a way to the network that the program supplies. It is given to config.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_TRANSPORT_HPP
#define IOTDA_TRANSPORT_HPP

#include "text.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_TRANSPORT_HPP */
