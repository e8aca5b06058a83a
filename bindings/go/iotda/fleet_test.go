//go:build cgo

// Many devices in one process, and many goroutines.

package iotda_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func TestTenThousandDevices(t *testing.T) {
	const count, goroutines = 10_000, 16
	var registry strings.Builder
	fmt.Fprintf(&registry, "[[device]]\nid = %q\nsecret = %q\n", deviceID, secret)
	for i := range count {
		fmt.Fprintf(&registry, "[[device]]\nid = \"device_%d\"\nsecret = \"secret %d\"\n", i, i)
	}
	file := filepath.Join(t.TempDir(), "registry.toml")
	must(t, os.WriteFile(file, []byte(registry.String()), 0o600))
	p := newPlatform(t, "--registry", file)
	client := p.client(t, func(config *iotda.Config) { config.MaxIdleConns = goroutines })

	devices := make([]*iotda.Client, count)
	for i := range devices {
		var err error
		devices[i], err = client.Device(fmt.Sprintf("device_%d", i), fmt.Sprintf("secret %d", i))
		must(t, err)
	}
	var running sync.WaitGroup
	for first := range goroutines {
		running.Add(1)
		go func() {
			defer running.Done()
			for i := first; i < count; i += goroutines {
				if err := devices[i].ReportMessage(t.Context(), []byte(devices[i].DeviceID())); err != nil {
					t.Error(err)
				}
				devices[i].Close()
			}
		}()
	}
	running.Wait()
	counted := p.counters(t)
	if counted.Messages != count || counted.Authentications != count || counted.Refusals != 0 ||
		counted.Connections > goroutines {
		t.Errorf("%+v", counted)
	}
	if stats := client.Stats(); stats.Requests != count || stats.Authentications != count {
		t.Errorf("%+v", stats)
	}
	reporters := map[string]bool{}
	for _, report := range p.reports(t) {
		if report.Body != report.DeviceID || reporters[report.DeviceID] {
			t.Errorf("%+v", report)
		}
		reporters[report.DeviceID] = true
	}
}

// However many goroutines report, the threads and connections are as many as were allowed.
func TestCallsAreLimited(t *testing.T) {
	const allowed, goroutines = 4, 200
	p := newPlatform(t)
	client := p.client(t, func(config *iotda.Config) { config.MaxConcurrentCalls, config.MaxIdleConns = allowed, allowed })
	device, err := client.Device(gatewayID, secret)
	must(t, err)
	var running sync.WaitGroup
	for i := range goroutines {
		running.Add(1)
		go func() {
			defer running.Done()
			for range 5 {
				if err := []*iotda.Client{client, device}[i%2].ReportMessage(t.Context(), nil); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	running.Wait()
	counted := p.counters(t)
	if counted.Messages != 5*goroutines || counted.Connections > allowed || counted.Authentications != 2 {
		t.Errorf("%+v", counted)
	}
}
