// Which workers live, by their heartbeats.

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

// roster is who lives, as far as the heartbeats say that have arrived here. Of the steward alone.
type roster struct {
	bucket  jetstream.KeyValue
	ttl     time.Duration
	workers map[string]seen // by name
}

type seen struct {
	beat Beat
	at   time.Duration // by the monotonic clock
}

func newRoster(bucket jetstream.KeyValue, ttl time.Duration) *roster {
	return &roster{bucket: bucket, ttl: ttl, workers: make(map[string]seen)}
}

// apply takes note of a change of the bucket, and reports whether it changes who lives.
func (r *roster) apply(entry jetstream.KeyValueEntry, now time.Duration) (changed bool) {
	before, known := r.workers[entry.Key()]
	var beat Beat
	if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &beat) != nil {
		delete(r.workers, entry.Key())
		return known
	}
	r.workers[entry.Key()] = seen{beat, now}
	return !known || before.beat.Owner != beat.Owner || before.beat.Leaving != beat.Leaving
}

// live is who lives at `now`.
func (r *roster) live(now time.Duration) (live partition.Live) {
	for _, name := range slices.Sorted(maps.Keys(r.workers)) {
		switch worker := r.workers[name]; {
		case now-worker.at >= r.ttl:
		case worker.beat.Leaving:
			live.Leaving = append(live.Leaving, worker.beat.Owner)
		default:
			live.Serving = append(live.Serving, worker.beat.Owner)
		}
	}
	return live
}

// isDead asks the server whether a worker's heartbeat has lapsed: what arrives here can be late.
func isDead(ctx context.Context, alive jetstream.KeyValue, owner string) (bool, error) {
	name, _, _ := strings.Cut(owner, "/")
	entry, err := alive.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var beat Beat
	if err := json.Unmarshal(entry.Value(), &beat); err != nil {
		return false, err
	}
	return beat.Owner != owner, nil
}
