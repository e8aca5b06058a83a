// How the calls of an outbox reach the C library, and how its end is brought together with those that still run.

package iotda

/*
#include "marshal.h"

// Exported by callbacks.go and outbox_callback.go.
extern void goIotdaRelease(uintptr_t handle);
extern void goIotdaSettled(uintptr_t handle, uint64_t id, char *device_id, int32_t status, char *message);

// How deep in Settled this thread is: what is put there may settle others.
static _Thread_local int settling;

static bool is_in_settled(void) {
    return settling > 0;
}

static void on_settled(void *user_data, uint64_t id, const char *device_id, iotda_status_t status,
                       const char *message) {
    settling++;
    goIotdaSettled((uintptr_t)user_data, id, (char *)device_id, status, (char *)message);
    settling--;
}

static void on_release(void *user_data) {
    goIotdaRelease((uintptr_t)user_data);
}

// The directory is passed by itself: options with a pointer of Go's in them could not be.
static iotda_status_t outbox_open(iotda_client_t *client, iotda_outbox_options_t options, const char *directory,
                                  uintptr_t settled, iotda_outbox_t **outbox, iotda_call_t *call) {
    options.struct_size = sizeof options;
    options.directory = directory;
    options.start_worker = true;
    if (settled != 0) {
        options.settled = on_settled;
        options.user_data = (void *)settled;
        options.destroy = on_release;
    }
    return iotda_outbox_open(client, &options, outbox, call);
}

static inline iotda_status_t outbox_attach(iotda_outbox_t *outbox, iotda_client_t *device, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_attach(outbox, device, call));
}

static inline iotda_status_t put_services(iotda_outbox_t *outbox, iotda_client_t *device, const char *text,
                                          flat_service_t *services, size_t count, uint64_t *id, iotda_call_t *call) {
    const iotda_service_t *all = services_of(services, count, text);
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_put_props(outbox, device, all, count, id, call));
}

static inline iotda_status_t put_json(iotda_outbox_t *outbox, iotda_client_t *device, const char *json, size_t len,
                                      uint64_t *id, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_put_props_json(outbox, device, json, len, id, call));
}

static inline iotda_status_t put_message(iotda_outbox_t *outbox, iotda_client_t *device, const char *data, size_t len,
                                         uint64_t *id, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_put_message(outbox, device, data, len, id, call));
}

static inline iotda_status_t put_batch(iotda_outbox_t *outbox, iotda_client_t *gateway, const char *text,
                                       flat_child_t *children, size_t count, flat_service_t *services,
                                       size_t service_count, uint64_t *first_id, iotda_call_t *call) {
    const iotda_service_t *all = services_of(services, service_count, text);
    const iotda_child_t *batch = children_of(children, count, all, text);
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_put_batch(outbox, gateway, batch, count, first_id, call));
}

static inline iotda_status_t put_batch_json(iotda_outbox_t *outbox, iotda_client_t *gateway, const char *json, size_t len,
                                            uint64_t *first_id, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_put_batch_json(outbox, gateway, json, len, first_id, call));
}

static inline iotda_status_t outbox_sync(iotda_outbox_t *outbox, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_sync(outbox, call));
}

static inline iotda_status_t outbox_flush(iotda_outbox_t *outbox, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_flush(outbox, call));
}

static inline iotda_status_t outbox_discard(iotda_outbox_t *outbox, const char *device_id, uint64_t *count,
                                            iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_outbox_discard(outbox, device_id, count, call));
}

#cgo noescape is_in_settled
#cgo nocallback is_in_settled
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"runtime/cgo"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// longest is the most that C can express as the time of a call: 49 days.
const longest = math.MaxUint32 * time.Millisecond

// open makes the C outbox.
func (options *OutboxOptions) open(c *Client) (*outboxHandle, error) {
	const op = "open the outbox"
	if err := options.check(); err != nil {
		return nil, err.of(c, op)
	}
	native := C.iotda_outbox_options_t{
		max_bytes:        C.uint64_t(options.MaxBytes),
		max_age_s:        seconds(options.MaxAge),
		sync_ms:          milliseconds(max(orDefault(options.Sync, time.Second), 0)),
		coalesce_bytes:   count(options.CoalesceBytes),
		linger_ms:        milliseconds(options.Linger),
		requests_at_once: count(options.RequestsAtOnce),
		when_full:        C.int32_t(options.WhenFull),
		pad_commits:      C.bool(options.PadCommits),
	}
	var settled cgo.Handle
	if options.Settled != nil {
		// Deleted by goIotdaRelease, whether this succeeds or not.
		settled = cgo.NewHandle(options.Settled)
	}
	opened := &outboxHandle{}
	call := newCall()
	status := C.outbox_open(c.handle.client, native, terminated(options.Directory), C.uintptr_t(settled), &opened.outbox, call)
	if status != C.IOTDA_OK {
		return nil, callError(Status(status), op, c.deviceID, call)
	}
	opened.idle = make(chan struct{})
	opened.closing, opened.endFlushes = context.WithCancelCause(context.Background())
	return opened, nil
}

// check finds what has no form in C.
func (options *OutboxOptions) check() *Error {
	switch {
	case options.Directory == "":
		return argument(nil, "set OutboxOptions.Directory: the entries are kept there")
	case strings.IndexByte(options.Directory, 0) >= 0:
		return argument(nil, "remove the zero byte from OutboxOptions.Directory")
	case options.WhenFull != Refuse && options.WhenFull != DropOldest:
		return argument(nil, "set OutboxOptions.WhenFull to Refuse or DropOldest: it is %d", options.WhenFull)
	}
	for _, number := range []struct {
		name  string
		value int64
	}{
		{"MaxBytes", options.MaxBytes}, {"MaxAge", int64(options.MaxAge)}, {"CoalesceBytes", int64(options.CoalesceBytes)},
		{"Linger", int64(options.Linger)}, {"RequestsAtOnce", int64(options.RequestsAtOnce)},
	} {
		if number.value < 0 {
			return argument(nil, "set OutboxOptions.%s to what is not negative, or leave it out", number.name)
		}
	}
	return nil
}

// seconds ends at what C can express: 136 years.
func seconds(d time.Duration) C.uint32_t { return roundedUp(d, time.Second) }

// beginPut readies w for a call on o about a device: when it returns nil, w.endPut must follow the call.
//
// Its context is not listened to: C looks at it before a put begins, as enter does.
func (w *work) beginPut(ctx context.Context, o *Outbox, device *Client, op string) error {
	if o.isNone() || device.isNone() {
		return ErrClosed
	}
	if err := w.enter(ctx, o.puts, device.deviceID, op); err != nil {
		return err
	}
	if o.handle.acquire() {
		if device.handle.acquire() {
			return nil
		}
		o.handle.release()
	}
	w.leave()
	return ErrClosed
}

// endPut concludes a call that beginPut readied, and says how it ended.
func (w *work) endPut(o *Outbox, device *Client, status C.iotda_status_t) *Error {
	device.handle.release()
	return w.endOutbox(o, status)
}

// beginOutbox readies w for a call on o that is about no device: when it returns nil, w.endOutbox must follow the call.
func (w *work) beginOutbox(ctx context.Context, o *Outbox, shared *shared, op string) error {
	if err := w.enter(ctx, shared, o.deviceID, op); err != nil {
		return err
	}
	if !o.handle.acquire() {
		w.leave()
		return ErrClosed
	}
	return nil
}

func (w *work) endOutbox(o *Outbox, status C.iotda_status_t) *Error {
	o.handle.release()
	w.leave()
	return w.outcome(status)
}

// put concludes a put, and returns its id.
func (w *work) put(o *Outbox, device *Client, status C.iotda_status_t) (uint64, error) {
	if err := w.endPut(o, device, status); err != nil {
		return 0, err
	}
	return w.id(), nil
}

// id is the number that C has written.
func (w *work) id() uint64 { return uint64(w.number) }

func (w *work) attach(o *Outbox, device *Client) C.iotda_status_t {
	return C.outbox_attach(o.handle.outbox, device.handle.client, &w.call)
}

func (w *work) putServices(o *Outbox, device *Client) C.iotda_status_t {
	return C.put_services(o.handle.outbox, device.handle.client, view(w.text), unsafe.SliceData(w.services),
		C.size_t(len(w.services)), &w.number, &w.call)
}

func (w *work) putPropertiesJSON(o *Outbox, device *Client, body []byte) C.iotda_status_t {
	return C.put_json(o.handle.outbox, device.handle.client, view(body), C.size_t(len(body)), &w.number, &w.call)
}

func (w *work) putMessage(o *Outbox, device *Client, data []byte) C.iotda_status_t {
	return C.put_message(o.handle.outbox, device.handle.client, view(data), C.size_t(len(data)), &w.number, &w.call)
}

func (w *work) putBatch(o *Outbox, gateway *Client) C.iotda_status_t {
	return C.put_batch(o.handle.outbox, gateway.handle.client, view(w.text), unsafe.SliceData(w.children),
		C.size_t(len(w.children)), unsafe.SliceData(w.services), C.size_t(len(w.services)), &w.number, &w.call)
}

func (w *work) putBatchJSON(o *Outbox, gateway *Client, body []byte) C.iotda_status_t {
	return C.put_batch_json(o.handle.outbox, gateway.handle.client, view(body), C.size_t(len(body)), &w.number, &w.call)
}

func (w *work) sync(o *Outbox) C.iotda_status_t { return C.outbox_sync(o.handle.outbox, &w.call) }

func (w *work) flush(o *Outbox) C.iotda_status_t { return C.outbox_flush(o.handle.outbox, &w.call) }

func (w *work) discard(o *Outbox, deviceID string) C.iotda_status_t {
	return C.outbox_discard(o.handle.outbox, terminated(deviceID), &w.number, &w.call)
}

// isInSettled reports whether a Settled has called.
func isInSettled() bool { return bool(C.is_in_settled()) }

// outboxHandle is an outbox of the C library.
type outboxHandle struct {
	outbox *C.iotda_outbox_t
	uses   uses
	// Ends when the outbox is closed, and the flushes that run with it.
	closing    context.Context
	endFlushes context.CancelCauseFunc
	// Closed when the outbox is closed and no call runs any more.
	idle chan struct{}
	once sync.Once
	// How the sync of the end went.
	err *Error
}

// acquire keeps the C outbox until release; false if it is closed.
func (h *outboxHandle) acquire() bool { return h.uses.acquire() }

func (h *outboxHandle) release() {
	if h.uses.release() {
		close(h.idle)
	}
}

// close returns when the C outbox is closed, whoever closed it.
func (h *outboxHandle) close(deviceID string) *Error {
	h.once.Do(func() {
		isIdle := h.uses.close()
		h.endFlushes(ErrClosed)
		if !isIdle {
			<-h.idle
		}
		call := newCall()
		call.timeout_ms = milliseconds(longest)
		if status := C.iotda_outbox_sync(h.outbox, call); status != C.IOTDA_OK {
			h.err = callError(Status(status), "close the outbox", deviceID, call)
		}
		C.iotda_outbox_close(h.outbox)
	})
	return h.err
}

// untilClosed is a context that also ends when the outbox is closed: with the cause ErrClosed.
func (h *outboxHandle) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(h.closing, func() { end(ErrClosed) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

func (h *outboxHandle) wake() { C.iotda_outbox_wake(h.outbox) }

// statusError makes an error of a status of a function that says nothing more.
func statusError(status C.iotda_status_t, op, deviceID string) *Error {
	text := Status(status).Error()
	return &Error{Status: Status(status), Op: op, DeviceID: deviceID, Message: strings.TrimPrefix(text, "iotda: ")}
}

// String names it, for a message.
func (f WhenFull) String() string {
	switch f {
	case Refuse:
		return "Refuse"
	case DropOldest:
		return "DropOldest"
	}
	return fmt.Sprintf("WhenFull(%d)", int32(f))
}
