//go:build cgo

// The end of an outbox, together with the calls that still run.

package iotda_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// everyCall calls each method of an outbox that can fail.
func everyCall(t *testing.T, outbox *iotda.Outbox, device *iotda.Client) map[string]error {
	ctx := t.Context()
	_, properties := outbox.PutProperties(ctx, device, iotda.Service{ID: "s", Properties: wind{}})
	_, body := outbox.PutPropertiesJSON(ctx, device, []byte(`{"services":[{"service_id":"s","properties":{}}]}`))
	_, message := outbox.PutMessage(ctx, device, nil)
	_, batch := outbox.PutBatch(ctx, device, children(1))
	_, batchBody := outbox.PutBatchJSON(ctx, device, []byte(`{}`))
	_, discard := outbox.Discard(ctx, "another")
	errs := map[string]error{
		"PutProperties": properties, "PutPropertiesJSON": body, "PutMessage": message, "PutBatch": batch,
		"PutBatchJSON": batchBody, "Discard": discard, "Attach": outbox.Attach(device), "Sync": outbox.Sync(ctx),
		"Flush": outbox.Flush(ctx), "ForgetDead": outbox.ForgetDead(0),
	}
	for _, err := range outbox.Dead() {
		errs["Dead"] = err
	}
	return errs
}

func TestNoOutboxIsAClosedOne(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	closed := openOutbox(t, client, t.TempDir())
	must(t, closed.Close())
	var none *iotda.Outbox
	for name, outbox := range map[string]*iotda.Outbox{"nil": none, "zero": {}, "closed": closed} {
		errs := everyCall(t, outbox, client)
		if len(errs) != 11 {
			t.Errorf("%d methods", len(errs))
		}
		for method, err := range errs {
			if err != iotda.ErrClosed {
				t.Errorf("%s of %s: %v", method, name, err)
			}
		}
		if outbox.Stats() != (iotda.OutboxStats{}) {
			t.Errorf("%s has statistics", name)
		}
		outbox.Wake()
		must(t, outbox.Close())
	}
}

func TestNoDeviceIsAClosedOne(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	outbox := openOutbox(t, client, t.TempDir())
	closed := p.client(t)
	must(t, closed.Close())
	var none *iotda.Client
	for name, device := range map[string]*iotda.Client{"nil": none, "zero": {}, "closed": closed} {
		errs := everyCall(t, outbox, device)
		for _, method := range []string{"PutProperties", "PutPropertiesJSON", "PutMessage", "PutBatch", "PutBatchJSON", "Attach"} {
			if errs[method] != iotda.ErrClosed {
				t.Errorf("%s with %s: %v", method, name, errs[method])
			}
		}
		if _, err := device.OpenOutbox(iotda.OutboxOptions{Directory: t.TempDir()}); err != iotda.ErrClosed {
			t.Errorf("OpenOutbox with %s: %v", name, err)
		}
	}
	putMessages(t, outbox, client, 1)
	must(t, outbox.Flush(t.Context()))
}

// go vet finds a copy; it lives all the same, when the garbage collector has taken what it is a copy of.
func TestACopyOfAnOutboxLives(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	original, err := client.OpenOutbox(iotda.OutboxOptions{Directory: t.TempDir()})
	must(t, err)
	outbox := copyOf(original)
	original = nil
	for range 3 {
		runtime.GC()
	}
	putMessages(t, outbox, client, 1)
	must(t, outbox.Close())
	_, err = outbox.PutMessage(t.Context(), client, nil)
	if err != iotda.ErrClosed {
		t.Error(err)
	}
}

func TestAForgottenOutboxIsClosed(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	directory := t.TempDir()
	collected := make(chan struct{})
	func() {
		what := new([16]byte)
		runtime.AddCleanup(what, func(int) { close(collected) }, 0)
		_, err := client.OpenOutbox(iotda.OutboxOptions{
			Directory: directory, Settled: func(iotda.Settlement) { what[0]++ },
		})
		must(t, err)
	}()
	collect(collected)
	for {
		outbox, err := client.OpenOutbox(iotda.OutboxOptions{Directory: directory})
		if err == nil {
			must(t, outbox.Close())
			return
		}
		is(t, err, iotda.ErrStorage)
	}
}

// Closing ends flushes and no put: what was acknowledged arrives from the next outbox, in order and once, which can be
// opened as soon as Close has returned.
func TestCloseWithCallsThatRun(t *testing.T) {
	const putters = 4
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once)
	directory := t.TempDir()
	for round := range 10 {
		outbox := openOutbox(t, client, directory)
		var running sync.WaitGroup
		acknowledged := make([]int, putters)
		some := make(chan struct{}, putters)
		for putter := range putters {
			running.Add(1)
			go func() {
				defer running.Done()
				for number := 0; ; number++ {
					_, err := outbox.PutMessage(t.Context(), client, fmt.Appendf(nil, "%d/%d/%d", round, putter, number))
					if err != nil {
						if err != iotda.ErrClosed {
							t.Error(err)
						}
						return
					}
					if acknowledged[putter]++; number == 2 {
						some <- struct{}{}
					}
				}
			}()
		}
		for range putters {
			<-some // Otherwise there may be nothing to flush yet.
			running.Add(1)
			go func() {
				defer running.Done()
				if err := outbox.Flush(t.Context()); err != iotda.ErrClosed {
					t.Error(err)
				}
			}()
		}
		closed := make(chan error)
		go func() { closed <- outbox.Close() }()
		must(t, outbox.Close())
		must(t, <-closed)
		next, err := client.OpenOutbox(iotda.OutboxOptions{Directory: directory})
		must(t, err)
		running.Wait()

		p.messages(t)
		p.withdraw(t)
		next.Wake()
		must(t, next.Flush(t.Context()))
		must(t, next.Close())
		arrived := make(map[string]int)
		for _, body := range p.messages(t) {
			arrived[body]++
		}
		var missing []string
		total := 0
		for putter, count := range acknowledged {
			total += count
			for number := range count {
				if text := fmt.Sprintf("%d/%d/%d", round, putter, number); arrived[text] != 1 {
					missing = append(missing, text)
				}
			}
		}
		if len(missing) > 0 || len(arrived) != total {
			t.Fatalf("%d of %d arrived; not once: %q", len(arrived), total, slices.Clip(missing))
		}
		p.fault(t, outage)
	}
}

// Whoever removes its directory takes away the place for an outbox's next file: puts fail, and the statistics say since when,
// whether each put is written at once or waits in memory.
func TestFilesThatCannotBeWritten(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once)
	directory := t.TempDir()
	outbox := openOutbox(t, client, directory, func(options *iotda.OutboxOptions) { options.MaxBytes = 256 << 10 })
	if stats := outbox.Stats(); stats.Failing || !stats.FailingSince.IsZero() {
		t.Errorf("%+v", stats)
	}
	must(t, os.RemoveAll(directory))
	var err error
	for puts := 0; err == nil; puts++ {
		if puts == 100 {
			t.Fatal("a megabyte was put where there is no directory")
		}
		_, err = outbox.PutMessage(t.Context(), client, make([]byte, 10_000))
	}
	if !is(t, err, iotda.ErrStorage).Transient() {
		t.Error("the data would be dropped")
	}
	if stats := outbox.Stats(); !stats.Failing || time.Since(stats.FailingSince).Abs() > time.Hour {
		t.Errorf("%+v", stats)
	}
	must(t, outbox.Close()) // What was acknowledged was on disk.

	outbox = openOutbox(t, client, directory, func(options *iotda.OutboxOptions) {
		options.MaxBytes, options.Sync = 256<<10, time.Hour
	})
	must(t, os.RemoveAll(directory))
	_, err = outbox.PutMessage(t.Context(), client, make([]byte, 10_000))
	for must(t, err); err == nil; { // Some are in memory when one finds that no other file can be made.
		_, err = outbox.PutMessage(t.Context(), client, make([]byte, 10_000))
	}
	is(t, err, iotda.ErrStorage)
	if stats := outbox.Stats(); !stats.Failing || time.Since(stats.FailingSince).Abs() > time.Hour {
		t.Errorf("%+v", stats)
	}
	// What was acknowledged in memory has its space in a file that was there.
	must(t, errors.Join(outbox.Close(), outbox.Close()))
}
