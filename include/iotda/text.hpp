/*
 * libiotda for C++: elements, bytes and text that belong to somebody else, as arguments. What is no text is found here,
 * and refused by the library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_TEXT_HPP
#define IOTDA_TEXT_HPP

#include "status.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_TEXT_HPP */
