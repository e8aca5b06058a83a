// The lease as the bound of a request.

package worker

import (
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/lease"
)

// Whether a request is given more time or not, it does not begin when the lease is over: a process that stood still goes on
// in the middle of a request's preparation.
func TestNoRequestBeginsAfterTheLease(t *testing.T) {
	const ttl = time.Hour
	now := lease.Instant{Wall: time.Unix(1_700_000_000, 0)}
	h := newHeart(nil, "a", "a/1", ttl, func() lease.Instant { return now }, nil)
	h.held = h.held.Confirmed(now, ttl)
	for _, patient := range []time.Duration{0, patience} {
		bounded, cancel := h.bound(t.Context(), patient)
		if bounded.Err() != nil {
			t.Errorf("%v: no request can begin within the lease", patient)
		}
		cancel()
	}
	now.Wall = now.Wall.Add(ttl)
	for _, patient := range []time.Duration{0, patience} {
		bounded, cancel := h.bound(t.Context(), patient)
		if bounded.Err() == nil {
			t.Errorf("%v: a request can begin after the lease", patient)
		}
		cancel()
	}
}
