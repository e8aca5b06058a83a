//go:build cgo

// A context ends the call that it was given to, whatever the call waits for.

package iotda_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// patient makes a config whose calls take minutes, unless they are ended.
func patient(config *iotda.Config) {
	config.Timeout, config.ConnectTimeout, config.AttemptTimeout = time.Hour, time.Hour, time.Hour
}

// stalls are where a call can be made to wait for ever.
var stalls = map[string]string{
	"at the connection": `{"kind":"accept_stall"}`,
	"in the handshake":  `{"kind":"handshake_stall","after":"client_hello"}`,
	"at the answer":     `{"kind":"delay","before":"header"}`,
	"at a pause":        `{"kind":"answer","status":503,"retry_after":1800}`,
}

func TestACancelledContextEndsTheCall(t *testing.T) {
	for name, fault := range stalls {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			client := p.client(t, patient)
			p.fault(t, fault)
			reason := errors.New("the reason")
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := p.underWay(t, func() error { return client.ReportMessage(ctx, []byte("x")) })
			cancelled := time.Now()
			cancel(reason)
			err := <-ended
			t.Logf("it ended after %v: %v", time.Since(cancelled), err)
			is(t, err, iotda.ErrCancelled)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is not about its context", err)
			}
			// The client is as good as before.
			p.withdraw(t)
			must(t, client.ReportMessage(t.Context(), []byte("y")))
		})
	}
}

func TestAContextEndsTheCallThatItWasNotTheFirstOf(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, patient)
	ctx, cancel := context.WithCancel(t.Context())
	for range 20 {
		must(t, client.ReportMessage(ctx, []byte("x")))
	}
	p.fault(t, stalls["at the answer"])
	ended := p.underWay(t, func() error { return client.ReportMessage(ctx, []byte("x")) })
	cancel()
	is(t, <-ended, iotda.ErrCancelled)
	p.withdraw(t)
	// It is over for good, and others are not.
	is(t, client.ReportMessage(ctx, []byte("x")), iotda.ErrCancelled)
	for range 20 {
		another, cancel := context.WithCancel(t.Context())
		must(t, client.ReportMessage(another, []byte("x")))
		cancel()
	}
}

func TestADeadlineEndsTheCall(t *testing.T) {
	for name, fault := range stalls {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			client := p.client(t, patient)
			p.fault(t, fault)
			reason := errors.New("the reason")
			timeout := 50 * time.Millisecond
			if name == "at a pause" {
				timeout = time.Minute // less than the pause, and enough to get there
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, reason)
			defer cancel()
			err := client.ReportMessage(ctx, []byte("x"))
			if name == "at a pause" {
				// There is no time for the pause: the call ends at once with what the platform said.
				is(t, err, iotda.ErrServer)
				return
			}
			is(t, err, iotda.ErrTimeout)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
				t.Errorf("%v is not about its context", err)
			}
		})
	}
}

func TestATimeoutOfTheConfigIsNotTheContexts(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, func(config *iotda.Config) { config.Timeout = 50 * time.Millisecond })
	p.fault(t, stalls["at the answer"])
	later, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, ctx := range []context.Context{context.Background(), later} {
		err := is(t, client.ReportMessage(ctx, nil), iotda.ErrTimeout)
		if !err.Timeout() || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	err := is(t, client.ReportMessage(cancelled, nil), iotda.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	err = is(t, client.ReportBatch(late, children(1)), iotda.ErrTimeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if counted := p.counters(t); counted.Connections != 0 {
		t.Errorf("%+v", counted)
	}
}

// What the platform has decided is so, though the context ended in the meantime.
func TestARefusalIsNotACancellation(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, `{"kind":"answer","code":"IOTDA.000006","on":"message"}`)
	ctx, cancel := context.WithCancel(t.Context())
	// The log is written in the call: when it fails, the answer is there.
	client := p.client(t, func(config *iotda.Config) { config.Logger = slog.New(onLine(func(slog.Record) { cancel() })) })
	err := is(t, client.ReportMessage(ctx, nil), iotda.ErrRejected)
	if ctx.Err() == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestABatchThatIsCancelledNamesWhatWasNotDelivered(t *testing.T) {
	p := newPlatform(t)
	var passed atomic.Int32
	client := p.client(t, gateway, patient, func(config *iotda.Config) {
		config.Logger = slog.New(&lines{from: slog.LevelDebug, also: func(line slog.Record) {
			// When the first request was answered, every further one stalls.
			if strings.Contains(line.Message, "sub-devices") && passed.Add(1) == 1 {
				p.fault(t, stalls["at the answer"])
			}
		}})
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := p.underWay(t, func() error { return client.ReportBatch(ctx, children(120)) })
	cancel()
	failed := is(t, <-ended, iotda.ErrPartial)
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("%v is not about its context", failed)
	}
	first := iotda.ChildError{Index: 50, DeviceID: "child_0050", Status: iotda.ErrCancelled}
	if len(failed.Children) != 70 || failed.Children[0] != first {
		t.Errorf("%+v", failed.Children)
	}
}

func TestCallsThatWaitForOthersCanBeCancelled(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, patient, func(config *iotda.Config) { config.MaxConcurrentCalls = 1 })
	p.fault(t, stalls["at the answer"])
	running, cancelRunning := context.WithCancel(t.Context())
	ended := p.underWay(t, func() error { return client.ReportMessage(running, nil) })
	waiting, cancelWaiting := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelWaiting()
	err := is(t, client.ReportMessage(waiting, nil), iotda.ErrTimeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	cancelRunning()
	is(t, <-ended, iotda.ErrCancelled)
	if done := p.faultsDone(t); done != 1 {
		t.Errorf("%d requests were made", done)
	}
	p.withdraw(t)
	must(t, client.ReportMessage(t.Context(), nil))
}
