// Reports in their order, several in a request.

package worker_test

import (
	"testing"
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
