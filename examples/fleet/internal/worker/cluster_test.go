// Three NATS servers, of which one or two stop.

package worker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// publishing publishes reports of all devices, each in its order, until stop is called.
func (f *fleet) publishing() (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	var running sync.WaitGroup
	var lock sync.Mutex
	for _, device := range f.devices {
		running.Add(1)
		go func() {
			defer running.Done()
			for n := 0; ctx.Err() == nil; {
				// Within the test's time: a publication that has begun is brought to its end.
				err := f.publish.Publish(f.Context(), device, report.Properties, number(n))
				if errors.Is(err, publish.ErrFull) {
					select {
					case <-time.After(10 * time.Millisecond): // the worker is slower
					case <-ctx.Done():
					}
					continue
				}
				if err != nil {
					f.Errorf("%s: %v", device, err)
					return
				}
				n++
				lock.Lock()
				f.expected[device] = n
				lock.Unlock()
			}
		}()
	}
	return func() { cancel(); running.Wait() }
}

func TestALostLeader(t *testing.T) {
	f := newFleet(t, setup{servers: 3, devices: 12})
	f.start("a")
	f.start("b")
	f.served("a", "b")
	stop := f.publishing()
	f.eventually("reports arrive", func() bool { return f.counters().PropertyReports > 100 })
	leader := natstest.Leader(t, f.servers, broker.Stream)
	f.servers.StopOne(leader)
	before := f.counters().PropertyReports
	f.eventually("reports arrive without that server", func() bool { return f.counters().PropertyReports > before+100 })
	f.must(f.servers.StartOne(leader))
	stop()
	f.drained()
	// In flight were at most a request of each device, at each of the changes.
	if duplicates := f.complete(); duplicates > 20*len(f.devices) {
		t.Errorf("%d came twice", duplicates)
	}
}

func TestALostQuorum(t *testing.T) {
	f := newFleet(t, setup{servers: 3, devices: 12})
	a := f.start("a")
	f.served("a")
	stop := f.publishing()
	f.eventually("reports arrive", func() bool { return f.counters().PropertyReports > 100 })
	f.servers.StopOne(0)
	f.servers.StopOne(1)
	f.eventually("the worker has no lease", func() bool { return a.value("fleet_lease_seconds") == "0" && a.value("fleet_in_flight") == "0" })
	if a.Ready() || !a.Healthy() {
		t.Error("it is ready, or it is not healthy")
	}
	f.must(f.servers.StartOne(0))
	f.must(f.servers.StartOne(1))
	before := f.counters().PropertyReports
	f.eventually("reports arrive again", func() bool { return f.counters().PropertyReports > before+100 })
	stop()
	f.acknowledged()
	if duplicates := f.complete(); duplicates > 20*len(f.devices) {
		t.Errorf("%d came twice", duplicates)
	}
}
