// Order and fullness of what is published, also while the stream loses its leader.

package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// stored is what the stream keeps, by device, in its order.
func stored(t *testing.T, stream jetstream.JetStream) map[string][]string {
	t.Helper()
	kept, err := stream.Stream(t.Context(), broker.Stream)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	state := kept.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq && state.Msgs > 0; sequence++ {
		message, err := kept.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		device, _, err := report.ParseStored(message.Subject)
		if err != nil {
			t.Fatal(err)
		}
		found[device] = append(found[device], string(message.Data))
	}
	return found
}

// While the stream loses its leader, and that comes back, each device's reports are stored once and in order.
func TestOrderOverALostLeader(t *testing.T) {
	servers, stream := natstest.Setup(t, 3, func(l *broker.Layout) { l.PerSubject = 1_000_000 })
	publisher := publish.New(stream)
	const devices = 8
	counts := make([]int, devices)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	progress := make(chan struct{})
	for d := range devices {
		running.Add(1)
		go func() {
			defer running.Done()
			for ctx.Err() == nil {
				err := publisher.Publish(t.Context(), fmt.Sprintf("d%d", d), report.Message, fmt.Appendf(nil, "%d", counts[d]))
				if err != nil {
					t.Error(err)
					return
				}
				counts[d]++
				select {
				case progress <- struct{}{}:
				case <-ctx.Done():
				}
			}
		}()
	}
	published := func(count int) {
		for range count {
			<-progress
		}
	}
	published(200)
	leader := natstest.Leader(t, servers, broker.Stream)
	servers.StopOne(leader)
	published(200)
	if err := servers.StartOne(leader); err != nil {
		t.Fatal(err)
	}
	published(200)
	cancel()
	running.Wait()
	found := stored(t, stream)
	for d, count := range counts {
		numbers := found[fmt.Sprintf("d%d", d)]
		if len(numbers) != count {
			t.Errorf("%d were published for d%d, and %d are stored", count, d, len(numbers))
			continue
		}
		for i, number := range numbers {
			if number != fmt.Sprint(i) {
				t.Errorf("d%d: %s is stored where %d must be", d, number, i)
				break
			}
		}
	}
}

func TestAFullDeviceIsRefusedAlone(t *testing.T) {
	_, stream := natstest.Setup(t, 1, func(l *broker.Layout) { l.PerSubject = 3 })
	publisher := publish.New(stream)
	for i := range 5 {
		err := publisher.Publish(t.Context(), "d", report.Message, []byte("x"))
		if full := errors.Is(err, publish.ErrFull); full != (i >= 3) || err != nil && !full {
			t.Errorf("%d: %v", i, err)
		}
	}
	for _, other := range []struct {
		device string
		kind   report.Kind
	}{{"d", report.Properties}, {"e", report.Message}} {
		if err := publisher.Publish(t.Context(), other.device, other.kind, []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatCannotBeAReportIsRefused(t *testing.T) {
	_, stream := natstest.Setup(t, 1, func(*broker.Layout) {})
	publisher := publish.New(stream)
	for _, device := range []string{"", "a b", "a.b", "*", ">", strings.Repeat("d", 129)} {
		if err := publisher.Publish(t.Context(), device, report.Message, nil); err == nil {
			t.Errorf("a report of %q is stored", device)
		}
	}
	if err := publisher.Publish(t.Context(), "d", report.Message, make([]byte, publish.MaxBody)); err == nil {
		t.Error("a report that is too large is stored")
	}
	if err := publisher.Publish(t.Context(), "d", report.Message, make([]byte, publish.MaxBody-1)); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := publisher.Publish(ended, "d", report.Message, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Another subject than those that are listed is no part of the stream, so that a misspelt one is refused.
	if _, err := stream.Publish(t.Context(), "iotda.d.propertys", nil, jetstream.WithRetryAttempts(0)); err == nil {
		t.Error("a misspelt subject is stored")
	}
}
