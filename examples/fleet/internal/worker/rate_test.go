// The tenant's rate, shared by several workers.

package worker_test

import (
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/ledger"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// Two workers share a rate that neither could keep alone by knowing the limit: the platform refuses next to nothing.
func TestWorkersShareTheTenantsRate(t *testing.T) {
	f := newFleet(t, setup{devices: 40, registry: "[limits]\ntenant_rate = 100\n"})
	bucket, err := f.stream.KeyValue(t.Context(), broker.Ledger)
	f.must(err)
	f.must(ledger.SetLimit(t.Context(), bucket, 100))
	a, b := f.start("a"), f.start("b")
	f.served("a", "b")
	f.eventually("both have a grant", func() bool {
		return a.value("fleet_rate_grant") != "-1" && b.value("fleet_rate_grant") != "-1"
	})
	for range 8 {
		for _, device := range f.devices { // messages share no requests
			f.must(f.publish.Publish(t.Context(), device, report.Message, []byte("x")))
		}
	}
	f.drained()
	var first, last int64
	for i, request := range f.requests("message") {
		if i == 0 {
			first = request.ReceivedAt
		}
		last = request.ReceivedAt
	}
	rate := float64(8*len(f.devices)) / (time.Duration(last-first) * time.Millisecond).Seconds()
	counted := f.counters()
	t.Logf("%.1f messages per second, %d refused", rate, counted.Refusals)
	// The platform's bucket holds a second's worth, so that more than the limit can pass in so short a time.
	if counted.Messages < 8*len(f.devices) || counted.Refusals > 8*len(f.devices)/100 {
		t.Errorf("%+v", counted)
	}
}
