//go:build cgo

// The stand-in platform that the tests report to: the command iotda-platform, named in IOTDA_PLATFORM.

package iotda_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

const (
	gatewayID = "go_gateway"
	deviceID  = "go_device"
	secret    = "a secret of the tests"
)

// platform is a running platform.
type platform struct {
	endpoint, caFile, inspect string
	stop                      func()
}

// noPlatform is why a test is skipped.
const noPlatform = "IOTDA_PLATFORM is not set: it names the command iotda-platform, " +
	"which `cargo build -p iotda-platform` in libiotda's repository builds"

// newPlatform starts a platform for one test. Without arguments it knows a device and a gateway that may report for any
// child.
func newPlatform(t testing.TB, args ...string) *platform {
	t.Helper()
	if os.Getenv("IOTDA_PLATFORM") == "" {
		t.Skip(noPlatform)
	}
	if len(args) == 0 {
		args = []string{"--device", deviceID + "=" + secret, "--gateway", gatewayID + "=" + secret}
	}
	p, err := startPlatform(filepath.Join(t.TempDir(), "ca.pem"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

func startPlatform(caFile string, args ...string) (*platform, error) {
	program := os.Getenv("IOTDA_PLATFORM")
	args = append([]string{"--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0", "--exit-with-stdin", "--ca-out", caFile},
		args...)
	command := exec.Command(program, args...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &platform{caFile: caFile, stop: func() {
		stdin.Close()
		command.Wait()
	}}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "IOTDA_ENDPOINT":
			p.endpoint = value
		case "IOTDA_INSPECT":
			p.inspect = value
		case "ready":
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s ended before it was ready", program)
}

// config is for the device of newPlatform.
func (p *platform) config() iotda.Config {
	return iotda.Config{Endpoint: p.endpoint, DeviceID: deviceID, Secret: secret, CAFile: p.caFile}
}

// client is a client of the device, closed with the test, after what change has done to its config.
func (p *platform) client(t testing.TB, change ...func(*iotda.Config)) *iotda.Client {
	t.Helper()
	config := p.config()
	for _, change := range change {
		change(&config)
	}
	client, err := iotda.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// gateway makes a config that of the gateway.
func gateway(config *iotda.Config) { config.DeviceID = gatewayID }

// once makes a config never try again.
func once(config *iotda.Config) { config.Retry.MaxAttempts = 1 }

// ask makes a request of the inspection API and reads the answer into out, unless that is nil.
func (p *platform) ask(t testing.TB, method, path, body string, out any) {
	t.Helper()
	request, err := http.NewRequest(method, p.inspect+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if out != nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(out); err != nil {
			t.Fatal(err)
		}
	}
}

// fault has the platform do something wrong.
func (p *platform) fault(t testing.TB, fault string) {
	t.Helper()
	p.ask(t, "POST", "/faults", fault, nil)
}

// withdraw has it do nothing more wrong.
func (p *platform) withdraw(t testing.TB) {
	t.Helper()
	p.ask(t, "DELETE", "/faults", "", nil)
}

// counters are what the platform has counted.
type counters struct {
	Connections       int `json:"connections"`
	ConnectionsClosed int `json:"connections_closed"`
	HandshakesFull    int `json:"handshakes_full"`
	Requests          int `json:"requests"`
	Refusals          int `json:"refusals"`
	Authentications   int `json:"authentications"`
	Messages          int `json:"messages"`
	PropertyReports   int `json:"property_reports"`
	Batches           int `json:"batches"`
}

func (p *platform) counters(t testing.TB) (counted counters) {
	t.Helper()
	p.ask(t, "GET", "/counters", "", &counted)
	return counted
}

// faultsDone is how often the platform has done something wrong.
func (p *platform) faultsDone(t testing.TB) int {
	t.Helper()
	var counted struct {
		Connection int `json:"connection_faults"`
		Request    int `json:"request_faults"`
	}
	p.ask(t, "GET", "/counters", "", &counted)
	return counted.Connection + counted.Request
}

// underWay begins a call, and waits until the platform has done something wrong to it. The call's error comes when it ends.
func (p *platform) underWay(t testing.TB, call func() error) (ended <-chan error) {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- call() }()
	for p.faultsDone(t) == 0 {
	}
	return outcome
}

// report is something that the platform has accepted.
type report struct {
	Kind     string  `json:"kind"`
	DeviceID string  `json:"device_id"`
	Body     string  `json:"body"`
	BodyHex  string  `json:"body_hex"`
	Services []given `json:"services"`
}

type given struct {
	ID         string          `json:"service_id"`
	Properties json.RawMessage `json:"properties"`
	EventTime  *string         `json:"event_time_given"`
}

// reports returns what was accepted since the last time.
func (p *platform) reports(t testing.TB) (accepted []report) {
	t.Helper()
	p.ask(t, "GET", "/reports", "", &accepted)
	p.ask(t, "DELETE", "/reports", "", nil)
	return accepted
}

// bodies returns the bodies of the requests for a call, such as "properties/report", since the last time.
func (p *platform) bodies(t testing.TB, call string) (bodies []string) {
	t.Helper()
	var requests []struct {
		Target string `json:"target"`
		Body   string `json:"body"`
	}
	p.ask(t, "GET", "/requests", "", &requests)
	p.ask(t, "DELETE", "/requests", "", nil)
	for _, request := range requests {
		if strings.HasSuffix(request.Target, call) {
			bodies = append(bodies, request.Body)
		}
	}
	return bodies
}

// copyOf is a copy, which go vet finds where it is made by hand.
func copyOf[T any](original *T) *T {
	copied := *original
	return &copied
}

// collect has the garbage collector run until it has found what a cleanup was added to, which sends.
func collect[T any](found <-chan T) {
	for {
		runtime.GC()
		select {
		case <-found:
			return
		default:
		}
	}
}

// must fails the test if there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
