// Dead letters: entries of an outbox that the platform refused for good.

package iotda

/*
#include "iotda.h"

// Bytes that Go passes as what they are, and not as an unknown pointer, which cgo would look through for others.
static iotda_status_t dead_read(iotda_outbox_t *outbox, uint64_t cursor, iotda_dead_t *dead, unsigned char *out, size_t size,
                                size_t *length, iotda_call_t *call) {
    return iotda_outbox_dead_read(outbox, cursor, dead, out, size, length, call);
}
*/
import "C"

import (
	"iter"
	"time"
	"unsafe"
)

// EntryKind says what an entry of an outbox is.
type EntryKind int32

const (
	// EntryProperties are properties of a device itself.
	EntryProperties EntryKind = C.IOTDA_ENTRY_PROPS
	// EntryMessage is a message.
	EntryMessage EntryKind = C.IOTDA_ENTRY_MESSAGE
	// EntryChild are properties of a child device of a gateway.
	EntryChild EntryKind = C.IOTDA_ENTRY_CHILD
)

// A DeadLetter is an entry that the platform refused for good.
type DeadLetter struct {
	// Number is the letter's own, for [Outbox.ForgetDead]. They ascend.
	Number uint64
	// ID is the entry's id, which its put returned.
	ID uint64
	// Kind says what Body is.
	Kind EntryKind
	// DeviceID is the device that was reported for.
	DeviceID string
	// GatewayID is the gateway that reported for it; "" for a device itself.
	GatewayID string
	// Time is when it was put, as this machine's clock had it.
	Time time.Time
	// Status is [ErrRejected] or [ErrUnknownChild].
	Status Status
	// PlatformCode is the platform's error code, such as "IOTDA.000006".
	PlatformCode string
	// Body is the request body, as PutPropertiesJSON, PutMessage and PutBatchJSON take it.
	Body []byte
}

// firstBody is how much room the first read of a body has; C says how much a larger one needs.
const firstBody = 1 << 10

// Dead reads the dead letters, the oldest first. They stay until ForgetDead:
//
//	for letter, err := range outbox.Dead() {
//
// An error is the last thing that it yields: an [*Error] ([ErrStorage]), or [ErrClosed]. Each step reads from disk. Letters
// may be forgotten on the way; what becomes one meanwhile is read too.
func (o *Outbox) Dead() iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for cursor := uint64(0); ; {
			letter, err := o.readDead(cursor)
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			if letter.Number == 0 || !yield(letter, nil) {
				return
			}
			cursor = letter.Number
		}
	}
}

// readDead reads the first letter after the number; its own is 0 if there is none.
func (o *Outbox) readDead(cursor uint64) (DeadLetter, error) {
	if !o.acquire() {
		return DeadLetter{}, ErrClosed
	}
	defer o.handle.release()
	dead, call := &C.iotda_dead_t{struct_size: C.sizeof_iotda_dead_t}, newCall()
	body := make([]byte, firstBody)
	for {
		var length C.size_t
		status := C.dead_read(o.handle.outbox, C.uint64_t(cursor), dead, (*C.uchar)(unsafe.SliceData(body)),
			C.size_t(len(body)), &length, call)
		if int(length) > len(body) {
			body = make([]byte, length)
			continue
		}
		if status != C.IOTDA_OK {
			return DeadLetter{}, callError(Status(status), "read dead letters", o.deviceID, call)
		}
		return DeadLetter{
			Number:       uint64(dead.number),
			ID:           uint64(dead.id),
			Kind:         EntryKind(dead.kind),
			DeviceID:     fixedText(dead.device_id[:]),
			GatewayID:    fixedText(dead.gateway_id[:]),
			Time:         time.UnixMilli(int64(dead.time_ms)).UTC(),
			Status:       Status(dead.status),
			PlatformCode: fixedText(dead.platform_code[:]),
			Body:         body[:length:length],
		}, nil
	}
}

// ForgetDead says that dead letters up to this number are not needed any more. It writes to disk. The error is an [*Error]
// ([ErrStorage]), or [ErrClosed].
func (o *Outbox) ForgetDead(upToNumber uint64) error {
	if !o.acquire() {
		return ErrClosed
	}
	defer o.handle.release()
	if status := C.iotda_outbox_dead_forget(o.handle.outbox, C.uint64_t(upToNumber)); status != C.IOTDA_OK {
		return statusError(status, "forget dead letters", o.deviceID)
	}
	return nil
}
