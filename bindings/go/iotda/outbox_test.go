//go:build cgo

// What is put into an outbox, and what arrives of it. What does not is in outbox_lost_test.go, its end in
// outbox_close_test.go.

package iotda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// outage is a fault that has the platform take nothing.
const outage = `{"kind":"answer","status":503}`

// openOutbox opens an outbox in a directory, each entry on disk when its put returns; it is closed with the test.
func openOutbox(t testing.TB, client *iotda.Client, directory string, change ...func(*iotda.OutboxOptions)) *iotda.Outbox {
	t.Helper()
	options := iotda.OutboxOptions{Directory: directory, Sync: iotda.SyncEveryPut}
	for _, change := range change {
		change(&options)
	}
	outbox, err := client.OpenOutbox(options)
	must(t, err)
	t.Cleanup(func() { outbox.Close() })
	return outbox
}

// settlements collects what Settled is called with.
type settlements struct {
	mutex sync.Mutex
	all   []iotda.Settlement
}

func (s *settlements) into(options *iotda.OutboxOptions) { options.Settled = s.add }

func (s *settlements) add(settlement iotda.Settlement) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.all = append(s.all, settlement)
}

func (s *settlements) now() []iotda.Settlement {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.all)
}

// putMessages puts "0", "1" and so on, and returns the first one's id.
func putMessages(t testing.TB, outbox *iotda.Outbox, device *iotda.Client, count int) (first uint64) {
	t.Helper()
	for number := range count {
		id, err := outbox.PutMessage(t.Context(), device, fmt.Append(nil, number))
		must(t, err)
		if number == 0 {
			first = id
		} else if id != first+uint64(number) {
			t.Errorf("the id %d after %d", id, first)
		}
	}
	return first
}

// messages are the bodies of the messages that arrived since the last time.
func (p *platform) messages(t testing.TB) (bodies []string) {
	t.Helper()
	for _, report := range p.reports(t) {
		bodies = append(bodies, report.Body)
	}
	return bodies
}

func numbers(count int) (texts []string) {
	for number := range count {
		texts = append(texts, fmt.Sprint(number))
	}
	return texts
}

func TestAnOutboxDeliversEachKind(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, gateway)
	var settled settlements
	outbox := openOutbox(t, client, t.TempDir(), settled.into)
	ctx := t.Context()
	var ids []uint64
	put := func(id uint64, err error) {
		t.Helper()
		must(t, err)
		ids = append(ids, id)
	}
	put(outbox.PutProperties(ctx, client, iotda.Service{ID: "wind", Properties: &wind{Height: 124, Speed: 23.24}, EventTime: measured}))
	put(outbox.PutProperties(ctx, client, iotda.Service{ID: "wind", Properties: json.RawMessage(`{"Height":1.20}`)}))
	put(outbox.PutPropertiesJSON(ctx, client, []byte(`{"services":[{"service_id":"wind","properties":{"Height":1.30}}]}`)))
	put(outbox.PutMessage(ctx, client, []byte("hello")))
	put(outbox.PutBatch(ctx, client, children(2)))
	ids = append(ids, ids[len(ids)-1]+1)
	put(outbox.PutBatchJSON(ctx, client, []byte(`{"devices":[{"device_id":"vane","services":[{"service_id":"wind","properties":{}}]}]}`)))
	must(t, outbox.Sync(ctx))
	must(t, outbox.Flush(ctx))

	var own, others, texts []string
	for _, report := range p.reports(t) {
		switch {
		case report.Kind == "message":
			texts = append(texts, report.Body)
		case report.DeviceID == gatewayID:
			for _, service := range report.Services {
				own = append(own, string(service.Properties))
				if service.EventTime == nil {
					t.Errorf("no time: %+v", service)
				}
			}
		default:
			others = append(others, report.DeviceID)
		}
	}
	if !slices.Equal(texts, []string{"hello"}) || len(own) != 3 || own[1] != `{"Height":1.20}` || own[2] != `{"Height":1.30}` {
		t.Errorf("%q and %q arrived", texts, own)
	}
	if slices.Sort(others); !slices.Equal(others, []string{"child_0000", "child_0001", "vane"}) {
		t.Errorf("%q", others)
	}
	var ended []uint64
	for _, settlement := range settled.now() {
		if !settlement.Delivered() || settlement.Err() != nil || settlement.DeviceID == "" {
			t.Errorf("%+v", settlement)
		}
		ended = append(ended, settlement.ID)
	}
	if slices.Sort(ended); !slices.Equal(ended, ids) {
		t.Errorf("%d were put, and %d settled", ids, ended)
	}
	stats := outbox.Stats()
	if stats.Delivered != uint64(len(ids)) || stats.Waiting != 0 || !stats.Oldest.IsZero() || stats.Requests == 0 ||
		stats.Syncs == 0 || stats.BytesWritten == 0 || stats.FileBytes == 0 || stats.Failing {
		t.Errorf("%+v", stats)
	}
}

func TestWhatIsPutOutlivesTheOutbox(t *testing.T) {
	const count = 50
	p := newPlatform(t)
	p.fault(t, outage)
	directory := filepath.Join(t.TempDir(), "made")
	client := p.client(t, once)
	outbox := openOutbox(t, client, directory)
	first := putMessages(t, outbox, client, count)
	if stats := outbox.Stats(); stats.Waiting != count || time.Since(stats.Oldest) > time.Hour {
		t.Errorf("%+v", stats)
	}
	for outbox.Stats().Retries == 0 {
		outbox.Wake()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		is(t, outbox.Flush(ctx), iotda.ErrTimeout)
		cancel()
	}
	_, err := client.OpenOutbox(iotda.OutboxOptions{Directory: directory})
	is(t, err, iotda.ErrStorage)
	must(t, outbox.Close())
	must(t, outbox.Close())

	p.withdraw(t)
	p.messages(t)
	outbox = openOutbox(t, client, directory)
	must(t, outbox.Flush(t.Context()))
	if arrived := p.messages(t); !slices.Equal(arrived, numbers(count)) {
		t.Errorf("%q", arrived)
	}
	if next := putMessages(t, outbox, client, 1); next < first+count {
		t.Errorf("the id %d comes again", next)
	}
}

// After a restart, a device that did not open the outbox has to be attached.
func TestADeviceIsAttached(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	directory := t.TempDir()
	opener := p.client(t, once, gateway)
	device, err := opener.Device(deviceID, secret)
	must(t, err)
	outbox := openOutbox(t, opener, directory)
	putMessages(t, outbox, device, 3)
	must(t, outbox.Close())

	p.withdraw(t)
	outbox = openOutbox(t, opener, directory)
	if stats := outbox.Stats(); stats.Waiting != 3 || stats.Unattached != 3 {
		t.Errorf("%+v", stats)
	}
	must(t, outbox.Attach(device))
	must(t, device.Close())
	must(t, outbox.Flush(t.Context()))
	if arrived := p.messages(t); !slices.Equal(arrived, numbers(3)) {
		t.Errorf("%q", arrived)
	}
}

func TestWhatIsWrongIsNotPut(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, gateway)
	directory := filepath.Join(t.TempDir(), "d")
	for field, options := range map[string]iotda.OutboxOptions{
		"Directory":        {},
		"zero byte":        {Directory: "a\x00b"},
		"MaxBytes":         {Directory: directory, MaxBytes: -1},
		"MaxAge":           {Directory: directory, MaxAge: -1},
		"CoalesceBytes":    {Directory: directory, CoalesceBytes: -1},
		"Linger":           {Directory: directory, Linger: -1},
		"RequestsAtOnce":   {Directory: directory, RequestsAtOnce: -1},
		"WhenFull":         {Directory: directory, WhenFull: 7},
		"max_bytes":        {Directory: directory, MaxBytes: 1},
		"requests_at_once": {Directory: directory, RequestsAtOnce: 65},
	} {
		options.Settled = func(iotda.Settlement) {}
		if _, err := client.OpenOutbox(options); !strings.Contains(is(t, err, iotda.ErrInvalidArgument).Message, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := client.OpenOutbox(iotda.OutboxOptions{Directory: "/proc/none"})
	is(t, err, iotda.ErrStorage)

	outbox := openOutbox(t, client, t.TempDir())
	ctx := t.Context()
	wrong := children(3)
	wrong[1].Services[0].Properties = make(chan int)
	for name, put := range map[string]func() (uint64, error){
		"services[0].Properties": func() (uint64, error) {
			return outbox.PutProperties(ctx, client, iotda.Service{ID: "s", Properties: "text"})
		},
		"services":                           func() (uint64, error) { return outbox.PutProperties(ctx, client) },
		"service_id":                         func() (uint64, error) { return outbox.PutPropertiesJSON(ctx, client, []byte(`{"services":[{}]}`)) },
		"children[1].Services[0].Properties": func() (uint64, error) { return outbox.PutBatch(ctx, client, wrong) },
		"children[2].DeviceID": func() (uint64, error) {
			return outbox.PutBatch(ctx, client, append(children(2), iotda.Child{DeviceID: "a b"}))
		},
		"devices": func() (uint64, error) { return outbox.PutBatchJSON(ctx, client, []byte(`{}`)) },
	} {
		id, err := put()
		if failed := is(t, err, iotda.ErrInvalidArgument); id != 0 || failed.Children != nil || !strings.Contains(failed.Message, name) {
			t.Errorf("%s: %+v", name, failed)
		}
	}
	if _, err := outbox.Discard(ctx, "a\x00b"); !errors.Is(err, iotda.ErrInvalidArgument) {
		t.Error(err)
	}
	if stats := outbox.Stats(); stats.Waiting != 0 || p.counters(t).Requests != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestAContextEndsWhatAnOutboxWaitsFor(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once)
	outbox := openOutbox(t, client, t.TempDir())
	putMessages(t, outbox, client, 2)

	reason := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := p.underWay(t, func() error { return outbox.Flush(ctx) })
	cancel(reason)
	err := <-ended
	if is(t, err, iotda.ErrCancelled); !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
		t.Error(err)
	}
	_, err = outbox.PutMessage(ctx, client, nil)
	if is(t, err, iotda.ErrCancelled); !errors.Is(err, reason) {
		t.Error(err)
	}
	is(t, outbox.Sync(ctx), iotda.ErrCancelled)
	_, err = outbox.Discard(ctx, deviceID)
	is(t, err, iotda.ErrCancelled)

	limited, cancelLimited := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelLimited()
	err = outbox.Flush(limited)
	if is(t, err, iotda.ErrTimeout); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if count, err := outbox.Discard(t.Context(), deviceID); err != nil || count != 2 || outbox.Stats().Discarded != 2 {
		t.Errorf("%d, %v", count, err)
	}
	must(t, outbox.Flush(t.Context()))
}

// In an outage, calls that wait for the platform take all slots of the client. Puts have their own.
func TestCallsThatWaitHoldNoPutUp(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, patient, func(config *iotda.Config) { config.MaxConcurrentCalls = 1 })
	outbox := openOutbox(t, client, t.TempDir())
	must(t, client.Authenticate(t.Context()))
	p.fault(t, `{"kind":"delay","before":"header"}`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := p.underWay(t, func() error { return client.ReportMessage(ctx, nil) })
	putMessages(t, outbox, client, 10)
	cancel()
	is(t, <-ended, iotda.ErrCancelled)
}

// Settled may put and ask; what it may not do is refused, and its panic goes no further.
func TestWhatSettledMayDo(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	var outbox *iotda.Outbox
	opened, panics := make(chan struct{}), make(chan struct{})
	calls := 0
	outbox = openOutbox(t, client, t.TempDir(), func(options *iotda.OutboxOptions) {
		// It runs on a thread of the library, which t.Fatal cannot end.
		options.Settled = func(settlement iotda.Settlement) {
			<-opened
			if calls++; calls == 3 {
				close(panics)
				panic("in Settled")
			}
			_, discard := outbox.Discard(t.Context(), deviceID)
			for name, err := range map[string]error{
				"Close": outbox.Close(), "Sync": outbox.Sync(t.Context()), "Flush": outbox.Flush(t.Context()), "Discard": discard,
			} {
				if !errors.Is(err, iotda.ErrInvalidArgument) {
					t.Errorf("%s: %v", name, err)
				}
			}
			outbox.Wake()
			for _, err := range outbox.Dead() {
				t.Errorf("a dead letter, or %v", err)
			}
			if err := outbox.ForgetDead(1); err != nil || outbox.Stats().Syncs == 0 {
				t.Errorf("%v, %+v", err, outbox.Stats())
			}
			if _, err := outbox.PutMessage(t.Context(), client, fmt.Append(nil, calls)); calls < 3 && err != nil {
				t.Error(err)
			}
		}
	})
	close(opened)
	putMessages(t, outbox, client, 1)
	<-panics
	must(t, outbox.Flush(t.Context()))
	if arrived := p.messages(t); !slices.Equal(arrived, []string{"0", "1", "2"}) {
		t.Errorf("%q", arrived)
	}
}

// A put that drops others calls Settled, which puts while the only slot is taken.
func TestAPutInSettledWaitsForNoSlot(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once, func(config *iotda.Config) { config.MaxConcurrentCalls = 1 })
	var outbox *iotda.Outbox
	opened, outcome := make(chan struct{}), make(chan error, 1)
	calls := 0
	outbox = openOutbox(t, client, t.TempDir(), func(options *iotda.OutboxOptions) {
		options.MaxBytes, options.WhenFull, options.Sync = 256<<10, iotda.DropOldest, 0
		options.Settled = func(iotda.Settlement) {
			<-opened
			if calls++; calls == 1 {
				_, err := outbox.PutMessage(t.Context(), client, []byte("one was dropped"))
				outcome <- err
			}
		}
	})
	close(opened)
	// Of a device whose entries are being sent nothing is dropped: a put is refused then, the one in Settled as well.
	for puts := 0; len(outcome) == 0; {
		_, err := outbox.PutMessage(t.Context(), client, make([]byte, 10_000))
		if errors.Is(err, iotda.ErrFull) {
			runtime.Gosched()
			continue
		}
		if must(t, err); puts == 100 {
			t.Fatal("nothing is dropped")
		}
		puts++
	}
	if err := <-outcome; !errors.Is(err, iotda.ErrFull) {
		must(t, err)
	}
}

// What an outbox does by itself is of no call.
func TestTheHandlerIsGivenNoContextOfAnOutbox(t *testing.T) {
	p := newPlatform(t)
	var mutex sync.Mutex
	lines := map[any]int{}
	client := p.client(t, once, func(config *iotda.Config) {
		config.Logger = slog.New(inContext(func(of any, message string) {
			mutex.Lock()
			defer mutex.Unlock()
			lines[of]++
		}))
	})
	outbox := openOutbox(t, client, t.TempDir())
	p.fault(t, `{"kind":"answer","code":"IOTDA.000006","on":"message"}`)
	ctx := context.WithValue(t.Context(), key{}, "the call")
	_, err := outbox.PutMessage(ctx, client, []byte("refused"))
	must(t, err)
	must(t, outbox.Flush(ctx))
	must(t, outbox.Close())
	if lines[nil] == 0 || lines["the call"] != 0 {
		t.Errorf("%v", lines)
	}
	outbox = openOutbox(t, client, t.TempDir())
	_, err = outbox.PutMessage(ctx, client, make([]byte, 1<<20))
	if is(t, err, iotda.ErrTooLarge); lines["the call"] == 0 {
		t.Errorf("%v", lines)
	}
}
