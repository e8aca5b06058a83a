// Until when a lease lasts, by either clock.

package lease_test

import (
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/lease"
)

const ttl = 3 * time.Second

var zero = lease.Instant{Wall: time.Unix(1_700_000_000, 0)}

func at(monotonic, wall time.Duration) lease.Instant {
	return lease.Instant{Monotonic: zero.Monotonic + monotonic, Wall: zero.Wall.Add(wall)}
}

func TestALeaseEndsByTheClockThatIsAhead(t *testing.T) {
	held := lease.Lease{}.Confirmed(zero, ttl)
	for _, test := range []struct {
		name            string
		monotonic, wall time.Duration
		left            time.Duration
	}{
		{"at once", 0, 0, 2400 * time.Millisecond},
		{"halfway", 1200 * time.Millisecond, 1200 * time.Millisecond, 1200 * time.Millisecond},
		{"at its end", 2400 * time.Millisecond, 2400 * time.Millisecond, 0},
		{"long after", time.Hour, time.Hour, 0},
		{"a suspended machine: the monotonic clock stood still", time.Millisecond, time.Minute, 0},
		{"a wall clock that was set back", 2500 * time.Millisecond, -time.Hour, 0},
		{"a wall clock that was set back, in time", time.Second, -time.Hour, 1400 * time.Millisecond},
	} {
		if left := held.Left(at(test.monotonic, test.wall)); left != test.left {
			t.Errorf("%s: %v are left, not %v", test.name, left, test.left)
		}
	}
}

func TestALeaseThatNeverBeganIsOver(t *testing.T) {
	if left := (lease.Lease{}).Left(zero); left != 0 {
		t.Errorf("%v are left", left)
	}
}

func TestALateConfirmationShortensNothing(t *testing.T) {
	second := at(750*time.Millisecond, 750*time.Millisecond)
	held := lease.Lease{}.Confirmed(second, ttl).Confirmed(zero, ttl)
	if left := held.Left(second); left != lease.Span(ttl) {
		t.Errorf("%v are left", left)
	}
}

// A lease is over before its heartbeat has lapsed at the server, however long the heartbeat was on its way.
func TestALeaseEndsBeforeTheHeartbeatLapses(t *testing.T) {
	for _, way := range []time.Duration{0, time.Millisecond, time.Second, time.Minute} {
		held := lease.Lease{}.Confirmed(zero, ttl)
		lapsed := at(way+ttl, way+ttl)
		if left := held.Left(lapsed); left != 0 {
			t.Errorf("%v are left when the heartbeat lapses", left)
		}
		margin := way + ttl - lease.Span(ttl)
		if margin < ttl/5 {
			t.Errorf("only %v between the end of the lease and a takeover", margin)
		}
	}
}
