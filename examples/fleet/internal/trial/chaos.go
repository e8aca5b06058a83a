// A trial in which workers are killed, stopped, added and drained.

package trial

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

// Took is how long something took, and what it may take.
type Took struct {
	What  string
	Time  time.Duration
	Bound time.Duration
}

// Chaos kills, stops, adds and drains workers while reports are published. It leaves the workers a, b and c. The times
// that it returns are measured, and for the caller to judge: on a busy machine they say little.
func (f *Field) Chaos(ctx context.Context, out io.Writer, say bool) (times []Took, err error) {
	note := func(what string, took time.Duration, bound time.Duration) {
		times = append(times, Took{what, took, bound})
		if say {
			fmt.Fprintf(out, "%-42s %6d ms (bound %d ms)\n", what, took.Milliseconds(), bound.Milliseconds())
		}
	}
	ttl := f.Layout.TTL
	for _, name := range []string{"a", "b", "c"} {
		if _, err := f.StartWorker(name); err != nil {
			return times, err
		}
	}
	if _, err := f.Shared(ctx, "a", "b", "c"); err != nil {
		return times, err
	}

	// A worker dies, and nobody comes in its place.
	f.workers["a"].Kill()
	took, err := f.Shared(ctx, "b", "c")
	if err != nil {
		return times, err
	}
	note("takeover of a dead worker", took, ttl+500*time.Millisecond)

	// It comes back: the partitions are shared anew.
	if _, err = f.StartWorker("a"); err != nil {
		return times, err
	}
	if took, err = f.Shared(ctx, "a", "b", "c"); err != nil {
		return times, err
	}
	note("join: planned move, with the worker's start", took, 1500*time.Millisecond)

	// A worker dies and is started again at once, under its name.
	before, err := f.Records(ctx)
	if err != nil {
		return times, err
	}
	f.workers["b"].Kill()
	if _, err = f.StartWorker("b"); err != nil {
		return times, err
	}
	took, err = f.Until(ctx, "b has its partitions again", func(records []partition.Record) bool {
		for p, record := range records {
			if strings.HasPrefix(before[p].Owner, "b/") && record.Owner == before[p].Owner {
				return false
			}
		}
		return Owners(records)["b"] >= len(records)/3 && len(Owners(records)) == 3
	})
	if err != nil {
		return times, err
	}
	note("restart under the same name", took, 300*time.Millisecond)

	// A worker stands still until others have its partitions, and goes on then as if nothing had happened.
	c := f.workers["c"]
	c.Signal(syscall.SIGSTOP)
	if took, err = f.Shared(ctx, "a", "b"); err != nil {
		return times, err
	}
	note("takeover of a stopped worker", took, ttl+500*time.Millisecond)
	c.Signal(syscall.SIGCONT)
	if took, err = f.Shared(ctx, "a", "b", "c"); err != nil {
		return times, err
	}
	note("the stopped worker takes part again", took, ttl)

	// A fourth one joins and is drained.
	if _, err = f.StartWorker("d"); err != nil {
		return times, err
	}
	if _, err = f.Shared(ctx, "a", "b", "c", "d"); err != nil {
		return times, err
	}
	d := f.workers["d"]
	d.Signal(syscall.SIGTERM)
	if took, err = f.Shared(ctx, "a", "b", "c"); err != nil {
		return times, err
	}
	note("drain: planned move", took, 1500*time.Millisecond)
	if err := d.Wait(ctx); err != nil {
		return times, fmt.Errorf("the drained worker: %w: %s", err, d.Log())
	}
	return times, nil
}

// Worker is the running worker of a name.
func (f *Field) Worker(name string) *Worker {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.workers[name]
}

// Names are those of the workers that were started, sorted.
func (f *Field) Names() (names []string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	for name := range f.workers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
