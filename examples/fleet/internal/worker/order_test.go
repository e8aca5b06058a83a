// Reports in their order, several in a request, and how many requests at a time.

package worker_test

import (
	"testing"

	"github.com/libiotda/libiotda/examples/fleet/internal/standin"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

func TestReportsArriveInOrderAndShareRequests(t *testing.T) {
	f := newFleet(t, setup{devices: 20})
	f.report(30)
	f.start("a")
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	counted := f.counters()
	// 30 reports of some 90 bytes each fit into one request; the first may go before the others were read.
	if counted.PropertyReports > 60 || counted.Authentications != 20 || counted.Refusals != 0 {
		t.Errorf("%+v", counted)
	}
}

// With one request in flight, each device's report follows its own authentication.
func TestRequestsInFlightAreBounded(t *testing.T) {
	f := newFleet(t, setup{devices: 12})
	f.report(1)
	f.start("a", func(c *worker.Config) { c.MaxInFlight = 1 })
	f.drained()
	var requests []standin.Request
	f.must(f.standin.Ask("GET", "/requests", "", &requests))
	if len(requests) != 24 {
		t.Fatalf("%d requests", len(requests))
	}
	for i, request := range requests {
		if want := []string{"auth", "properties"}[i%2]; request.Call != want {
			t.Fatalf("request %d is %s: two were under way: %+v", i, request.Call, requests)
		}
	}
}
