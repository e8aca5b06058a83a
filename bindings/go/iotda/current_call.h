// Which call of Go's the C library is at work on in this thread: a log line is of that call, and its context goes to the
// handler. The library's own threads have none. Read by callbacks.go.

#ifndef IOTDA_GO_CURRENT_CALL_H
#define IOTDA_GO_CURRENT_CALL_H

#include "iotda.h"

// Defined in config_cgo.go. It points to the call of a work (callbuffer.go), which outlives the call into C.
extern __attribute__((visibility("hidden"))) _Thread_local iotda_call_t *iotda_go_call;

// begin_call and end_call stand around a call into the library. A log handler may call another client: calls nest.
static inline iotda_call_t *begin_call(iotda_call_t *call) {
    iotda_call_t *before = iotda_go_call;
    iotda_go_call = call;
    return before;
}

static inline iotda_status_t end_call(iotda_call_t *before, iotda_status_t status) {
    iotda_go_call = before;
    return status;
}

#endif
