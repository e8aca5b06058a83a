// The memory of a call, kept from call to call: what is reported, in the form in which C reads it.

package iotda

// #include "marshal.h"
import "C"

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
)

// work is used by one call at a time.
type work struct {
	call C.iotda_call_t
	// When others last had their turn; see yield.
	yielded time.Time

	// The call's context, what it does and for which device, whose slots it takes: from enter to outcome.
	ctx          context.Context
	op, deviceID string
	shared       *shared
	byDeadline   bool
	hasSlot      bool

	// Apart, because the garbage collector closes it when it has found the rest.
	watcher *watcher

	// Terminated texts, one after the other. What follows says where in it they are; see marshal.h.
	text     []byte
	services []C.flat_service_t
	children []C.flat_child_t
	statuses []C.iotda_status_t
	// How many children a body has, as C counts them.
	count C.size_t
	// The id of what was put into an outbox, or how many entries were discarded.
	number C.uint64_t
	given  []Child
	// The body of a batch in JSON, for the ids in it.
	body []byte
	// Children that C is given as wrong ones, with what is wrong.
	wrong   []wrongChild
	encoder *json.Encoder
}

// wrongChild is a child of a batch that was found wrong here. It holds no other up.
type wrongChild struct {
	index int
	err   *Error
}

// What is larger is not kept.
const (
	keptText     = 256 << 10
	keptServices = 4096
)

var works = sync.Pool{New: func() any {
	w := &work{watcher: &watcher{}}
	runtime.AddCleanup(w, (*watcher).close, w.watcher)
	w.call.struct_size = C.sizeof_iotda_call_t
	w.encoder = json.NewEncoder(textWriter{w})
	w.encoder.SetEscapeHTML(false)
	return w
}}

func takeWork() *work { return works.Get().(*work) }

// done gives the memory back.
func (w *work) done() {
	w.ctx, w.shared, w.given, w.body, w.wrong = nil, nil, nil, nil, nil
	if cap(w.text) > keptText || cap(w.services) > keptServices || cap(w.children) > keptServices {
		return
	}
	w.text, w.services, w.children, w.statuses = w.text[:0], w.services[:0], w.children[:0], w.statuses[:0]
	works.Put(w)
}

// textWriter appends what the encoder writes.
type textWriter struct{ *work }

func (t textWriter) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	return len(p), nil
}

// setChildren takes over child devices with their services. One that is wrong is passed to C as one without an id, which
// C refuses: so that all children have their places and their statuses there.
func (w *work) setChildren(children []Child) {
	w.given = children
	for index := range children {
		child := &children[index]
		text, first := len(w.text), len(w.services)
		id, count := 0, len(child.Services)
		err := checkText(child.DeviceID, func() string { return fmt.Sprintf("children[%d].DeviceID", index) })
		if err == nil {
			id = w.add(child.DeviceID)
			err = w.addServices(child.Services, index)
		}
		if err != nil {
			w.wrong = append(w.wrong, wrongChild{index, err})
			w.text, w.services = w.text[:text], w.services[:first]
			id, count = w.add(""), 0
		}
		w.children = append(w.children, C.flat_child_t{
			device_id: C.uintptr_t(id), services: C.uintptr_t(first), service_count: C.size_t(count),
		})
		// Not IOTDA_OK: only the library says that a child was delivered.
		w.statuses = append(w.statuses, C.IOTDA_E_INTERNAL)
	}
}

// addServices appends services; those of a child, if it is not -1.
func (w *work) addServices(services []Service, child int) *Error {
	for index := range services {
		service := &services[index]
		where := func(member string) string {
			if child >= 0 {
				return fmt.Sprintf("children[%d].Services[%d].%s", child, index, member)
			}
			return fmt.Sprintf("services[%d].%s", index, member)
		}
		if err := checkText(service.ID, func() string { return where("ID") }); err != nil {
			return err
		}
		id, properties := w.add(service.ID), len(w.text)
		if err := w.addProperties(service.Properties, func() string { return where("Properties") }); err != nil {
			return err
		}
		ms, ok := eventTime(service.EventTime)
		if !ok {
			return argument(nil, "give the time of the measurement, in the years 2000 to 9999, or none: %s is %s",
				where("EventTime"), service.EventTime.Format(time.RFC3339))
		}
		w.services = append(w.services, C.flat_service_t{
			service_id: C.uintptr_t(id), properties: C.uintptr_t(properties), event_time_ms: ms,
		})
	}
	return nil
}

// addProperties appends a terminated JSON object.
func (w *work) addProperties(properties any, where func() string) *Error {
	at := len(w.text)
	switch given := properties.(type) {
	case json.RawMessage:
		w.text = append(w.text, given...)
	case *json.RawMessage:
		if given != nil {
			w.text = append(w.text, *given...)
		}
	default:
		if err := w.encoder.Encode(given); err != nil {
			return argument(err, "%s: %v", where(), err)
		}
		// The encoder ends with a line break.
		w.text = w.text[:len(w.text)-1]
		if w.text[at] != '{' {
			return argument(nil, "pass what encoding/json makes an object of, or JSON as a json.RawMessage: %s is a %T",
				where(), given)
		}
	}
	if bytes.IndexByte(w.text[at:], 0) >= 0 {
		return argument(nil, "remove the zero byte from %s", where())
	}
	w.text = append(w.text, 0)
	return nil
}

func checkText(text string, where func() string) *Error {
	if strings.IndexByte(text, 0) >= 0 {
		return argument(nil, "remove the zero byte from %s", where())
	}
	return nil
}

// What the library takes as the time of a measurement: earlier, it is of a clock that was never set.
var (
	firstEventTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	afterEventTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// eventTime is a time as C takes it; false for one that no report can have.
func eventTime(t time.Time) (C.int64_t, bool) {
	if t.IsZero() {
		return C.IOTDA_TIME_NONE, true
	}
	// Compared first: milliseconds overflow for years far away.
	if t.Before(firstEventTime) || !t.Before(afterEventTime) {
		return 0, false
	}
	return C.int64_t(t.UnixMilli()), true
}

// add appends a terminated text and returns where it is.
func (w *work) add(s string) int {
	at := len(w.text)
	w.text = append(w.text, s...)
	w.text = append(w.text, 0)
	return at
}

// undelivered are the children that were not delivered.
func (w *work) undelivered() []ChildError {
	var children []ChildError
	var ids func(int) string
	for index, status := range w.statuses {
		if status == C.IOTDA_OK {
			continue
		}
		if ids == nil {
			ids = w.ids()
		}
		children = append(children, ChildError{index, ids(index), Status(status)})
	}
	return children
}

// ids are the ids of the children of a batch; "" for one that has none.
func (w *work) ids() func(index int) string {
	if w.body == nil {
		return func(index int) string { return w.given[index].DeviceID }
	}
	var body struct {
		Devices []json.RawMessage `json:"devices"`
	}
	// What is no JSON has no children.
	_ = json.Unmarshal(w.body, &body)
	return func(index int) string {
		var child struct {
			ID string `json:"device_id"`
		}
		if index >= len(body.Devices) || json.Unmarshal(body.Devices[index], &child) != nil {
			return ""
		}
		return child.ID
	}
}

// explain has an error of C's say what was wrong with a child before C was asked, and name things as Go does.
func (w *work) explain(err *Error) {
	for _, child := range w.wrong {
		if strings.Contains(err.Message, fmt.Sprintf("children[%d].device_id", child.index)) {
			err.Message = child.err.Message
		}
		err.causes = append(err.causes, child.err.causes...)
	}
	if w.body == nil {
		err.Message = goNames.Replace(err.Message)
	}
}

// goNames are the fields of iotda.h's structs, as they stand in its messages, and those of Service and Child.
var goNames = strings.NewReplacer("].device_id", "].DeviceID", "].services", "].Services", "].service_id", "].ID",
	"].properties", "].Properties", "].event_time_ms", "].EventTime")

// argument makes the error of a wrong argument that was found before C was asked.
func argument(cause error, format string, args ...any) *Error {
	err := &Error{Status: ErrInvalidArgument, Message: fmt.Sprintf(format, args...)}
	if cause != nil {
		err.causes = []error{cause}
	}
	return err
}
