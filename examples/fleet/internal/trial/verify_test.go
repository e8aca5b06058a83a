// The rate of a trial, and whose a request is.

package trial

import (
	"testing"

	"github.com/libiotda/libiotda/examples/fleet/internal/standin"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

func TestTheSteadyRateLeavesOutTheBeginningAndTheEnd(t *testing.T) {
	var requests []standin.Request
	at := int64(1_000_000)
	for i := range 1000 {
		pause := int64(2) // 500 in a second
		if i < 100 || i >= 700 {
			pause = 50
		}
		requests = append(requests, standin.Request{ReceivedAt: at})
		at += pause
	}
	if rate := steady(requests); rate != 500 {
		t.Errorf("%v per second", rate)
	}
	if few := steady(requests[:9]); few != 0 {
		t.Errorf("%v per second of 9 requests", few)
	}
	if none := steady(make([]standin.Request, 100)); none != 0 {
		t.Errorf("%v per second of requests of one millisecond", none)
	}
}

// A request that two workers have sent, over a connection that may be either's, is of the lowest epoch that fits: a higher one
// would make the next request of the first worker look like an overlap.
func TestARequestOfUnknownOriginIsOfTheLowestEpochThatFits(t *testing.T) {
	of := func(owner string, epoch uint64) worker.Traced { return worker.Traced{Owner: owner, Epoch: epoch} }
	for _, test := range []struct {
		name   string
		traced []worker.Traced
		owner  string
		least  uint64
		want   uint64
		known  bool
	}{
		{"the later worker's trace is read first", []worker.Traced{of("a", 5), of("c", 3)}, "", 3, 3, true},
		{"the earlier worker's trace is read first", []worker.Traced{of("a", 3), of("c", 5)}, "", 3, 3, true},
		{"the lowest is over", []worker.Traced{of("a", 6), of("c", 3), of("b", 5)}, "", 4, 5, true},
		{"one worker in two epochs", []worker.Traced{of("c", 3), of("c", 5)}, "c", 4, 5, true},
		{"the connection's worker, not another", []worker.Traced{of("a", 4), of("c", 3)}, "c", 4, 3, true},
		{"none fits: the latest, which is an overlap", []worker.Traced{of("a", 2), of("c", 3)}, "", 4, 3, true},
		{"nobody has sent it", nil, "", 0, 0, false},
		{"nobody of that connection", []worker.Traced{of("a", 4)}, "c", 0, 0, false},
	} {
		if found, known := epochOf(test.traced, test.owner, test.least); found.Epoch != test.want || known != test.known {
			t.Errorf("%s: epoch %d, %v; want %d, %v", test.name, found.Epoch, known, test.want, test.known)
		}
	}
}
