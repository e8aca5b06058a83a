// What a trial publishes, and how much of it.

package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// counts is how many reports of each device were published, and how many of them are bad.
type counts struct {
	lock   sync.Mutex
	good   map[string]int
	bad    int
	sum    atomic.Int64
	refuse atomic.Int64
}

func newCounts() *counts { return &counts{good: make(map[string]int)} }

// Published is how many reports were published.
func (f *Field) Published() int { return int(f.published.sum.Load()) }

// Traffic is what is published.
type Traffic struct {
	// Rate is in reports per second over all devices; 0: as fast as they are stored.
	Rate float64
	// Reports is how many; 0: until stopped.
	Reports int
	// Lanes is how many devices' reports are published at the same time.
	Lanes int
	// Poison is the share of bad reports.
	Poison float64
	// Messages are published instead of properties: they share no request.
	Messages bool
}

// Publish publishes reports of all devices in turn, until all are or stop is called.
func (f *Field) Publish(ctx context.Context, traffic Traffic) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, 1)
	start := time.Now()
	lanes := min(max(traffic.Lanes, 1), len(f.Devices))
	for first := range lanes {
		running.Add(1)
		go func() {
			defer running.Done()
			// A lane has devices of its own, so that one device's reports come one after the other.
			for place := first; ctx.Err() == nil; place += lanes {
				if place >= len(f.Devices) {
					place = first
				}
				number := next.Add(1) - 1
				if traffic.Reports > 0 && number >= int64(traffic.Reports) {
					return
				}
				if traffic.Rate > 0 {
					due := start.Add(time.Duration(float64(number) / traffic.Rate * float64(time.Second)))
					select {
					case <-time.After(time.Until(due)):
					case <-ctx.Done():
						return
					}
				}
				bad := traffic.Poison > 0 && number%int64(1/traffic.Poison) == 7
				if err := f.publishOne(ctx, f.Devices[place], bad, traffic.Messages); err != nil {
					select {
					case failed <- err:
					default:
					}
					cancel()
					return
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	return func() error {
		if traffic.Reports == 0 {
			cancel()
		}
		<-done
		cancel()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

// publishOne publishes a device's next report. One that has begun is brought to its end, so that it is known whether it
// is stored.
func (f *Field) publishOne(ctx context.Context, device string, bad, message bool) error {
	c := f.published
	c.lock.Lock()
	number := c.good[device]
	c.lock.Unlock()
	kind, body := report.Properties, fmt.Appendf(nil, `{"services":[{"service_id":"s","properties":{"n":%d}}]}`, number)
	switch {
	case bad:
		body = []byte(`{"services":[{"service_id":"s","properties":{"n":"bad"}}]}`)
	case message:
		kind, body = report.Message, fmt.Appendf(nil, `{"n":%d}`, number)
	}
	brought, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	for {
		err := f.Publisher.Publish(brought, device, kind, body)
		if errors.Is(err, publish.ErrFull) {
			c.refuse.Add(1)
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", device, err)
		}
		break
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if bad {
		c.bad++
	} else {
		c.good[device]++
	}
	c.sum.Add(1)
	return nil
}

func (c *counts) snapshot() (good map[string]int, bad int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return maps.Clone(c.good), c.bad
}
