// Reports that are checked without being sent, for programs that keep them to send them later. What is checked, and how it
// is made ready for C, is as for the reports in report.go.

package iotda

/*
#include "marshal.h"

static inline iotda_status_t check_services(const char *text, flat_service_t *services, size_t count, iotda_call_t *call) {
    return iotda_check_props(services_of(services, count, text), count, call);
}

static inline iotda_status_t check_message(const char *data, size_t len, iotda_call_t *call) {
    return iotda_check_message(data, len, call);
}

static inline iotda_status_t check_batch(const char *text, flat_child_t *children, size_t count, flat_service_t *services,
                                         size_t service_count, iotda_status_t *statuses, iotda_call_t *call) {
    const iotda_service_t *all = services_of(services, service_count, text);
    return iotda_check_batch(children_of(children, count, all, text), count, statuses, call);
}
*/
import "C"

import "unsafe"

// CheckProperties reports whether [Client.ReportProperties] would send these services: what that refuses without asking the
// platform, this refuses with the same status and message. It needs no client, and never blocks.
//
// The error is an [*Error], with [ErrInvalidArgument] or [ErrTooLarge].
func CheckProperties(services ...Service) error {
	const op = "check properties"
	w := takeWork()
	defer w.done()
	if err := w.addServices(services, -1); err != nil {
		err.Op = op
		return err
	}
	return w.checked(op, C.check_services(view(w.text), unsafe.SliceData(w.services), C.size_t(len(w.services)), &w.call))
}

// CheckPropertiesJSON is CheckProperties for [Client.ReportPropertiesJSON].
func CheckPropertiesJSON(body []byte) error {
	w := takeWork()
	defer w.done()
	return w.checked("check properties", C.iotda_check_props_json(view(body), C.size_t(len(body)), &w.call))
}

// CheckMessage is CheckProperties for [Client.ReportMessage].
func CheckMessage(data []byte) error {
	w := takeWork()
	defer w.done()
	return w.checked("check message", C.check_message(view(data), C.size_t(len(data)), &w.call))
}

// CheckBatch is CheckProperties for [Client.ReportBatch]. The error is that of the first child that would be left out; its
// Children are all of those.
func CheckBatch(children []Child) error {
	w := takeWork()
	defer w.done()
	w.setChildren(children)
	return w.checked("check batch", C.check_batch(view(w.text), unsafe.SliceData(w.children), C.size_t(len(w.children)),
		unsafe.SliceData(w.services), C.size_t(len(w.services)), unsafe.SliceData(w.statuses), &w.call))
}

// checked is the error of a check.
func (w *work) checked(op string, status C.iotda_status_t) error {
	if status == C.IOTDA_OK {
		return nil
	}
	err := callError(Status(status), op, "", &w.call)
	err.Children = w.undelivered()
	w.explain(err)
	return err
}
