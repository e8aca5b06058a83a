// Package lease says until when a worker may act for its devices. It is arithmetic on values; heartbeats are sent by
// internal/worker.
//
// The others take a worker for dead when its heartbeat has lapsed at the server: TTL after the server received it. The
// lease is shorter and begins earlier, at the start of the heartbeat, so that it is over before anybody else begins.
package lease

import "time"

// Instant is a moment by two clocks: a monotonic one stands still while a virtual machine is suspended, and the wall
// clock can be set back. Either alone could call a lease valid that is long over.
type Instant struct {
	Monotonic time.Duration
	Wall      time.Time
}

// Clock says what time it is. Tests move one by hand.
type Clock func() Instant

// System is the machine's clock.
func System() Clock {
	started := time.Now()
	return func() Instant {
		now := time.Now()
		// Round(0) takes the monotonic reading away.
		return Instant{Monotonic: now.Sub(started), Wall: now.Round(0)}
	}
}

// Share is the part of the heartbeat's TTL that a lease lasts. The rest is for clocks that run at different speeds.
const Share = 0.8

// Span is how long a lease lasts from the start of the heartbeat that confirms it.
func Span(ttl time.Duration) time.Duration { return time.Duration(float64(ttl) * Share) }

// Interval is the time between heartbeats.
func Interval(ttl time.Duration) time.Duration { return ttl / 4 }

// Lease begins with a heartbeat that the server has confirmed. The zero value is one that was never begun.
type Lease struct {
	start Instant
	span  time.Duration
}

// Confirmed is the lease of a heartbeat that began at `start` and that the server has confirmed since. A confirmation
// that comes late, after that of a later heartbeat, shortens nothing.
func (l Lease) Confirmed(start Instant, ttl time.Duration) Lease {
	if l.span != 0 && start.Monotonic < l.start.Monotonic {
		return l
	}
	return Lease{start, Span(ttl)}
}

// Left is what is left of the lease, by the clock that says less; 0 if it is over.
func (l Lease) Left(now Instant) time.Duration {
	passed := max(now.Monotonic-l.start.Monotonic, now.Wall.Sub(l.start.Wall))
	return max(l.span-passed, 0)
}
