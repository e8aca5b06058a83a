// Which streams are made, and which are refused.

package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

func TestTheLayoutIsForLife(t *testing.T) {
	_, stream := natstest.Setup(t, 1, func(l *broker.Layout) { l.Partitions = 4 })
	layout := broker.DefaultLayout()
	layout.Replicas, layout.Partitions = 1, 8
	if err := broker.Setup(t.Context(), stream, layout); err == nil || !strings.Contains(err.Error(), "keep the 4 partitions") {
		t.Error(err)
	}
	layout.Partitions, layout.PerSubject = 4, 7
	if err := broker.Setup(t.Context(), stream, layout); err != nil {
		t.Error(err)
	}
	found, err := broker.Find(t.Context(), stream)
	if err != nil || found.Partitions != 4 || found.PerSubject != 7 || found.TTL != 3*time.Second {
		t.Errorf("%+v, %v", found, err)
	}
	// One that was made otherwise would lose or disorder reports.
	config := jetstream.StreamConfig{Name: broker.Stream, Subjects: report.Subjects()}
	if err := stream.DeleteStream(t.Context(), broker.Stream); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Find(t.Context(), stream); err == nil || !strings.Contains(err.Error(), "setup") {
		t.Error(err)
	}
	if _, err := stream.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Find(t.Context(), stream); err == nil || !strings.Contains(err.Error(), "no partitions") {
		t.Error(err)
	}
}
