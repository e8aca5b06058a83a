// One call: its place among the others, its time, and its end by a context.

package iotda

// #include "iotda.h"
import "C"

import (
	"context"
	"errors"
	"time"
)

func newCall() *C.iotda_call_t { return &C.iotda_call_t{struct_size: C.sizeof_iotda_call_t} }

// begin readies w for a call on c: when it returns nil, w.end must follow the call.
//
// The functions of C that report have neither noescape nor nocallback: they may call the log and the clock, in which a
// stack can grow and move.
func (w *work) begin(ctx context.Context, c *Client, op string) error {
	if c.isNone() {
		return ErrClosed
	}
	if err := w.enter(ctx, c.shared, c.deviceID, op); err != nil {
		return err
	}
	if !c.handle.acquire() {
		w.leave()
		return ErrClosed
	}
	w.call.cancel = w.watcher.watch(ctx)
	return nil
}

// end concludes a call that begin readied, and says how it ended.
func (w *work) end(c *Client, status C.iotda_status_t) *Error {
	w.unwatch()
	c.handle.release()
	w.leave()
	return w.outcome(status)
}

// enter takes a slot and sets the call's time: when it returns nil, w.leave must follow.
func (w *work) enter(ctx context.Context, shared *shared, deviceID, op string) error {
	w.ctx, w.shared, w.deviceID, w.op = ctx, shared, deviceID, op
	if ctx.Err() != nil {
		return w.ended()
	}
	w.yield()
	timeout := shared.timeout
	w.hasSlot = true
	select {
	case shared.slots <- struct{}{}:
	default:
		// Settled runs within calls that have their slots, and may be what frees them.
		if w.hasSlot = !isInSettled(); !w.hasSlot {
			break
		}
		left, err := w.wait()
		if err != nil {
			return err
		}
		timeout = left
	}
	w.byDeadline = false
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); left < timeout {
			w.byDeadline = true
			// Rounded down: the library is to find first that the time is over, and to say what was waited for.
			timeout = max(left.Truncate(time.Millisecond), time.Millisecond)
		}
	}
	w.call.timeout_ms = milliseconds(timeout)
	return nil
}

// leave gives the slot back that enter took.
func (w *work) leave() {
	if w.hasSlot {
		<-w.shared.slots
	}
}

// wait takes a slot when there is none, and returns what is left of the call's time.
func (w *work) wait() (time.Duration, error) {
	start := time.Now()
	timer := time.NewTimer(w.shared.timeout)
	defer timer.Stop()
	select {
	case w.shared.slots <- struct{}{}:
		return max(w.shared.timeout-time.Since(start), time.Millisecond), nil
	case <-w.ctx.Done():
		return 0, w.ended()
	case <-timer.C:
		return 0, &Error{Status: ErrTimeout, Op: w.op, DeviceID: w.deviceID,
			Message: "raise Config.MaxConcurrentCalls or allow more time: as many other calls ran for the whole of this one's"}
	}
}

// unwatch says that the call no longer listens to its context.
func (w *work) unwatch() {
	if w.call.cancel != nil {
		w.call.cancel = nil
		w.watcher.ended()
	}
}

// outcome is what C said about the call; nil for a success.
func (w *work) outcome(status C.iotda_status_t) *Error {
	if status == C.IOTDA_OK {
		return nil
	}
	err := callError(Status(status), w.op, w.deviceID, &w.call)
	err.Children = w.undelivered()
	w.explain(err)
	if w.byDeadline && (err.Status == ErrTimeout || err.Status == ErrPartial) {
		awaitDeadline(w.ctx)
	}
	if err.endedBy(w.ctx) {
		err.causes = append(err.causes, contextCauses(w.ctx)...)
		if err.Status == ErrCancelled && errors.Is(w.ctx.Err(), context.DeadlineExceeded) {
			err.Status = ErrTimeout
		}
	}
	return err
}

// endedBy reports whether the call failed because its context ended. What the platform has decided on, and what is wrong
// with an argument, is so whether the context ended or not.
func (e *Error) endedBy(ctx context.Context) bool {
	switch e.Status {
	case ErrTimeout, ErrCancelled, ErrDNS, ErrConnect, ErrServer, ErrRateLimited:
		return ctx.Err() != nil
	case ErrPartial:
		for _, child := range e.Children {
			if (&Error{Status: child.Status}).endedBy(ctx) {
				return true
			}
		}
	}
	return false
}

// ended is the error of a call whose context ended before it began.
func (w *work) ended() *Error {
	err := &Error{Status: ErrCancelled, Op: w.op, DeviceID: w.deviceID, causes: contextCauses(w.ctx)}
	if errors.Is(w.ctx.Err(), context.DeadlineExceeded) {
		err.Status = ErrTimeout
	}
	err.Message = "nothing was sent: " + context.Cause(w.ctx).Error()
	return err
}

// contextCauses are what errors.Is finds in an error because of the context.
func contextCauses(ctx context.Context) []error {
	ended, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == ended {
		return []error{ended}
	}
	return []error{ended, cause}
}

// awaitDeadline waits for a context to end whose deadline is now: the library was given its time rounded down to a
// millisecond, and what the context's cause is, only its end shows. A call that ran out of time for another reason
// (its attempts had less) does not wait.
func awaitDeadline(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if left > 10*time.Millisecond {
		return
	}
	// A context that does not keep to its own deadline holds nobody up.
	timer := time.NewTimer(max(left, 0) + time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
