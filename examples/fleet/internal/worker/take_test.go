// Consumers that nobody answers for: those of several servers that have no leader.

package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

// leaderless is JetStream with a consumer that has no leader: it can be deleted, which nobody confirms. Whether the next one
// has a leader is said by `elects`.
type leaderless struct {
	jetstream.JetStream
	there    bool
	elects   bool
	deletes  int
	creating time.Duration // what a creation was given
}

func (l *leaderless) DeleteConsumer(ctx context.Context, _, _ string) error {
	if l.deletes++; !l.there {
		return jetstream.ErrConsumerNotFound
	}
	l.there = false
	<-ctx.Done()
	return ctx.Err()
}

func (l *leaderless) CreateConsumer(ctx context.Context, _ string, _ jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		l.creating = time.Until(deadline)
	}
	if l.elects {
		return nil, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAConsumerWithoutALeaderIsReplaced(t *testing.T) {
	server := &leaderless{there: true, elects: true}
	s := &steward{Worker: &Worker{stream: server}}
	next := partition.Record{Owner: "a/1", Epoch: 2, Consumer: "p0-e2"}
	if _, err := s.consumer(t.Context(), 0, "p0-e1", next, time.Hour); err != nil || server.deletes != 2 {
		t.Errorf("%v after %d requests to delete", err, server.deletes)
	}
	if server.creating < time.Minute {
		t.Errorf("the deletion's time is taken from the creation's: %v", server.creating)
	}
	// The next one has no leader either: it is given up while the worker goes on.
	server.elects = false
	if _, err := s.consumer(t.Context(), 0, "p0-e1", next, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || t.Context().Err() != nil {
		t.Error(err)
	}
}
