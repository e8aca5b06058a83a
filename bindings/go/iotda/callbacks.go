// What the C library calls: the log, the clock, the receiver of tokens, and the end of them.

package iotda

// #include "iotda.h"
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
	"time"
	"unsafe"
)

// A panic must not pass through the library's frames: what they hold would be lost. It ends in the callback.

//export goIotdaLog
func goIotdaLog(handle C.uintptr_t, call *C.iotda_call_t, level C.int32_t, message *C.char) {
	defer func() { _ = recover() }()
	handler := cgo.Handle(handle).Value().(slog.Handler)
	ctx, severity := contextOf(call), slogLevelOf(int32(level))
	if handler.Enabled(ctx, severity) {
		// No source: the line that logs is not of a Go file.
		_ = handler.Handle(ctx, slog.NewRecord(time.Now(), severity, C.GoString(message), 0))
	}
}

// contextOf is the context of the call that a thread is at work on; the background of a thread of the library's own.
func contextOf(call *C.iotda_call_t) context.Context {
	if call == nil {
		return context.Background()
	}
	// See current_call.h: the call is that of a work.
	return (*work)(unsafe.Add(unsafe.Pointer(call), -int(unsafe.Offsetof(work{}.call)))).ctx
}

//export goIotdaClock
func goIotdaClock(handle C.uintptr_t) (unixMs C.int64_t) {
	defer func() {
		if recover() != nil {
			unixMs = C.int64_t(time.Now().UnixMilli())
		}
	}()
	clock := cgo.Handle(handle).Value().(func() time.Time)
	return C.int64_t(clock().UnixMilli())
}

//export goIotdaToken
func goIotdaToken(handle C.uintptr_t, deviceID, token *C.char) {
	defer func() { _ = recover() }()
	cgo.Handle(handle).Value().(func(string, string))(C.GoString(deviceID), C.GoString(token))
}

//export goIotdaRelease
func goIotdaRelease(handle C.uintptr_t) { cgo.Handle(handle).Delete() }
