// Trials in which workers are killed, stopped, added and drained, and NATS servers stop.

package trial

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

// course is a trial under way.
type course struct {
	*Field
	out io.Writer
}

// note shows how long something took, and what it may take; a bound of 0 is none.
func (c *course) note(what string, took, bound time.Duration) {
	limit := "no bound"
	if bound > 0 {
		limit = fmt.Sprintf("bound %d ms", bound.Milliseconds())
	}
	fmt.Fprintf(c.out, "%-42s %6d ms (%s)\n", what, took.Milliseconds(), limit)
}

// shared waits until these workers share all partitions, and notes how long that took.
func (c *course) shared(ctx context.Context, what string, bound time.Duration, names ...string) error {
	took, err := c.Shared(ctx, names...)
	if err == nil {
		c.note(what, took, bound)
	}
	return err
}

// begin starts the workers a, b and c.
func (c *course) begin(ctx context.Context) error {
	names := []string{"a", "b", "c"}
	for _, name := range names {
		if _, err := c.StartWorker(name); err != nil {
			return err
		}
	}
	_, err := c.Shared(ctx, names...)
	return err
}

// Chaos kills, stops, adds and drains workers while reports are published, and says on `out` how long each change took. It
// leaves the workers a, b and c. The times are measured, and for the caller to judge: on a busy machine they say little.
func (f *Field) Chaos(ctx context.Context, out io.Writer) error {
	c := &course{f, out}
	ttl := c.Layout.TTL
	if err := c.begin(ctx); err != nil {
		return err
	}

	// A worker dies, and nobody comes in its place.
	c.Worker("a").Kill()
	if err := c.shared(ctx, "takeover of a dead worker", ttl+500*time.Millisecond, "b", "c"); err != nil {
		return err
	}

	// It comes back: the partitions are shared anew.
	if _, err := c.StartWorker("a"); err != nil {
		return err
	}
	err := c.shared(ctx, "join: planned move, with the worker's start", 1500*time.Millisecond, "a", "b", "c")
	if err != nil {
		return err
	}

	// A worker dies and is started again at once, under its name.
	before, err := c.Records(ctx)
	if err != nil {
		return err
	}
	c.Worker("b").Kill()
	if err := c.restart(ctx, "restart under the same name", 300*time.Millisecond, "b", before); err != nil {
		return err
	}

	// A worker stands still until others have its partitions, and goes on then as if nothing had happened.
	stopped := c.Worker("c")
	stopped.Signal(syscall.SIGSTOP)
	if err := c.shared(ctx, "takeover of a stopped worker", ttl+500*time.Millisecond, "a", "b"); err != nil {
		return err
	}
	stopped.Signal(syscall.SIGCONT)
	if err := c.shared(ctx, "the stopped worker takes part again", ttl, "a", "b", "c"); err != nil {
		return err
	}

	// A fourth one joins and is drained.
	if _, err := c.StartWorker("d"); err != nil {
		return err
	}
	if _, err := c.Shared(ctx, "a", "b", "c", "d"); err != nil {
		return err
	}
	d := c.Worker("d")
	d.Signal(syscall.SIGTERM)
	if err := c.shared(ctx, "drain: planned move", 1500*time.Millisecond, "a", "b", "c"); err != nil {
		return err
	}
	if err := d.Wait(ctx); err != nil {
		return fmt.Errorf("the drained worker: %w: %s", err, d.Log())
	}
	return nil
}

// restart starts a worker that was killed, and notes how long it takes until all partitions are served, its share by itself,
// and nothing belongs to its predecessor, which had what `before` says.
func (c *course) restart(ctx context.Context, what string, bound time.Duration, name string, before []partition.Record) error {
	took, err := c.restarted(ctx, name, before)
	if err == nil {
		c.note(what, took, bound)
	}
	return err
}

// restarted is restart without a note.
func (c *course) restarted(ctx context.Context, name string, before []partition.Record) (time.Duration, error) {
	if _, err := c.StartWorker(name); err != nil {
		return 0, err
	}
	return c.Until(ctx, name+" has its partitions again", func(records []partition.Record) bool {
		for p, record := range records {
			if strings.HasPrefix(before[p].Owner, name+"/") && record.Owner == before[p].Owner {
				return false
			}
		}
		owners := Owners(records)
		return owners[name] >= len(records)/3 && len(owners) == 3 && c.serve(records, c.Names()...)
	})
}

// Restarts kills a worker and starts it again, so many times, and says how long the parts of it took: until the process is
// connected and knows its streams, has its lease, has taken the first partition, and all are served. It leaves the workers a, b
// and c.
func (f *Field) Restarts(ctx context.Context, out io.Writer, times int) error {
	c := &course{f, out}
	if err := c.begin(ctx); err != nil {
		return err
	}
	steps := []string{`msg="the worker begins"`, `msg="the first heartbeat is confirmed"`, `msg="partition taken"`}
	took := make([][]time.Duration, len(steps)+1)
	for range times {
		before, err := c.Records(ctx)
		if err != nil {
			return err
		}
		c.Worker("b").Kill()
		start := time.Now()
		if _, err := c.restarted(ctx, "b", before); err != nil {
			return err
		}
		took[len(steps)] = append(took[len(steps)], time.Since(start))
		for i, step := range steps {
			at, err := c.Worker("b").logged(step)
			if err != nil {
				return err
			}
			took[i] = append(took[i], at.Sub(start))
		}
	}
	for i, what := range append(steps, "all partitions are served again") {
		slices.Sort(took[i])
		fmt.Fprintf(out, "%-42s median %5d ms, at most %5d ms\n", strings.Trim(strings.TrimPrefix(what, "msg="), `"`),
			took[i][len(took[i])/2].Milliseconds(), took[i][len(took[i])-1].Milliseconds())
	}
	return nil
}

// logged is when a worker has first logged something.
func (w *Worker) logged(what string) (at time.Time, err error) {
	for line := range strings.Lines(w.Log()) {
		if text, found := strings.CutPrefix(line, "time="); found && strings.Contains(line, what) {
			text, _, _ = strings.Cut(text, " ")
			return time.Parse(time.RFC3339Nano, text)
		}
	}
	return at, fmt.Errorf("%s has not logged %s: %s", w.Name, what, w.Log())
}

// LostLeaders stops a NATS server that leads, and kills a worker at the same moment, twice: the leader of the reports with a
// worker that stays away, and that of the heartbeats with one that is started again at once. It leaves the workers a, b and c.
//
// NATS elects a new leader within some seconds. No heartbeat is confirmed until then, and all leases may end: there is no
// bound for these times.
func (f *Field) LostLeaders(ctx context.Context, out io.Writer) error {
	c := &course{f, out}
	if err := c.begin(ctx); err != nil {
		return err
	}
	first, err := c.loseLeader(ctx, broker.Stream, "a")
	if err != nil {
		return err
	}
	if err := c.shared(ctx, "the reports' leader lost, a worker killed", 0, "b", "c"); err != nil {
		return err
	}
	if err := c.Servers.StartOne(first); err != nil {
		return err
	}
	if _, err := c.StartWorker("a"); err != nil {
		return err
	}
	if err := c.shared(ctx, "both are back", 0, "a", "b", "c"); err != nil {
		return err
	}

	before, err := c.Records(ctx)
	if err != nil {
		return err
	}
	second, err := c.loseLeader(ctx, "KV_"+broker.Alive, "b")
	if err != nil {
		return err
	}
	if err := c.restart(ctx, "the heartbeats' leader lost, a restart", 0, "b", before); err != nil {
		return err
	}
	return c.Servers.StartOne(second)
}

// loseLeader stops the server that leads a stream and kills a worker while the server ends. It returns the server's place.
func (c *course) loseLeader(ctx context.Context, stream, worker string) (place int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for place = c.Servers.LeaderOf(stream); place < 0; place = c.Servers.LeaderOf(stream) {
		select {
		case <-time.After(10 * time.Millisecond): // one is being elected
		case <-ctx.Done():
			return place, fmt.Errorf("no server leads %s", stream)
		}
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		c.Worker(worker).Kill()
	}()
	c.Servers.StopOne(place)
	<-killed
	return place, nil
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
