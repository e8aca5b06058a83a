//go:build cgo

// How the end of what the C library holds is brought together with the calls that still run on it.

package iotda

import (
	"math"
	"sync/atomic"
)

// uses counts the calls that run on a handle of C's, which may be closed only when none does.
type uses struct {
	// How many calls run; with isClosed added once the handle is closed.
	state atomic.Int64
}

// isClosed is the sign bit: a state with it is negative.
const isClosed = math.MinInt64

// acquire begins a call; false if the handle is closed.
func (u *uses) acquire() bool {
	for {
		running := u.state.Load()
		if running < 0 {
			return false
		}
		if u.state.CompareAndSwap(running, running+1) {
			return true
		}
	}
}

// release ends a call. It reports whether that was the last one of a handle that is closed, which happens once.
func (u *uses) release() bool { return u.state.Add(-1) == isClosed }

// close lets no call begin any more. It reports whether none runs, to one caller alone.
func (u *uses) close() bool { return u.state.Or(isClosed) == 0 }
