// What the worker serves: internal/partition decides, take.go carries it out.

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

const (
	// tick is how often it is looked whether somebody has died.
	tick = 100 * time.Millisecond
	// callTimeout is how long a call of NATS may take.
	callTimeout = 2 * time.Second
	// firstRetry and lastRetry bound the pause before a partition is taken again after a failure.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
)

// steward decides what the worker serves, and has it done. Its fields are its own goroutine's alone; what takes time is
// done by others, which post what became of it.
type steward struct {
	*Worker
	slots   []slot
	results chan result
	entries chan watched
	leaving bool
	echo    time.Duration // when the own heartbeat was last seen to arrive
}

// slot is a partition.
type slot struct {
	record   partition.Record
	revision uint64
	// epoch is the one that runs here, nil if none does.
	epoch *epoch
	// busy says that the partition is being taken or released.
	busy     bool
	failures int
	retry    time.Duration // not to be taken before
	// unconfirmed are reports that were delivered from here and may come again.
	unconfirmed *sequences
}

// result is what became of a release or a take, or that an epoch has ended by itself.
type result struct {
	partition int
	record    *partition.Record // the new one, if it was written
	revision  uint64
	epoch     *epoch // the one that began
	ended     *epoch // the one that ended
	err       error
}

// watched is a change of a bucket.
type watched struct {
	bucket string
	entry  jetstream.KeyValueEntry // nil: all that was there has been shown
}

func newSteward(w *Worker) *steward {
	s := &steward{Worker: w, slots: make([]slot, w.layout.Partitions),
		results: make(chan result)}
	for i := range s.slots {
		s.slots[i].unconfirmed = &sequences{}
	}
	return s
}

// run works until `leave` is closed and all partitions are handed over, or ctx ends.
func (s *steward) run(ctx context.Context, leave <-chan struct{}) error {
	for { // once for each time that the buckets have to be watched anew
		again, err := s.watchAndWork(ctx, leave)
		if err == nil && !again {
			break
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Warn("the buckets cannot be watched", "error", err)
		}
		if ctx.Err() != nil {
			break
		}
		if s.leaving && s.heart.left() == 0 {
			break // nothing is held any more
		}
		wait := leave
		if s.leaving {
			wait = nil
		}
		select {
		case <-time.After(firstRetry):
		case <-wait:
			leaveNow(s)
		case <-ctx.Done():
		}
	}
	s.reading.Store(false)
	s.stopAll("end", 0)
	s.settle()
	return nil
}

func leaveNow(s *steward) {
	s.leaving = true
	s.heart.leave()
}

// settle waits for what is still being done.
func (s *steward) settle() {
	for {
		open := false
		for i := range s.slots {
			open = open || s.slots[i].busy || s.slots[i].epoch != nil
		}
		if !open {
			return
		}
		s.apply(<-s.results)
	}
}

// watchAndWork works with watchers of the buckets, until they have to be made anew.
func (s *steward) watchAndWork(ctx context.Context, leave <-chan struct{}) (again bool, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	s.entries = make(chan watched, 256)
	err = broker.AtOnce(
		func() error { return s.watch(watching, s.parts, broker.Parts) },
		func() error { return s.watch(watching, s.heart.bucket, broker.Alive) })
	if err != nil {
		return true, err
	}
	s.echo = s.monotonic()
	shown := map[string]bool{}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	reconnected := s.onReconnect()
	if s.leaving {
		leave = nil
	}
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-leave:
			leave = nil
			leaveNow(s)
		case <-reconnected:
			s.logger.Info("connected to NATS again: all partitions begin a new epoch")
			s.stopAll("reconnect", restartGrace)
			return true, nil
		case change := <-s.entries:
			if change.entry == nil {
				shown[change.bucket] = true
			} else {
				s.note(change)
			}
			if len(s.entries) > 0 {
				continue
			}
		case done := <-s.results:
			s.apply(done)
		case <-s.heart.began:
		case <-ticker.C:
		}
		if len(shown) < 2 {
			continue
		}
		s.reading.Store(true)
		if s.heart.left() == 0 {
			s.echo = s.monotonic() // no heartbeat is confirmed that could arrive
		} else if s.monotonic()-s.echo > s.layout.TTL {
			s.logger.Warn("the own heartbeat does not arrive: the buckets are watched anew")
			return true, nil
		}
		if s.act(ctx) {
			return false, nil
		}
	}
}

// watch passes changes of a bucket on, until ctx ends.
func (s *steward) watch(ctx context.Context, bucket jetstream.KeyValue, name string) error {
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch the bucket %s: %w", name, err)
	}
	entries := s.entries
	go func() {
		defer watcher.Stop()
		for {
			select {
			case entry, open := <-watcher.Updates():
				if !open {
					return
				}
				select {
				case entries <- watched{name, entry}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// note takes note of a change of a bucket.
func (s *steward) note(change watched) {
	if change.bucket == broker.Alive {
		now := s.monotonic()
		s.roster.apply(change.entry, now)
		if change.entry.Key() == s.config.Name {
			s.echo = now
		}
		return
	}
	p, known := partition.ParseKey(change.entry.Key(), len(s.slots))
	if !known {
		return
	}
	var record partition.Record
	if change.entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(change.entry.Value(), &record) != nil {
		s.logger.Error("leave the bucket of partitions alone: an entry was deleted or is no record; it is made again",
			"key", change.entry.Key())
		// Nobody's, in the epoch that it had, so that the next one is later than that.
		record = partition.Record{Epoch: s.slots[p].record.Epoch, Consumer: s.slots[p].record.Consumer}
	}
	s.know(p, record, change.entry.Revision())
}

// know takes note of a partition's record, unless a newer one is known.
func (s *steward) know(p int, record partition.Record, revision uint64) {
	slot := &s.slots[p]
	if revision <= slot.revision {
		return
	}
	slot.record, slot.revision = record, revision
	if record.Owner != s.owner {
		slot.unconfirmed.clear() // what comes later comes to somebody else
	}
	if e := slot.epoch; e != nil && (record.Owner != s.owner || record.Epoch != e.number) {
		e.stop("fenced", 0)
	}
}

func (s *steward) stopAll(reason string, grace time.Duration) {
	for i := range s.slots {
		if e := s.slots[i].epoch; e != nil {
			e.stop(reason, grace)
		}
	}
}

// act does what is to be done now, and reports whether the worker has left.
func (s *steward) act(ctx context.Context) (left bool) {
	remaining, term := s.heart.lease()
	for i := range s.slots {
		if e := s.slots[i].epoch; e != nil && (remaining == 0 || e.term != term) {
			e.stop("lease", 0)
		}
	}
	if remaining == 0 {
		return s.leaving
	}
	now := s.monotonic()
	live := s.roster.live(now)
	// Its own heartbeat is confirmed, whether the news of it has arrived or not.
	switch {
	case s.leaving && !slices.Contains(live.Leaving, s.owner):
		live.Leaving = append(live.Leaving, s.owner)
	case !s.leaving && !slices.Contains(live.Serving, s.owner):
		live.Serving = append(live.Serving, s.owner)
	}
	table := make([]partition.Record, len(s.slots))
	mine, busy := 0, false
	for i := range s.slots {
		table[i] = s.slots[i].record
		busy = busy || s.slots[i].busy
		if table[i].Owner == s.owner {
			mine++
		}
	}
	if s.leaving && mine == 0 && !busy {
		return true
	}
	decision := partition.Decide(s.owner, live, table)
	if s.leaving {
		decision = partition.Decision{}
		for i := range table {
			if table[i].Owner == s.owner {
				decision.Release = append(decision.Release, i)
			}
		}
	}
	released := map[int]bool{}
	for _, p := range decision.Release {
		released[p] = true
		if slot := &s.slots[p]; !slot.busy && now >= slot.retry {
			slot.busy = true
			go s.release(ctx, p, slot.record, slot.revision, slot.epoch)
		}
	}
	for i := range s.slots { // taken, but nothing runs: an epoch has ended
		if slot := &s.slots[i]; slot.record.Owner == s.owner && slot.epoch == nil && !released[i] {
			decision.Take = append(decision.Take, i)
		}
	}
	for _, p := range decision.Take {
		if slot := &s.slots[p]; !slot.busy && slot.epoch == nil && now >= slot.retry {
			slot.busy = true
			go s.take(ctx, p, slot.record, slot.revision, slot.failures, slot.unconfirmed)
		}
	}
	return false
}

// apply takes note of what became of something.
func (s *steward) apply(done result) {
	slot := &s.slots[done.partition]
	if done.ended != nil {
		if slot.epoch == done.ended {
			slot.epoch = nil
			s.counters.serving.Add(-1)
		}
		return
	}
	slot.busy = false
	if done.epoch != nil {
		slot.epoch = done.epoch
		s.counters.serving.Add(1)
	}
	if done.record != nil {
		s.know(done.partition, *done.record, done.revision)
	}
	switch {
	case done.err != nil && !errors.Is(done.err, errRaced):
		slot.failures++
		pause := min(firstRetry<<min(slot.failures-1, 8), lastRetry)
		slot.retry = s.monotonic() + pause
		s.logger.Warn("a partition could not be taken or released", "partition", done.partition, "error", done.err)
	case done.err != nil:
		slot.retry = s.monotonic() + tick // until the change of the other one has arrived
	default:
		slot.failures = 0
	}
	if e := slot.epoch; e != nil && done.epoch != nil && (slot.record.Owner != s.owner || slot.record.Epoch != e.number) {
		e.stop("fenced", 0) // taken by somebody else while it began
	}
}
