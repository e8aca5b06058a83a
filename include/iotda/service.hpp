/*
 * libiotda for C++: what is reported: services and children, as views and as arguments. What owns its memory is in
 * props.hpp and batch.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_SERVICE_HPP
#define IOTDA_SERVICE_HPP

#include "props.hpp"
#include "text.hpp"
#include "time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

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

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_SERVICE_HPP */
