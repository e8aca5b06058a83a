// The calls that wait for the platform: authentication, properties, messages, batches.

package iotda

/*
#include "marshal.h"

static inline iotda_status_t authenticate(iotda_client_t *client, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_auth(client, call));
}

// Bytes that Go passes as what they are, and not as an unknown pointer, which cgo would look through for others.
static inline iotda_status_t report_message(iotda_client_t *client, const char *data, size_t len, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_report_message(client, data, len, call));
}

static inline iotda_status_t report_json(iotda_client_t *client, const char *json, size_t len, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_report_props_json(client, json, len, call));
}

static inline iotda_status_t report_services(iotda_client_t *client, const char *text, flat_service_t *services,
                                             size_t count, iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_report_props(client, services_of(services, count, text), count, call));
}

static inline iotda_status_t report_batch(iotda_client_t *client, const char *text, flat_child_t *children, size_t count,
                                          flat_service_t *services, size_t service_count, iotda_status_t *statuses,
                                          iotda_call_t *call) {
    const iotda_service_t *all = services_of(services, service_count, text);
    const iotda_child_t *batch = children_of(children, count, all, text);
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_gateway_batch(client, batch, count, statuses, call));
}

static inline iotda_status_t report_batch_json(iotda_client_t *client, const char *json, size_t len,
                                               iotda_status_t *statuses, size_t capacity, size_t *count,
                                               iotda_call_t *call) {
    iotda_call_t *before = begin_call(call);
    return end_call(before, iotda_gateway_batch_json(client, json, len, statuses, capacity, count, call));
}
*/
import "C"

import (
	"bytes"
	"context"
	"slices"
	"time"
	"unsafe"
)

// Service holds the properties of one service of a device.
type Service struct {
	// ID is the service's id in the product model.
	ID string
	// Properties becomes a JSON object: a struct with json tags, a map, anything that encoding/json makes an object of.
	// A [json.RawMessage], or a pointer to one, is checked and passed on byte for byte; text in a string or a []byte is
	// refused, since encoding/json makes no object of it. A pointer to a struct spares an allocation.
	Properties any
	// EventTime is when the values were measured, to the millisecond, in the years 2000 to 9999; another is refused, as of a
	// clock that was never set. The zero Time: the platform takes the time at which it receives the report.
	EventTime time.Time
}

// Child holds what a gateway reports for one of its child devices.
type Child struct {
	// DeviceID is the child's id: 1 to 128 letters, digits, '_' and '-'.
	DeviceID string
	// Services are its services, at least one.
	Services []Service
}

// Authenticate authenticates the device, unless there is an access token that is valid and not yet due to be renewed. It
// is optional: reports do it when they need to, unless Config.AuthenticateWhenAsked is set. It shows early whether endpoint,
// certificates, device id and secret are right.
func (c *Client) Authenticate(ctx context.Context) error {
	w := takeWork()
	defer w.done()
	if err := w.begin(ctx, c, "authenticate"); err != nil {
		return err
	}
	return orNil(w.end(c, C.authenticate(c.handle.client, &w.call)))
}

// ReportProperties reports properties of the device: one service or several.
//
// It authenticates if needed, and retries transient failures, as Config.Retry says. A report whose connection breaks may
// be sent twice: it arrives at least once, not exactly once.
//
// The error is an [*Error], or [ErrClosed].
func (c *Client) ReportProperties(ctx context.Context, services ...Service) error {
	const op = "report properties"
	if c.isNone() {
		return ErrClosed
	}
	w := takeWork()
	defer w.done()
	if err := w.addServices(services, -1); err != nil {
		return err.of(c, op)
	}
	if err := w.begin(ctx, c, op); err != nil {
		return err
	}
	status := C.report_services(c.handle.client, view(w.text), unsafe.SliceData(w.services), C.size_t(len(w.services)),
		&w.call)
	return orNil(w.end(c, status))
}

// ReportPropertiesJSON reports properties of the device by a request body that the program made itself:
//
//	{"services":[{"service_id":"…","properties":{…},"event_time":"2021-08-13T10:10:10.555Z"}]}
//
// It is checked, and sent as it is. event_time may be left out; in another form it is refused, because the platform would
// silently use its own time instead, as are members that the platform does not document.
//
// Otherwise it is as ReportProperties.
func (c *Client) ReportPropertiesJSON(ctx context.Context, body []byte) error {
	w := takeWork()
	defer w.done()
	if err := w.begin(ctx, c, "report properties"); err != nil {
		return err
	}
	return orNil(w.end(c, C.report_json(c.handle.client, view(body), C.size_t(len(body)), &w.call)))
}

// ReportMessage reports a message of the device: any bytes, also none.
//
// Otherwise it is as ReportProperties.
func (c *Client) ReportMessage(ctx context.Context, data []byte) error {
	w := takeWork()
	defer w.done()
	if err := w.begin(ctx, c, "report message"); err != nil {
		return err
	}
	return orNil(w.end(c, C.report_message(c.handle.client, view(data), C.size_t(len(data)), &w.call)))
}

// ReportBatch reports properties of child devices of this gateway, any number of them. They are sent in order, in as
// many requests as the platform's limits ask for (50 children, 1 MB).
//
// A child that is wrong in itself, one whose own data passes 1 MB, and one that the platform does not know are left out
// and the others delivered: the error is then an [*Error] with status [ErrPartial], or that of the children if none was
// delivered, and its Children are those that were not, and why.
//
// Otherwise it is as ReportProperties. The call's time is for all requests together.
func (c *Client) ReportBatch(ctx context.Context, children []Child) error {
	const op = "report batch"
	w := takeWork()
	defer w.done()
	w.setChildren(children)
	if err := w.begin(ctx, c, op); err != nil {
		if err, ok := err.(*Error); ok {
			return err.forAll(children)
		}
		return err
	}
	status := C.report_batch(c.handle.client, view(w.text), unsafe.SliceData(w.children), C.size_t(len(w.children)),
		unsafe.SliceData(w.services), C.size_t(len(w.services)), unsafe.SliceData(w.statuses), &w.call)
	return orNil(w.end(c, status))
}

// ReportBatchJSON reports a batch by a request body that the program made itself, with any number of children:
//
//	{"devices":[{"device_id":"…","services":[{"service_id":"…","properties":{…}}]}]}
//
// It is checked as by ReportPropertiesJSON. A body that fits into one request is sent as it is; otherwise each child is
// passed on as it is written. The Children of an error are as those of ReportBatch, with the ids that are in the body; nil
// if the body was not read.
//
// Otherwise it is as ReportBatch.
func (c *Client) ReportBatchJSON(ctx context.Context, body []byte) error {
	w := takeWork()
	defer w.done()
	if err := w.begin(ctx, c, "report batch"); err != nil {
		return err
	}
	w.body = body
	// A guess: the number of ids. If it is too low, nothing is sent, and C says how many children there are.
	room := max(bytes.Count(body, []byte(`"device_id"`)), 1)
	for {
		w.statuses = slices.Grow(w.statuses[:0], room)[:room]
		status := C.report_batch_json(c.handle.client, view(body), C.size_t(len(body)),
			unsafe.SliceData(w.statuses), C.size_t(room), &w.count, &w.call)
		if int(w.count) <= room {
			w.statuses = w.statuses[:w.count]
			return orNil(w.end(c, status))
		}
		room = int(w.count)
	}
}

// orNil keeps a nil *Error from becoming an error that is not nil.
func orNil(err *Error) error {
	if err == nil {
		return nil
	}
	return err
}

// of says whose error it is.
func (e *Error) of(c *Client, op string) *Error {
	e.Op, e.DeviceID = op, c.deviceID
	return e
}

// forAll says that no child was delivered.
func (e *Error) forAll(children []Child) *Error {
	for index := range children {
		e.Children = append(e.Children, ChildError{index, children[index].DeviceID, e.Status})
	}
	return e
}
