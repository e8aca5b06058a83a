// The memory of a call, kept from call to call: what is reported, in the form in which C reads it.

package iotda

// #include "iotda.h"
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
	"unsafe"
)

// work is used by one call at a time.
type work struct {
	call C.iotda_call_t

	// The call's context and what it does, from begin to end.
	ctx        context.Context
	op         string
	byDeadline bool
	cancel     *cancel
	unwatch    func() bool

	// Terminated texts, one after the other. What follows has pointers into it, set when it has ceased to grow.
	text     []byte
	places   []place
	ids      []int
	services []C.iotda_service_t
	children []C.iotda_child_t
	statuses []C.iotda_status_t
	given    []Child
	// Pins text and services, to which Go memory points that is passed to C.
	pinner  runtime.Pinner
	encoder *json.Encoder
}

// place is where the texts of a service are.
type place struct{ id, properties int }

// What is larger is not kept.
const (
	keptText     = 256 << 10
	keptServices = 4096
)

var works = sync.Pool{New: func() any {
	w := &work{}
	w.call.struct_size = C.sizeof_iotda_call_t
	w.encoder = json.NewEncoder(textWriter{w})
	w.encoder.SetEscapeHTML(false)
	return w
}}

func takeWork() *work { return works.Get().(*work) }

// done gives the memory back.
func (w *work) done() {
	w.pinner.Unpin()
	w.ctx, w.given = nil, nil
	if cap(w.text) > keptText || cap(w.services) > keptServices || cap(w.children) > keptServices {
		return
	}
	w.text, w.places, w.ids = w.text[:0], w.places[:0], w.ids[:0]
	// cgo looks at the pointers up to the capacity of a slice: none may be left there.
	clear(w.services)
	clear(w.children)
	w.services, w.children, w.statuses = w.services[:0], w.children[:0], w.statuses[:0]
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
		w.ids = append(w.ids, w.add(child.DeviceID))
		if err := w.addServices(child.Services, index); err != nil {
			return err
		}
		w.children = append(w.children, C.iotda_child_t{service_count: C.size_t(len(child.Services))})
		// Not IOTDA_OK: only the library says that a child was delivered.
		w.statuses = append(w.statuses, C.IOTDA_E_INTERNAL)
	}
	w.point()
	first := 0
	for index := range w.children {
		child := &w.children[index]
		child.device_id = w.at(w.ids[index])
		if child.service_count > 0 {
			child.services = &w.services[first]
			first += int(child.service_count)
		}
	}
	if len(w.services) > 0 {
		w.pinner.Pin(&w.services[0])
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
		w.places = append(w.places, place{id, properties})
		w.services = append(w.services, C.iotda_service_t{event_time_ms: time})
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

// at is the text at a place, for C.
func (w *work) at(place int) *C.char { return (*C.char)(unsafe.Pointer(&w.text[place])) }

// point sets the pointers of the services into the text.
func (w *work) point() {
	for index, place := range w.places {
		w.services[index].service_id = w.at(place.id)
		w.services[index].properties = w.at(place.properties)
	}
	if len(w.text) > 0 {
		w.pinner.Pin(&w.text[0])
	}
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
