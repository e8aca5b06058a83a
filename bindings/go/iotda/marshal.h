// The structs of a batch with offsets instead of pointers. Go writes where each string begins in the call's text, and
// where a child's services begin among the call's; C turns these offsets into pointers for the duration of the call. If
// Go memory held pointers, cgo would check everything that each of them leads to, and the cost of a batch would grow with
// the square of its size.

#ifndef IOTDA_GO_MARSHAL_H
#define IOTDA_GO_MARSHAL_H

#include "current_call.h"

typedef struct {
    uintptr_t service_id, properties;
    int64_t event_time_ms;
} flat_service_t;

typedef struct {
    uintptr_t device_id, services;
    size_t service_count;
} flat_child_t;

_Static_assert(sizeof(flat_service_t) == sizeof(iotda_service_t) && sizeof(flat_child_t) == sizeof(iotda_child_t) &&
                   offsetof(flat_service_t, event_time_ms) == offsetof(iotda_service_t, event_time_ms) &&
                   offsetof(flat_child_t, service_count) == offsetof(iotda_child_t, service_count),
               "the structs must be as those of iotda.h");

static inline const iotda_service_t *services_of(flat_service_t *services, size_t count, const char *text) {
    for (size_t i = 0; i < count; i++) {
        services[i].service_id += (uintptr_t)text;
        services[i].properties += (uintptr_t)text;
    }
    return (const iotda_service_t *)services;
}

static inline const iotda_child_t *children_of(flat_child_t *children, size_t count, const iotda_service_t *services,
                                               const char *text) {
    for (size_t i = 0; i < count; i++) {
        children[i].device_id += (uintptr_t)text;
        children[i].services = (uintptr_t)(services + children[i].services);
    }
    return (const iotda_child_t *)children;
}

#endif
