// The program as processes: killed, stopped, added, and asked by probes.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
)

// asFleet has this test program be the program itself: its workers are such processes.
const asFleet = "FLEET_TEST_AS_FLEET"

func TestMain(m *testing.M) {
	if os.Getenv(asFleet) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func field(t *testing.T, settings trial.Settings) *trial.Field {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	settings.Worker, settings.Environment = []string{program}, []string{asFleet + "=1"}
	f, err := trial.Start(t.Context(), settings)
	must(t, err)
	t.Cleanup(f.Stop)
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Worker processes are killed, stopped and continued, added and drained while reports come: nothing is lost, nothing
// disordered, and no device has two workers.
func TestChaos(t *testing.T) {
	f := field(t, trial.Settings{Devices: 200, InFlight: 16, TTL: 2 * time.Second})
	if verdict := during(t, f, f.Chaos); verdict.Needless != 0 {
		t.Errorf("what was not in flight came again: %+v", verdict)
	}
}

// The same when the NATS server that leads stops at the moment at which a worker dies.
func TestLostLeaders(t *testing.T) {
	f := field(t, trial.Settings{Devices: 100, Servers: 3, InFlight: 16, TTL: 2 * time.Second})
	// In flight was at most a request of each device, at each of the changes.
	if verdict := during(t, f, f.LostLeaders); verdict.Duplicates > 20*len(f.Devices) {
		t.Errorf("%+v", verdict)
	}
}

// during publishes reports while something happens, and checks what has arrived then. How much came again is for the caller
// to judge: on a busy machine, more workers lose their leases than the trial stops.
func during(t *testing.T, f *trial.Field, happens func(context.Context, io.Writer) error) trial.Verdict {
	t.Helper()
	stop := f.Publish(t.Context(), trial.Traffic{Rate: 300, Lanes: 50})
	var times strings.Builder
	err := happens(t.Context(), &times)
	t.Log("\n" + times.String())
	must(t, err)
	must(t, stop())
	must(t, f.Drained(t.Context(), time.Minute))
	verdict, err := f.Verify(t.Context())
	must(t, err)
	t.Log(verdict)
	must(t, verdict.Err())
	if verdict.Unknown > verdict.DuplicateRequests || verdict.Arrived < verdict.Published {
		t.Errorf("%+v", verdict)
	}
	return verdict
}

// deviceOf is the device of a recorded request.
func deviceOf(line string) string {
	_, after, _ := strings.Cut(line, `"device_id":"`)
	id, _, _ := strings.Cut(after, `"`)
	return id
}

// The checks of a trial find what they are for.
func TestAVerdictFindsFaults(t *testing.T) {
	f := field(t, trial.Settings{Devices: 2})
	if _, err := f.StartWorker("a"); err != nil {
		t.Fatal(err)
	}
	must(t, f.Publish(t.Context(), trial.Traffic{Reports: 40, Lanes: 2, Messages: true})())
	must(t, f.Drained(t.Context(), time.Minute))
	verdict, err := f.Verify(t.Context())
	must(t, err)
	must(t, verdict.Err())
	requests := filepath.Join(f.Dir, "requests")
	record, err := os.ReadFile(requests)
	must(t, err)
	lines := strings.SplitAfter(strings.TrimSuffix(string(record), "\n")+"\n", "\n")
	first, last := -1, -1 // of the same device's reports
	for i := range lines {
		if !strings.Contains(lines[i], `"call":"message"`) {
			continue
		}
		for j := i + 1; j < len(lines); j++ {
			if strings.Contains(lines[j], `"call":"message"`) && deviceOf(lines[j]) == deviceOf(lines[i]) {
				first, last = i, j
			}
		}
		if last > 0 {
			break
		}
	}
	if last < 0 {
		t.Fatal("no device has sent two requests")
	}
	device := deviceOf(lines[first])
	write := func(lines ...string) trial.Verdict {
		t.Helper()
		must(t, os.WriteFile(requests, []byte(strings.Join(lines, "")), 0o600))
		verdict, err := f.Verify(t.Context())
		must(t, err)
		return verdict
	}
	swapped := append([]string{}, lines...)
	swapped[first], swapped[last] = swapped[last], swapped[first]
	if verdict := write(swapped...); verdict.Inverted == 0 || verdict.Err() == nil {
		t.Errorf("disordered: %+v", verdict)
	}
	if verdict := write(append(append([]string{}, lines[:last]...), lines[last+1:]...)...); verdict.Missing == 0 || verdict.Err() == nil {
		t.Errorf("one is missing: %+v", verdict)
	}
	if verdict := write(append(append([]string{}, lines...), lines[last])...); verdict.Duplicates == 0 || verdict.Err() != nil {
		t.Errorf("one came twice that was in flight at the end: %+v", verdict)
	}
	if verdict := write(append(append([]string{}, lines...), lines[first])...); verdict.Needless == 0 {
		t.Errorf("one came twice that was not in flight: %+v", verdict)
	}
	// The trace says that the first request was of a later epoch than the others.
	must(t, os.WriteFile(requests, record, 0o600))
	traces, err := filepath.Glob(filepath.Join(f.Dir, "*.trace"))
	must(t, err)
	trace, err := os.ReadFile(traces[0])
	must(t, err)
	changed := strings.SplitAfter(string(trace), "\n")
	for i, line := range changed {
		if strings.Contains(line, `"device":"`+device+`"`) {
			changed[i] = strings.Replace(line, `"epoch":1,`, `"epoch":2,`, 1)
			break
		}
	}
	must(t, os.WriteFile(traces[0], []byte(strings.Join(changed, "")), 0o600))
	verdict, err = f.Verify(t.Context())
	must(t, err)
	if verdict.Overlaps == 0 || verdict.Err() == nil {
		t.Errorf("two workers: %+v", verdict)
	}
}

func TestProbes(t *testing.T) {
	f := field(t, trial.Settings{Devices: 1})
	worker, err := f.StartWorker("a")
	must(t, err)
	if _, err := f.Shared(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	// A partition is its own by the record, which is written first, and served when the consumer is made.
	natstest.Until(t, "it serves all partitions", func() bool { return worker.Metrics()["fleet_partitions"] == 16 })
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404} {
		natstest.Until(t, fmt.Sprintf("%s answers %d", path, status), func() bool { return worker.Get(path) == status })
	}
	// Without NATS it is healthy, and not ready.
	f.Servers.Stop()
	natstest.Until(t, "it is not ready", func() bool { return worker.Get("/readyz") == http.StatusServiceUnavailable })
	natstest.Until(t, "it is healthy", func() bool { return worker.Get("/healthz") == http.StatusOK })
}

func TestLinesArePublished(t *testing.T) {
	f := field(t, trial.Settings{Devices: 1})
	input := `{"device":"a","services":[{"service_id":"s","properties":{"n":1e400}}]}
{"device":"a","message":"hello"}
{"device":"a","base64":"AAE="}
{"device":"g","devices":[{"device_id":"c"}]}
no JSON
{"device":"a"}
{"device":"a b","message":"x"}
{"device":"a","base64":"?"}
`
	refused, err := publishAll(t.Context(), f.Publisher, strings.NewReader(input))
	if err != nil || refused != 4 {
		t.Errorf("%d lines were refused, %v", refused, err)
	}
	stream, err := f.Stream.Stream(t.Context(), broker.Stream)
	must(t, err)
	stored := map[string]bool{}
	for sequence := uint64(1); sequence <= 4; sequence++ {
		message, err := stream.GetMsg(t.Context(), sequence)
		must(t, err)
		_, subject, _ := strings.Cut(message.Subject, ".")
		stored[subject+" "+string(message.Data)] = true
	}
	for _, want := range []string{`iotda.a.properties {"services":[{"service_id":"s","properties":{"n":1e400}}]}`,
		"iotda.a.message hello", "iotda.a.message \x00\x01", `iotda.g.batch {"devices":[{"device_id":"c"}]}`} {
		if !stored[want] {
			t.Errorf("%q is not stored: %v", want, stored)
		}
	}
}
