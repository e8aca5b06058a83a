/*
 * libiotda for C++: a batch that owns what is in it. A batch of what the program keeps itself is a list of Child, in
 * service.hpp.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_BATCH_HPP
#define IOTDA_BATCH_HPP

#include "service.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace iotda {
inline namespace IOTDA_HPP_VERSION {

/**
 * A batch for Client::gateway_batch that is filled child by child. It copies ids and properties, so that nothing that it
 * was made of need outlive the statement:
 *
 *   iotda::Batch batch;
 *   for (const auto &[id, celsius] : readings)
 *       batch.child(id).service("weather", iotda::Props().add("Temperature", celsius), now);
 *   auto sent = client.gateway_batch(batch);
 *
 * A service is one of the child that was added last. What is wrong with a child (its id, no service, a property that was
 * refused) is said by the call that is given the batch, and holds no other child back. A batch can be reported again, and
 * cleared and filled again, which keeps its memory.
 */
class Batch {
    template <class T>
    using IsProps = std::is_same<std::remove_cv_t<std::remove_reference_t<T>>, Props>;
    template <class Object>
    using Fits =
        std::enable_if_t<IsProps<Object>::value || std::is_constructible_v<TextArgument, Object>,
                         int>;

  public:
    /** Adds a child, as yet without services. Its place in the batch is that of its status in the BatchOutcome. */
    Batch &child(const TextArgument &device_id) & {
        children_.push_back({add(device_id.c_str()), services_.size(), IOTDA_TIME_NONE});
        return *this;
    }
    /** Adds a service to the last child: properties are a Props, or the text of a JSON object. */
    template <class Object, Fits<Object> = 0>
    Batch &service(const TextArgument &id, Object &&properties) & {
        return add_service(id, std::forward<Object>(properties), IOTDA_TIME_NONE);
    }
    /** The same with the time at which the values were measured: see Service. */
    template <class Object, class Duration, Fits<Object> = 0>
    Batch &service(const TextArgument &id, Object &&properties,
                   std::chrono::time_point<std::chrono::system_clock, Duration> time) & {
        return add_service(id, std::forward<Object>(properties), detail::event_time_ms(time));
    }
    [[nodiscard]] Batch child(const TextArgument &device_id) && {
        return std::move(child(device_id));
    }
    template <class Object, Fits<Object> = 0>
    [[nodiscard]] Batch service(const TextArgument &id, Object &&properties) && {
        return std::move(service(id, std::forward<Object>(properties)));
    }
    template <class Object, class Duration, Fits<Object> = 0>
    [[nodiscard]] Batch
    service(const TextArgument &id, Object &&properties,
            std::chrono::time_point<std::chrono::system_clock, Duration> time) && {
        return std::move(service(id, std::forward<Object>(properties), time));
    }

    /** The number of children. */
    [[nodiscard]] std::size_t size() const noexcept {
        return children_.size();
    }
    [[nodiscard]] bool empty() const noexcept {
        return children_.empty();
    }
    /** The id of the child of this index, which is below size(). Valid until this is changed. */
    [[nodiscard]] const char *child_id(std::size_t index) const & noexcept IOTDA_LIFETIMEBOUND {
        return text(children_[index].id);
    }
    const char *child_id(std::size_t) const && = delete;

    /** Removes all children. */
    void clear() noexcept {
        text_.clear();
        services_.clear();
        children_.clear();
    }

  private:
    friend class Client;
    friend class Outbox;

    /* Where a text is in text_, or that it is NULL; see text(). */
    using Place = std::size_t;
    static constexpr Place null = static_cast<Place>(-1);

    /* A service, or a child. */
    struct Own {
        Place id;
        /* Of a service: its properties. Of a child: its first service, up to the first one of the next child. */
        std::size_t what;
        std::int64_t event_time_ms;
    };

    /* The batch as the library takes it, for as long as the batch is not changed. */
    class Native {
      public:
        explicit Native(const Batch &batch)
            : services_(batch.services_.size(), Service("", "")),
              children_(batch.size(), Child("", Span<const Service>())) {
            for (std::size_t i = 0; i < services_.size(); i++) {
                const auto &own = batch.services_[i];
                services_[i] =
                    Service(CStringView(batch.text(own.id)), CStringView(batch.text(own.what)));
                services_[i].event_time_ms = own.event_time_ms;
            }
            for (std::size_t i = 0; i < children_.size(); i++) {
                const auto &own = batch.children_[i];
                const auto end =
                    i + 1 < children_.size() ? batch.children_[i + 1].what : services_.size();
                const Span<const Service> list(services_.data() + own.what, end - own.what);
                children_[i] = Child(CStringView(batch.text(own.id)), list);
            }
        }
        Native(const Native &) = delete;
        Native &operator=(const Native &) = delete;

        [[nodiscard]] Span<const Child> children() const noexcept {
            return children_;
        }

      private:
        std::vector<Service> services_;
        std::vector<Child> children_;
    };

    Place add(const char *text) {
        if (text == nullptr)
            return null;
        const auto place = text_.size();
        text_.append(text, std::strlen(text) + 1);
        return place;
    }
    [[nodiscard]] const char *text(Place place) const noexcept {
        return place == null ? nullptr : text_.data() + place;
    }

    template <class Object>
    Batch &add_service(const TextArgument &id, Object &&properties, std::int64_t time_ms) {
        /* Of no child: of one without an id, which is refused. */
        if (children_.empty())
            children_.push_back({null, 0, IOTDA_TIME_NONE});
        Own own{add(id.c_str()), null, time_ms};
        if constexpr (IsProps<Object>::value)
            own.what = add(Service("", static_cast<const Props &>(properties)).properties);
        else
            own.what = add(TextArgument(std::forward<Object>(properties)).c_str());
        services_.push_back(own);
        return *this;
    }

    /* Terminated texts, one after the other. */
    std::string text_;
    std::vector<Own> services_;
    std::vector<Own> children_;
};

} // namespace IOTDA_HPP_VERSION
} // namespace iotda

#endif /* IOTDA_BATCH_HPP */
