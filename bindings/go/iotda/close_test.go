//go:build cgo

// The end of a client, together with the calls that still run.

package iotda_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func TestAClosedClientSaysSo(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	must(t, client.Close())
	must(t, client.Close())
	_, deviceErr := client.Device("d", "s")
	_, tokenErr := client.Token()
	for name, err := range map[string]error{
		"Authenticate":         client.Authenticate(t.Context()),
		"ReportProperties":     client.ReportProperties(t.Context(), iotda.Service{ID: "s", Properties: wind{}}),
		"ReportPropertiesJSON": client.ReportPropertiesJSON(t.Context(), []byte("{}")),
		"ReportMessage":        client.ReportMessage(t.Context(), nil),
		"ReportBatch":          client.ReportBatch(t.Context(), children(1)),
		"ReportBatchJSON":      client.ReportBatchJSON(t.Context(), []byte("{}")),
		"Device":               deviceErr,
		"Token":                tokenErr,
	} {
		if !errors.Is(err, iotda.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if stats := client.Stats(); stats != (iotda.Stats{}) {
		t.Errorf("%+v", stats)
	}
	if _, known := client.ServerTime(); known {
		t.Error("a closed client knows the time")
	}
	if counted := p.counters(t); counted.Connections != 0 {
		t.Errorf("%+v", counted)
	}
}

// A call that runs when the client is closed comes to its own end, and the connection is closed after it.
func TestCloseDoesNotDisturbACallThatRuns(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, patient)
	must(t, client.Authenticate(t.Context()))
	p.fault(t, `{"kind":"delay","before":"header"}`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := p.underWay(t, func() error { return client.ReportMessage(ctx, nil) })
	must(t, client.Close())
	if err := client.ReportMessage(t.Context(), nil); !errors.Is(err, iotda.ErrClosed) {
		t.Errorf("%v", err)
	}
	if counted := p.counters(t); counted.ConnectionsClosed != 0 {
		t.Errorf("%+v", counted)
	}
	cancel()
	is(t, <-ended, iotda.ErrCancelled)
	for p.counters(t).ConnectionsClosed != 1 {
	}
}

func TestCloseRacesWithEverything(t *testing.T) {
	p := newPlatform(t)
	for range 20 {
		client := p.client(t, gateway)
		var calls sync.WaitGroup
		start := make(chan struct{})
		for _, call := range []func() error{
			func() error { return client.Authenticate(t.Context()) },
			func() error { return client.ReportMessage(t.Context(), []byte("x")) },
			func() error {
				return client.ReportProperties(t.Context(), iotda.Service{ID: "s", Properties: wind{}})
			},
			func() error { return client.ReportBatch(t.Context(), children(3)) },
			func() error { client.Stats(); return nil },
			func() error { client.ServerTime(); return nil },
			func() error { client.TokenRemaining(); return nil },
			func() error { _, err := client.Token(); return err },
			func() error {
				device, err := client.Device(deviceID, secret)
				if err == nil {
					defer device.Close()
					err = device.ReportMessage(t.Context(), nil)
				}
				return err
			},
			client.Close, client.Close,
		} {
			calls.Add(1)
			go func() {
				defer calls.Done()
				<-start
				if err := call(); err != nil && !errors.Is(err, iotda.ErrClosed) {
					t.Error(err)
				}
			}()
		}
		close(start)
		calls.Wait()
	}
	if counted := p.counters(t); counted.Refusals != 0 {
		t.Errorf("%+v", counted)
	}
}

func TestALogHandlerMayCloseTheClient(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, `{"kind":"answer","code":"IOTDA.000006","on":"message"}`)
	var client *iotda.Client
	client = p.client(t, func(config *iotda.Config) {
		config.Logger = slog.New(onLine(func(slog.Record) { client.Close() }))
	})
	is(t, client.ReportMessage(t.Context(), nil), iotda.ErrRejected)
	if err := client.ReportMessage(t.Context(), nil); !errors.Is(err, iotda.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// What was given to a client goes with it, and the connections too, whether it is closed or forgotten.
func TestNothingIsLeftOfAClient(t *testing.T) {
	for name, end := range map[string]func(*iotda.Client){
		"closed":    func(client *iotda.Client) { client.Close() },
		"forgotten": func(*iotda.Client) {},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			collected := make(chan string, 2)
			func() {
				clock, log := &struct{ now func() time.Time }{time.Now}, &lines{from: slog.LevelInfo}
				runtime.AddCleanup(clock, func(what string) { collected <- what }, "the clock")
				runtime.AddCleanup(log, func(what string) { collected <- what }, "the log")
				config := p.config()
				config.Clock = func() time.Time { return clock.now() }
				config.Logger = slog.New(log)
				client, err := iotda.New(config)
				must(t, err)
				device, err := client.Device(gatewayID, secret)
				must(t, err)
				must(t, device.ReportMessage(t.Context(), nil))
				if len(log.kept) == 0 {
					t.Error("nothing is logged")
				}
				end(client)
				end(device)
			}()
			for range cap(collected) {
				collect(collected)
			}
			for p.counters(t).ConnectionsClosed != 1 {
			}
		})
	}
}

// No client, made by nobody or closed: all of its methods say so, and none panics.
func TestNoClientIsAClosedOne(t *testing.T) {
	var none *iotda.Client
	for name, client := range map[string]*iotda.Client{"nil": none, "zero": {}} {
		_, deviceErr := client.Device("d", secret)
		_, tokenErr := client.Token()
		for method, err := range map[string]error{
			"Authenticate":         client.Authenticate(t.Context()),
			"ReportProperties":     client.ReportProperties(t.Context(), iotda.Service{ID: "s", Properties: "no object"}),
			"ReportPropertiesJSON": client.ReportPropertiesJSON(t.Context(), nil),
			"ReportMessage":        client.ReportMessage(t.Context(), nil),
			"ReportBatch":          client.ReportBatch(t.Context(), children(2)),
			"ReportBatchJSON":      client.ReportBatchJSON(t.Context(), nil),
			"Device":               deviceErr,
			"Token":                tokenErr,
		} {
			if err != iotda.ErrClosed {
				t.Errorf("%s of %s: %v", method, name, err)
			}
		}
		if _, known := client.ServerTime(); known || client.Stats() != (iotda.Stats{}) || client.DeviceID() != "" {
			t.Errorf("%s knows something", name)
		}
		must(t, client.Close())
	}
}

// go vet finds a copy; it lives all the same, when the garbage collector has taken what it is a copy of.
func TestACopyLives(t *testing.T) {
	p := newPlatform(t)
	original, err := iotda.New(p.config())
	must(t, err)
	client := copyOf(original)
	original = nil
	for range 3 {
		runtime.GC()
	}
	must(t, client.ReportMessage(t.Context(), nil))
	must(t, client.Close())
	if err := client.ReportMessage(t.Context(), nil); err != iotda.ErrClosed {
		t.Error(err)
	}
}
