// How a call hears of the end of its context.

package iotda

/*
#include "iotda.h"

#cgo noescape iotda_cancel_trigger
#cgo nocallback iotda_cancel_trigger
#cgo nocallback iotda_cancel_new
#cgo noescape iotda_cancel_free
#cgo nocallback iotda_cancel_free
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
)

// A watcher has one call after the other cancelled when its context ends. To listen to a context, and to stop listening,
// costs two allocations and more than a µs. A context that comes again and again is therefore listened to from call to
// call; not so one that is for a few calls, since its end would use up a handle.
type watcher struct {
	// Calls follow each other; the garbage collector stops a watcher of which they have left hold.
	mutex sync.Mutex
	// Nil before there was something to watch, and after it was triggered.
	canceller *canceller
	// Not nil while the end of the last call's context triggers the handle.
	unwatch func() bool
	// Of that context, and for how many calls in a row it was.
	done  <-chan struct{}
	calls int
}

// keptAfter is how many calls in a row are to have the same context before it is listened to from one to the next.
const keptAfter = 8

// watch returns the handle that is triggered when ctx ends; nil if ctx never ends, and if there is no memory for a
// handle: the call is then bounded by its time alone.
func (w *watcher) watch(ctx context.Context) *C.iotda_cancel_t {
	done := ctx.Done()
	if done == nil {
		return nil
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if done == w.done {
		w.calls++
	} else {
		w.stop()
		w.done, w.calls = done, 1
	}
	if w.canceller == nil {
		if w.canceller = newCanceller(); w.canceller == nil {
			return nil
		}
	}
	if w.unwatch == nil {
		w.unwatch = context.AfterFunc(ctx, w.canceller.trigger)
	}
	return w.canceller.pointer
}

// ended says that the call is over for which watch was called.
func (w *watcher) ended() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.calls < keptAfter {
		w.stop()
	}
}

// close says that there will be no more calls.
func (w *watcher) close() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.stop()
}

func (w *watcher) stop() {
	if w.unwatch != nil && !w.unwatch() {
		// It was triggered. The garbage collector frees it, after the goroutine that does so.
		w.canceller = nil
	}
	w.unwatch = nil
}

// canceller is a cancel handle that was not triggered yet.
type canceller struct {
	pointer *C.iotda_cancel_t
	// Made once, so that a call need not make it.
	trigger func()
}

// newCanceller returns one that the garbage collector frees; nil if there is no memory.
func newCanceller() *canceller {
	c := &canceller{pointer: C.iotda_cancel_new()}
	if c.pointer == nil {
		return nil
	}
	c.trigger = func() {
		C.iotda_cancel_trigger(c.pointer)
		runtime.KeepAlive(c)
	}
	runtime.AddCleanup(c, func(pointer *C.iotda_cancel_t) { C.iotda_cancel_free(pointer) }, c.pointer)
	return c
}
