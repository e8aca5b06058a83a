// A worker's part in the ledger: it reads and changes the record in the bucket, and hands its grant to the pacer.

package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Key is the ledger's key in its bucket.
const Key = "tenant"

// unbounded is how often the ledger is read while it names no limit.
const unbounded = time.Second

// Keeper takes part in the ledger for one worker and hands its grant to the pacer.
type Keeper struct {
	Bucket jetstream.KeyValue
	Me     string
	Pacer  *Pacer
	Clock  func() time.Duration
	Logger *slog.Logger

	view   View
	demand float64
	last   time.Duration // of the last confirmed change
	// Not yet written.
	taken, refusals int64
}

// Run takes part until ctx ends, and gives the grant back then.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(Turn)
	defer ticker.Stop()
	for ctx.Err() == nil {
		bounded, err := k.Step(ctx)
		if err != nil && ctx.Err() == nil {
			k.Logger.Warn("the ledger of the tenant's rate cannot be changed; the grant lapses", "error", err)
		}
		pause := Turn
		if !bounded && err == nil {
			pause = unbounded
		}
		ticker.Reset(pause)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), Lapse)
	defer cancel()
	if err := k.leave(leaving); err != nil {
		k.Logger.Warn("the grant could not be given back; it lapses", "error", err)
	}
}

// Step makes one change, and reports whether there is a limit.
func (k *Keeper) Step(ctx context.Context) (bounded bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, Lapse)
	defer cancel()
	for {
		start := k.Clock()
		record, revision, err := read(ctx, k.Bucket)
		if err != nil {
			return false, err
		}
		k.view.Observe(record, k.Clock())
		if record.Limit <= 0 {
			k.Pacer.Free()
			return false, nil
		}
		k.measure(start)
		next := k.view.Next(record, k.Me, k.demand, uint64(k.refusals), k.Clock())
		err = write(ctx, k.Bucket, next, revision)
		if errors.Is(err, errChanged) {
			continue // somebody else was faster
		}
		if err != nil {
			return true, err
		}
		k.refusals = 0
		k.Pacer.Grant(next.Workers[k.Me].Grant, start+Lapse)
		return true, nil
	}
}

// measure finds what the worker could send: what it sent, and what waits. Demand falls slowly, since bursts come back.
func (k *Keeper) measure(now time.Duration) {
	k.taken += k.Pacer.taken.Swap(0)
	k.refusals += k.Pacer.refused.Swap(0)
	if passed := now - k.last; passed >= Turn/2 {
		current := float64(k.taken)/passed.Seconds() + float64(k.Pacer.waiting.Load())/Turn.Seconds()
		k.demand = max(current, 0.8*k.demand)
		k.taken, k.last = 0, now
	}
}

func (k *Keeper) leave(ctx context.Context) error {
	k.Pacer.Grant(0, k.Clock())
	return change(ctx, k.Bucket, func(record Record) Record { return Without(record, k.Me) })
}

// SetLimit sets the tenant's rate; 0: none.
func SetLimit(ctx context.Context, bucket jetstream.KeyValue, limit float64) error {
	return change(ctx, bucket, func(record Record) Record { record.Limit = limit; return record })
}

var errChanged = errors.New("the ledger was changed by somebody else")

func change(ctx context.Context, bucket jetstream.KeyValue, change func(Record) Record) error {
	for {
		record, revision, err := read(ctx, bucket)
		if err != nil {
			return err
		}
		if err := write(ctx, bucket, change(record), revision); !errors.Is(err, errChanged) {
			return err
		}
	}
}

func read(ctx context.Context, bucket jetstream.KeyValue) (record Record, revision uint64, err error) {
	entry, err := bucket.Get(ctx, Key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Record{}, 0, nil
	}
	if err != nil {
		return Record{}, 0, err
	}
	err = json.Unmarshal(entry.Value(), &record)
	return record, entry.Revision(), err
}

func write(ctx context.Context, bucket jetstream.KeyValue, record Record, revision uint64) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = bucket.Create(ctx, Key, text)
	} else {
		_, err = bucket.Update(ctx, Key, text, revision)
	}
	var refused *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return errChanged
	}
	return err
}
