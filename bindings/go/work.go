// The memory of a call, kept from call to call: what is reported, in the form in which C reads it.

package iotda

// #include "flat.h"
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

	// The call's context and what it does, from begin to end.
	ctx        context.Context
	op         string
	byDeadline bool

	// Apart, because the garbage collector closes it when it has found the rest.
	watcher *watcher

	// Terminated texts, one after the other. What follows says where in it they are; see flat.h.
	text     []byte
	services []C.flat_service_t
	children []C.flat_child_t
	statuses []C.iotda_status_t
	given    []Child
	encoder  *json.Encoder
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
	w.ctx, w.given = nil, nil
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

// setChildren takes over child devices with their services.
func (w *work) setChildren(children []Child) *Error {
	w.given = children
	for index := range children {
		child := &children[index]
		if strings.IndexByte(child.DeviceID, 0) >= 0 {
			return argument(nil, "children[%d].DeviceID holds a zero byte", index)
		}
		id, first := w.add(child.DeviceID), len(w.services)
		if err := w.addServices(child.Services, index); err != nil {
			return err
		}
		w.children = append(w.children, C.flat_child_t{
			device_id: C.uintptr_t(id), services: C.uintptr_t(first), service_count: C.size_t(len(child.Services)),
		})
		// Not IOTDA_OK: only the library says that a child was delivered.
		w.statuses = append(w.statuses, C.IOTDA_E_INTERNAL)
	}
	return nil
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
		if strings.IndexByte(service.ID, 0) >= 0 {
			return argument(nil, "%s holds a zero byte", where("ID"))
		}
		id := w.add(service.ID)
		properties := len(w.text)
		if raw, ok := service.Properties.(json.RawMessage); ok {
			if bytes.IndexByte(raw, 0) >= 0 {
				return argument(nil, "%s holds a zero byte", where("Properties"))
			}
			w.text = append(w.text, raw...)
		} else if err := w.encoder.Encode(service.Properties); err != nil {
			return argument(err, "%s: %v", where("Properties"), err)
		} else {
			// The encoder ends with a line break.
			w.text = w.text[:len(w.text)-1]
		}
		w.text = append(w.text, 0)
		time, ok := eventTime(service.EventTime)
		if !ok {
			return argument(nil, "%s is the beginning of 1970, which cannot be told from no time", where("EventTime"))
		}
		w.services = append(w.services, C.flat_service_t{
			service_id: C.uintptr_t(id), properties: C.uintptr_t(properties), event_time_ms: time,
		})
	}
	return nil
}

// eventTime is a time as C takes it; false for the one moment that C takes for none.
func eventTime(t time.Time) (C.int64_t, bool) {
	if t.IsZero() {
		return C.IOTDA_TIME_NONE, true
	}
	// Seconds first: milliseconds overflow for years far away. C refuses those before 1970 and after 9999.
	if year := t.UTC().Year(); year < 1970 || year > 9999 {
		return -1, true
	}
	ms := t.UnixMilli()
	return C.int64_t(ms), ms != C.IOTDA_TIME_NONE
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
	for index, status := range w.statuses {
		if status != C.IOTDA_OK {
			children = append(children, ChildError{index, w.given[index].DeviceID, Status(status)})
		}
	}
	return children
}

// argument is an error of the program's that was found before C was asked.
func argument(cause error, format string, args ...any) *Error {
	err := &Error{Status: ErrInvalidArgument, Message: "nothing was sent: " + fmt.Sprintf(format, args...)}
	if cause != nil {
		err.causes = []error{cause}
	}
	return err
}
