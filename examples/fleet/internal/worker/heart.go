// The worker's heartbeat and its lease, which bounds each request.

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/lease"
)

// Beat is a heartbeat, the value of a worker's key in the bucket `alive`.
type Beat struct {
	// Owner is the worker's name and instance, as partitions have it.
	Owner string `json:"owner"`
	// Leaving says that it takes no more partitions.
	Leaving bool `json:"leaving"`
	// Process says which process it is, for the one that starts after it under the same name.
	Process Process `json:"process"`
}

// heart keeps the worker's key in the bucket `alive`, and with it the lease.
type heart struct {
	bucket jetstream.KeyValue
	name   string
	owner  string
	ttl    time.Duration
	clock  lease.Clock
	logger *slog.Logger

	leaving atomic.Bool
	soon    chan struct{}
	// began gets a value when a lease begins where none was.
	began chan struct{}

	lock     sync.Mutex
	held     lease.Lease
	revision uint64
	tried    lease.Instant
	// term counts how often the key was created: before each time nobody had it, so that the others may have taken what
	// this worker served.
	term uint64
}

func newHeart(bucket jetstream.KeyValue, name, owner string, ttl time.Duration, clock lease.Clock, logger *slog.Logger) *heart {
	return &heart{bucket: bucket, name: name, owner: owner, ttl: ttl, clock: clock, logger: logger,
		soon: make(chan struct{}, 1), began: make(chan struct{}, 1)}
}

// left is what is left of the lease.
func (h *heart) left() time.Duration {
	left, _ := h.lease()
	return left
}

// lease is what is left of the lease, and its term.
func (h *heart) lease() (left time.Duration, term uint64) {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.held.Left(h.clock()), h.term
}

// leftIn is what is left of the lease for what began in a term; 0 in a later one.
func (h *heart) leftIn(term uint64) time.Duration {
	left, now := h.lease()
	if now != term {
		return 0
	}
	return left
}

// beats reports whether a heartbeat was tried lately.
func (h *heart) beats(lately time.Duration) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.clock().Monotonic-h.tried.Monotonic < lately
}

// bound is a context for a request that begins now, of an epoch of this term: it ends with the lease as it is now, at the
// latest, or, if the request is given time, with the lease that later heartbeats of the term confirm.
func (h *heart) bound(ctx context.Context, term uint64, patient time.Duration) (context.Context, context.CancelFunc) {
	left := h.leftIn(term)
	if patient == 0 || left == 0 {
		return context.WithTimeout(ctx, left) // ended at once if the lease is over
	}
	ctx, cancel := context.WithTimeout(ctx, patient)
	var look func()
	look = func() {
		if left := h.leftIn(term); left > 0 && ctx.Err() == nil {
			time.AfterFunc(left, look)
		} else {
			cancel()
		}
	}
	time.AfterFunc(left, look)
	return ctx, cancel
}

// begin claims the name: at once if nobody has it, or the process that had it is known to be gone; else when its key has
// lapsed. It tries until ctx ends.
func (h *heart) begin(ctx context.Context) error {
	waits := false
	for {
		entry, err := h.bucket.Get(ctx, h.name)
		switch {
		case err == nil:
			var before Beat
			if json.Unmarshal(entry.Value(), &before) == nil && (before.Process.isGone() || before.Owner == h.owner) {
				h.revision = entry.Revision() // the own one was stored, and the confirmation was lost
			} else {
				if !waits {
					h.logger.Info("waiting until the heartbeat of an earlier worker of this name lapses", "owner", before.Owner)
				}
				waits = true
			}
		case errors.Is(err, jetstream.ErrKeyNotFound):
			h.revision, waits = 0, false
		}
		if err == nil && h.revision == entry.Revision() || errors.Is(err, jetstream.ErrKeyNotFound) {
			if err = h.beat(ctx); err == nil {
				h.logger.Info("the first heartbeat is confirmed")
				return nil
			}
		}
		h.revision = 0
		if err != nil && !isConflict(err) && ctx.Err() == nil {
			h.logger.Warn("the first heartbeat was not confirmed", "error", err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errTaken ends a worker.
var errTaken = errors.New("give each worker a name of its own: another process has taken this one's")

// run beats until ctx ends; it fails if another process has taken the name.
func (h *heart) run(ctx context.Context) error {
	interval := lease.Interval(h.ttl)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-h.soon:
		}
		next := interval
		err := h.beat(ctx)
		if isConflict(err) {
			err = h.find(ctx)
			next = 0
		}
		switch {
		case errors.Is(err, errTaken):
			return err
		case err != nil && ctx.Err() == nil:
			h.logger.Warn("the heartbeat was not confirmed", "error", err, "lease_left", h.left())
			next = interval / 4
		}
		timer.Reset(next)
	}
}

// beat sends a heartbeat. The lease begins when it is sent.
func (h *heart) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lease.Span(h.ttl)/2)
	defer cancel()
	value, err := json.Marshal(Beat{Owner: h.owner, Leaving: h.leaving.Load(), Process: thisProcess()})
	if err != nil {
		return err
	}
	start := h.clock()
	h.lock.Lock()
	h.tried = start
	revision := h.revision
	h.lock.Unlock()
	created := revision == 0
	if created {
		revision, err = h.bucket.Create(ctx, h.name, value)
	} else {
		revision, err = h.bucket.Update(ctx, h.name, value, revision)
	}
	if err != nil {
		return err
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.revision = revision
	if h.held.Left(start) == 0 {
		select {
		case h.began <- struct{}{}:
		default:
		}
	}
	h.held = h.held.Confirmed(start, h.ttl)
	if created {
		h.term++
	}
	return nil
}

// find finds the key's revision after a conflict: a heartbeat was stored and not confirmed, or the key has lapsed.
func (h *heart) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lease.Span(h.ttl)/2)
	defer cancel()
	entry, err := h.bucket.Get(ctx, h.name)
	revision := uint64(0)
	if err == nil {
		var beat Beat
		if json.Unmarshal(entry.Value(), &beat) != nil || beat.Owner != h.owner {
			return errTaken
		}
		revision = entry.Revision()
	} else if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.revision = revision
	return nil
}

// leave says that the worker takes no more partitions.
func (h *heart) leave() {
	h.leaving.Store(true)
	select {
	case h.soon <- struct{}{}:
	default:
	}
}

// end takes the key away.
func (h *heart) end(ctx context.Context) error {
	h.lock.Lock()
	h.held = lease.Lease{}
	h.lock.Unlock()
	err := h.remove(ctx)
	if isConflict(err) { // the last heartbeat was stored, and its confirmation was not waited for
		if err = h.find(ctx); err == nil {
			err = h.remove(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("the heartbeat's key stays until it lapses: %w", err)
	}
	return nil
}

func (h *heart) remove(ctx context.Context) error {
	h.lock.Lock()
	revision := h.revision
	h.lock.Unlock()
	if revision == 0 {
		return nil // it has lapsed
	}
	return h.bucket.Delete(ctx, h.name, jetstream.LastRevision(revision))
}

// isConflict reports whether a compare-and-set failed because somebody else was faster.
func isConflict(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
