/*
 * What the C++ header promises of its types, to the compiler: what can be moved and what copied, what converts to what,
 * and what does not compile since it would dangle.
 */
#ifndef CONTRACT_TYPES_HPP
#define CONTRACT_TYPES_HPP

#include <iotda.hpp>

#include <array>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace contract {

using iotda::CStringView, iotda::Props, iotda::Service, iotda::Child, iotda::Span;

template <class T>
using MovesOnly =
    std::conjunction<std::is_nothrow_move_constructible<T>, std::is_nothrow_move_assignable<T>,
                     std::negation<std::is_copy_constructible<T>>,
                     std::negation<std::is_copy_assignable<T>>>;

static_assert(MovesOnly<iotda::Client>::value);
static_assert(MovesOnly<iotda::Config>::value);
static_assert(MovesOnly<iotda::Cancel>::value);
static_assert(MovesOnly<iotda::Props>::value);
static_assert(!std::is_copy_constructible_v<iotda::Result<iotda::Client>>);
static_assert(std::is_copy_constructible_v<iotda::Batch> &&
              std::is_nothrow_move_constructible_v<iotda::Batch>);
static_assert(std::is_nothrow_move_constructible_v<iotda::Result<iotda::Client>>);
static_assert(std::is_copy_constructible_v<iotda::Outcome>);
static_assert(!std::is_convertible_v<iotda::Outcome, bool> &&
              std::is_constructible_v<bool, iotda::Outcome>);

/* What would dangle, or has no end, does not compile. */
static_assert(std::is_convertible_v<const std::string &, CStringView>);
static_assert(!std::is_constructible_v<CStringView, std::string>);
static_assert(!std::is_constructible_v<CStringView, std::string_view>);
static_assert(std::is_constructible_v<Service, const char *, Props &>);
static_assert(!std::is_constructible_v<Service, const char *, Props>);
static_assert(!std::is_constructible_v<Service, const char *, std::string>);
static_assert(std::is_constructible_v<Child, const char *, std::vector<Service> &>);
static_assert(!std::is_constructible_v<Child, const char *, std::vector<Service>>);
static_assert(std::is_constructible_v<Child, const char *, Service &>);
static_assert(!std::is_constructible_v<Child, const char *, Service>);
static_assert(!std::is_constructible_v<Child, const char *, const Service>);
static_assert(!std::is_constructible_v<Child, const char *, std::array<Service, 1>>);
static_assert(!std::is_constructible_v<Child, const char *, const std::array<Service, 1>>);
static_assert(std::is_constructible_v<Child, const char *, const std::array<Service, 1> &>);
static_assert(std::is_constructible_v<Child, const char *, Span<const Service>>);
static_assert(!std::is_constructible_v<Service, const char *, const Props>);
static_assert(!std::is_constructible_v<Service, const char *, const std::string>);
static_assert(!std::is_constructible_v<Service, const char *, const Props, iotda::SystemTime>);
static_assert(std::is_same_v<decltype(Props().add("a", 1)), Props>);
static_assert(std::is_same_v<decltype(Props().add("a", "b")), Props>);
static_assert(std::is_same_v<decltype(Props().add_json("a", "1")), Props>);
static_assert(std::is_same_v<decltype(std::declval<Props &>().add("a", 1)), Props &>);
template <class T> using JsonOf = decltype(std::declval<T>().json());
template <class T> using SetterOf = decltype(std::declval<T>().set_sign_type(0));
template <template <class> class Use, class T, class = void> constexpr bool compiles = false;
template <template <class> class Use, class T>
constexpr bool compiles<Use, T, std::void_t<Use<T>>> = true;
static_assert(compiles<JsonOf, const Props &> && !compiles<JsonOf, Props>);
static_assert(compiles<SetterOf, iotda::Config &> && !compiles<SetterOf, iotda::Config>);
static_assert(!std::is_constructible_v<iotda::CallOptions, iotda::Cancel>);
static_assert(!std::is_constructible_v<iotda::CallOptions, const iotda::Cancel>);
static_assert(
    std::is_same_v<decltype(iotda::CallOptions().cancelled_by(std::declval<iotda::Cancel &>())),
                   iotda::CallOptions>);

/* What is no text, or has no end. */
static_assert(!std::is_constructible_v<CStringView, std::nullptr_t>);
static_assert(!std::is_constructible_v<iotda::TextArgument, std::nullptr_t>);
static_assert(!std::is_constructible_v<iotda::Bytes, std::nullptr_t>);
static_assert(std::is_convertible_v<std::chrono::nanoseconds, iotda::CallOptions>);
static_assert(std::is_convertible_v<std::chrono::hours, iotda::CallOptions>);
static_assert(std::is_convertible_v<std::chrono::steady_clock::time_point, iotda::CallOptions>);
static_assert(!std::is_convertible_v<int, iotda::CallOptions>);

/* A span is made of what holds its elements, and of nothing that could be written to by mistake. */
static_assert(std::is_convertible_v<std::vector<Service>, Span<const Service>>);
static_assert(std::is_convertible_v<const std::array<Service, 2> &, Span<const Service>>);
static_assert(std::is_convertible_v<Service (&)[3], Span<const Service>>);
static_assert(std::is_convertible_v<std::vector<int> &, Span<int>>);
static_assert(!std::is_constructible_v<Span<int>, std::vector<int>>);
static_assert(!std::is_constructible_v<Span<int>, const std::vector<int> &>);
static_assert(!std::is_constructible_v<Span<const iotda_service_t>, std::vector<Service>>);
#if __cplusplus >= 202002L
static_assert(std::is_convertible_v<std::span<Service>, Span<const Service>>);
static_assert(std::is_convertible_v<std::span<int>, Span<int>>);
static_assert(!std::is_constructible_v<Span<int>, std::span<const int>>);
static_assert(std::is_convertible_v<std::span<const std::byte>, iotda::Bytes>);
#endif

/* One service is given as its parts, or as one argument; what is no properties is neither. */
template <class... Arguments>
using Reported =
    decltype(std::declval<const iotda::Client &>().report_props(std::declval<Arguments>()...));
template <class Void, class... Arguments> constexpr bool can_be_reported_as = false;
template <class... Arguments>
constexpr bool can_be_reported_as<std::void_t<Reported<Arguments...>>, Arguments...> = true;
template <class... Arguments>
constexpr bool can_be_reported = can_be_reported_as<void, Arguments...>;
static_assert(can_be_reported<const char *, Props> && can_be_reported<std::string, std::string>);
static_assert(can_be_reported<const char *, Props &, iotda::SystemTime, std::chrono::seconds>);
static_assert(can_be_reported<std::vector<Service>, std::chrono::seconds>);
static_assert(!can_be_reported<const char *> && !can_be_reported<const char *, int>);
static_assert(!can_be_reported<std::nullptr_t, Props> &&
              !can_be_reported<const char *, std::chrono::seconds>);

/* Characters are no numbers. */
template <class T, class = void> constexpr bool can_be_added = false;
template <class T>
constexpr bool
    can_be_added<T, std::void_t<decltype(std::declval<Props &>().add("", std::declval<T>()))>> =
        true;
static_assert(can_be_added<unsigned char> && can_be_added<std::string_view> && can_be_added<float>);
static_assert(!can_be_added<char> && !can_be_added<wchar_t> && !can_be_added<void *>);

} // namespace contract

#endif
