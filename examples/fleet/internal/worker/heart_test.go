// The lease as the bound of a request.

package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
		bounded, cancel := h.bound(t.Context(), h.term, patient)
		if bounded.Err() != nil {
			t.Errorf("%v: no request can begin within the lease", patient)
		}
		cancel()
	}
	now.Wall = now.Wall.Add(ttl)
	for _, patient := range []time.Duration{0, patience} {
		bounded, cancel := h.bound(t.Context(), h.term, patient)
		if bounded.Err() == nil {
			t.Errorf("%v: a request can begin after the lease", patient)
		}
		cancel()
	}
}

// oneKey is a bucket in which a key can lapse.
type oneKey struct {
	jetstream.KeyValue
	last, now uint64 // revisions; now is 0 when the key has lapsed
}

func (b *oneKey) Create(ctx context.Context, key string, value []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	return b.Update(ctx, key, value, 0)
}

func (b *oneKey) Update(_ context.Context, _ string, _ []byte, revision uint64) (uint64, error) {
	if revision != b.now {
		return 0, jetstream.ErrKeyExists
	}
	b.last++
	b.now = b.last
	return b.now, nil
}

func (b *oneKey) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, jetstream.ErrKeyNotFound
}

// While a process stood still its key lapsed, and others have its partitions. The next heartbeat gives it a lease again, and
// that is none for what it served before.
func TestALeaseAfterALapseIsAnotherOne(t *testing.T) {
	now := lease.Instant{Wall: time.Unix(1_700_000_000, 0)}
	bucket := &oneKey{}
	h := newHeart(bucket, "a", "a/1", time.Hour, func() lease.Instant { return now }, nil)
	beat := func() {
		t.Helper()
		if err := h.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	began := func() bool {
		select {
		case <-h.began:
			return true
		default:
			return false
		}
	}
	beat()
	if !began() {
		t.Error("nobody hears of the first lease")
	}
	_, term := h.lease()
	beat()
	if began() {
		t.Error("a lease that goes on is said to begin")
	}
	running, cancel := h.bound(t.Context(), term, patience)
	defer cancel()
	if running.Err() != nil || h.leftIn(term) == 0 {
		t.Error("a heartbeat that follows another ends the term")
	}
	bucket.now = 0
	now.Wall = now.Wall.Add(time.Hour)
	if err := h.beat(t.Context()); !isConflict(err) {
		t.Fatal(err)
	}
	if err := h.find(t.Context()); err != nil {
		t.Fatal(err)
	}
	beat()
	if h.left() == 0 || !began() {
		t.Error("there is no lease, or nobody hears of it")
	}
	late, cancel := h.bound(t.Context(), term, patience)
	defer cancel()
	if late.Err() == nil || h.leftIn(term) != 0 {
		t.Error("what was taken before the lapse goes on")
	}
}

// unreliable is a bucket that answers neither the first look nor the first change, which it makes nevertheless.
type unreliable struct {
	oneKey
	value         []byte
	looked, asked bool
}

func (b *unreliable) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	switch {
	case !b.looked:
		b.looked = true
		return nil, context.DeadlineExceeded
	case b.now == 0:
		return nil, jetstream.ErrKeyNotFound
	}
	return stored{value: b.value, revision: b.now}, nil
}

func (b *unreliable) Create(ctx context.Context, key string, value []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	return b.Update(ctx, key, value, 0)
}

func (b *unreliable) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	revision, err := b.oneKey.Update(ctx, key, value, revision)
	if err == nil {
		b.value = value
		if !b.asked {
			b.asked = true
			return 0, context.DeadlineExceeded
		}
	}
	return revision, err
}

type stored struct {
	jetstream.KeyValueEntry
	value    []byte
	revision uint64
}

func (s stored) Value() []byte    { return s.value }
func (s stored) Revision() uint64 { return s.revision }

// The leader of the heartbeats is lost while a worker begins: it tries again, and knows a heartbeat of its own that was
// stored without a confirmation.
func TestAWorkerBeginsWithoutAnAnswerAtFirst(t *testing.T) {
	bucket := &unreliable{}
	h := newHeart(bucket, "a", "a/1", time.Hour, lease.System(), slog.New(slog.DiscardHandler))
	if err := h.begin(t.Context()); err != nil || h.left() == 0 || bucket.last != 2 {
		t.Errorf("%v, %d heartbeats, %v left", err, bucket.last, h.left())
	}
}
