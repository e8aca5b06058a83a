// What can go wrong, and what to do about it.

package iotda

/*
#include "iotda.h"

#cgo noescape iotda_status_name
#cgo nocallback iotda_status_name
#cgo noescape iotda_status_text
#cgo nocallback iotda_status_text
#cgo noescape iotda_status_is_transient
#cgo nocallback iotda_status_is_transient
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"
)

// ErrClosed is returned by the methods of a client, and of an outbox, after Close.
var ErrClosed = errors.New("iotda: the client or the outbox is closed")

// A Status says what kind of failure an [Error] is. Each Err constant is one; compare with [errors.Is].
type Status int32

const (
	// ErrInvalidArgument: fix the calling code, an argument is wrong. Nothing was sent.
	ErrInvalidArgument Status = C.IOTDA_E_INVALID_ARGUMENT
	// ErrTooLarge: send less at a time, one report, or one child's part of a batch, is 1 MB (1,048,576 bytes) or more.
	ErrTooLarge Status = C.IOTDA_E_TOO_LARGE
	// ErrConfig: fix the configuration, a setting is missing or wrong.
	ErrConfig Status = C.IOTDA_E_CONFIG
	// ErrDNS: try again later, the host name could not be looked up.
	ErrDNS Status = C.IOTDA_E_DNS
	// ErrConnect: try again later, no connection, or it broke.
	ErrConnect Status = C.IOTDA_E_CONNECT
	// ErrTLS: the TLS handshake failed; the message says whether by certificate, host name or protocol version.
	ErrTLS Status = C.IOTDA_E_TLS
	// ErrClock: set the clock, it stands before the release of the library, so certificates cannot be checked.
	ErrClock Status = C.IOTDA_E_CLOCK
	// ErrTimeout: the time of the call was over; what was being sent may have arrived.
	ErrTimeout Status = C.IOTDA_E_TIMEOUT
	// ErrCancelled: the call's context was cancelled; what was being sent may have arrived.
	ErrCancelled Status = C.IOTDA_E_CANCELLED
	// ErrAuthFailed: the platform does not accept this device id with this secret; trying again does not help.
	ErrAuthFailed Status = C.IOTDA_E_AUTH_FAILED
	// ErrTokenRejected: the platform refused the access token, and a new one as well. Or authenticate: there is no valid
	// token, and Config.AuthenticateWhenAsked is set.
	ErrTokenRejected Status = C.IOTDA_E_TOKEN_REJECTED
	// ErrRateLimited: wait, then send again, the device's or the tenant's rate limit.
	ErrRateLimited Status = C.IOTDA_E_RATE_LIMITED
	// ErrUnknownChild: a child device does not exist on the platform or does not belong to this gateway.
	ErrUnknownChild Status = C.IOTDA_E_UNKNOWN_CHILD
	// ErrRejected: the platform refused this data; sending it again does not help.
	ErrRejected Status = C.IOTDA_E_REJECTED
	// ErrServer: try again later, the platform has a fault of its own.
	ErrServer Status = C.IOTDA_E_SERVER
	// ErrProtocol: what answered does not speak the protocol; check the endpoint, or a proxy on the way.
	ErrProtocol Status = C.IOTDA_E_PROTOCOL
	// ErrPartial: some child devices of a batch were delivered and others were not; see Error.Children.
	ErrPartial Status = C.IOTDA_E_PARTIAL
	// ErrForked: the client was made before a fork and is used in the child process.
	ErrForked Status = C.IOTDA_E_FORKED
	// ErrInternal: there is no memory for a request, or the library has a fault; the message says which.
	ErrInternal Status = C.IOTDA_E_INTERNAL
	// ErrStorage: check the disk, the files of an outbox could not be read or written.
	ErrStorage Status = C.IOTDA_E_STORAGE
	// ErrFull: wait until something is delivered, an outbox has no room.
	ErrFull Status = C.IOTDA_E_FULL
	// ErrExpired: what was put into an outbox became older than it was asked to keep it.
	ErrExpired Status = C.IOTDA_E_EXPIRED
)

// Name is the status's name in C, such as "IOTDA_E_RATE_LIMITED".
func (s Status) Name() string { return C.GoString(C.iotda_status_name(C.iotda_status_t(s))) }

// Transient reports whether to keep what was to be reported and send it later (true), or to drop it (false). It is false
// for a verdict on the data itself, which the same data would meet again: [ErrInvalidArgument], [ErrTooLarge] and
// [ErrRejected]. After [ErrPartial], ask the status of each child. Bound how long data is kept: [ErrUnknownChild] and
// [ErrTLS] are transient too, but somebody has to put them right.
func (s Status) Transient() bool { return bool(C.iotda_status_is_transient(C.iotda_status_t(s))) }

// Error is one plain sentence that says what the status means.
func (s Status) Error() string {
	return "iotda: " + C.GoString(C.iotda_status_text(C.iotda_status_t(s)))
}

// Error is a call that failed. Get it with [errors.As]; errors.Is compares it with a [Status], and, if the call's context
// ended it, with [context.Canceled] or [context.DeadlineExceeded] and the context's cause.
type Error struct {
	// Status is the kind of failure.
	Status Status
	// Op is what was done, such as "report properties".
	Op string
	// DeviceID is the device that the client is for.
	DeviceID string
	// Message is a sentence for a person: what failed, where, and what to do about it. It never holds a secret.
	Message string
	// PlatformCode is the platform's error code, such as "IOTDA.000006"; "" if it named none.
	PlatformCode string
	// HTTPStatus is the status of the last answer; 0 if none arrived.
	HTTPStatus int
	// Attempts is how many requests were sent, authentications not counted.
	Attempts int
	// RetryAfter is how long to wait before trying again; 0 if unknown.
	RetryAfter time.Duration
	// MayHaveArrived says whether the report may have arrived although the call failed: something was sent, and no answer
	// says that it was not accepted. Sent again, it may then arrive twice.
	MayHaveArrived bool
	// Children are the children of a batch that were not delivered, in the order in which they were given. All
	// others were. It is nil for every other call.
	Children []ChildError

	// What the error is beside its status: the end of a context, or what encoding/json found.
	causes []error
}

// ChildError is a child device of a batch that was not delivered. It is an error, which errors.Is compares with a [Status].
type ChildError struct {
	// Index is its place in the batch.
	Index int
	// DeviceID is its id.
	DeviceID string
	// Status says why.
	Status Status
}

// Error says which child was not delivered, and why.
func (c ChildError) Error() string {
	why := strings.TrimPrefix(c.Status.Error(), "iotda: ")
	return fmt.Sprintf("iotda: children[%d] (%s): %s", c.Index, c.DeviceID, why)
}

// Unwrap returns the status.
func (c ChildError) Unwrap() error { return c.Status }

// Transient is that of the status.
func (c ChildError) Transient() bool { return c.Status.Transient() }

// Error says what failed, for a person.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("iotda: ")
	text.WriteString(e.Op)
	if e.DeviceID != "" {
		text.WriteString(" (")
		text.WriteString(e.DeviceID)
		text.WriteString(")")
	}
	text.WriteString(": ")
	text.WriteString(e.Message)
	return text.String()
}

// Unwrap returns the status, and what ended the call's context if that ended the call.
func (e *Error) Unwrap() []error { return append([]error{e.Status}, e.causes...) }

// Transient is that of the status: whether to keep the data and send it later.
func (e *Error) Transient() bool { return e.Status.Transient() }

// Timeout reports whether the call ran out of time, as net.Error has it.
func (e *Error) Timeout() bool { return e.Status == ErrTimeout }

// callError makes an error of what C wrote.
func callError(status Status, op, deviceID string, call *C.iotda_call_t) *Error {
	return &Error{
		Status:       status,
		Op:           op,
		DeviceID:     deviceID,
		Message:      fixedText(call.message[:]),
		PlatformCode: fixedText(call.platform_code[:]),
		HTTPStatus:   int(call.http_status),
		Attempts:     int(call.attempts),
		RetryAfter:   time.Duration(call.retry_after_ms) * time.Millisecond,

		MayHaveArrived: bool(call.may_have_arrived),
	}
}

// fixedText is the terminated text in an array of C.
func fixedText(array []C.char) string {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(array))), len(array))
	text, _, _ := strings.Cut(string(bytes), "\x00")
	return text
}
