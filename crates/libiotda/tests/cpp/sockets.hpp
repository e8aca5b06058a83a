/* A custom transport: blocking sockets and poll(). It calls a function after each send. */
#ifndef SOCKETS_HPP
#define SOCKETS_HPP

#include <iotda.hpp>

#include <atomic>
#include <functional>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

class SocketConnection final : public iotda::Connection {
  public:
    /* How many there are at the moment. */
    static inline std::atomic<int> open{0};

    SocketConnection(int fd, const std::function<void()> &sent) : fd_(fd), sent_(sent) {
        open++;
    }
    ~SocketConnection() override {
        ::close(fd_);
        open--;
    }
    iotda::IoResult send(iotda::Span<const std::byte> data,
                         std::chrono::milliseconds timeout) noexcept override {
        if (!wait(POLLOUT, timeout))
            return iotda::IoResult::timeout();
        const auto count = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
        if (count < 0)
            return iotda::IoResult::failed();
        sent_();
        return iotda::IoResult::moved(static_cast<std::size_t>(count));
    }
    iotda::IoResult receive(iotda::Span<std::byte> buffer,
                            std::chrono::milliseconds timeout) noexcept override {
        if (!wait(POLLIN, timeout))
            return iotda::IoResult::timeout();
        const auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (count < 0)
            return iotda::IoResult::failed();
        return count == 0 ? iotda::IoResult::end()
                          : iotda::IoResult::moved(static_cast<std::size_t>(count));
    }

  private:
    bool wait(short events, std::chrono::milliseconds timeout) const noexcept {
        pollfd entry{fd_, events, 0};
        return ::poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
    }

    int fd_;
    const std::function<void()> &sent_;
};

class Sockets final : public iotda::Transport {
  public:
    /* sent is called after each send that went well. */
    explicit Sockets(std::function<void()> sent) : sent_(std::move(sent)) {}
    bool is_secure() const noexcept override {
        return false;
    }
    std::unique_ptr<iotda::Connection> connect(const char *host, std::uint16_t port,
                                               std::chrono::milliseconds, int) noexcept override {
        addrinfo hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        addrinfo *found = nullptr;
        if (::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0)
            return nullptr;
        const int fd = ::socket(found->ai_family, found->ai_socktype, found->ai_protocol);
        const bool connected = fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0;
        ::freeaddrinfo(found);
        if (connected)
            return std::make_unique<SocketConnection>(fd, sent_);
        if (fd >= 0)
            ::close(fd);
        return nullptr;
    }

  private:
    std::function<void()> sent_;
};

#endif
