//go:build cgo

// How a goroutine that makes one call after the other shows Go's scheduler that it does not hog its processor.

package iotda

import (
	"runtime"
	"time"
)

// yieldAfter is half of the time after which Go's runtime takes a processor for hogged on which no other goroutine had
// its turn. From then on its monitor takes the processor away from every call into C that lasts longer than 20 µs, wakes
// a thread to have it, and the call comes back to none: two system calls and some 10 µs of processor time for a report.
// A goroutine that does its network in Go parks at each wait and never gets there.
const yieldAfter = 5 * time.Millisecond

// yield lets others have their turn, if the calls made with w have not done so for yieldAfter. A turn costs as much as it
// saves one report, so that it is not for each.
func (w *work) yield() {
	if w.isYieldDue(time.Now()) {
		runtime.Gosched()
	}
}

// isYieldDue reports whether a turn is due, and takes it for given then. w is the processor's own, nearly always: a pool
// keeps what it is given for each.
func (w *work) isYieldDue(now time.Time) bool {
	if now.Sub(w.yielded) < yieldAfter {
		return false
	}
	w.yielded = now
	return true
}
