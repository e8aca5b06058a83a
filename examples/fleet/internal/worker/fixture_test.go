// What the tests of a worker need: NATS servers, a stand-in platform, devices, and workers in this process.

package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/embedded"
	"github.com/libiotda/libiotda/examples/fleet/internal/metrics"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/internal/standin"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// fleet is a NATS server (or three), a stand-in platform and devices, for one test.
type fleet struct {
	testing.TB
	dir        string
	servers    *embedded.Servers
	standin    *standin.Standin
	stream     jetstream.JetStream
	parts      jetstream.KeyValue
	partitions int
	devices    []string
	expected   map[string]int // how many reports were published, by device
	publish    *publish.Publisher
	workers    []*running
}

type setup struct {
	servers  int
	devices  int
	layout   func(*broker.Layout)
	registry string // at its head
	args     []string
}

func newFleet(t testing.TB, given setup) *fleet {
	t.Helper()
	dir := t.TempDir()
	f := &fleet{TB: t, dir: dir, expected: make(map[string]int)}
	for i := range max(given.devices, 1) {
		f.devices = append(f.devices, fmt.Sprintf("device_%03d", i))
	}
	f.servers, f.stream = natstest.Setup(t, max(given.servers, 1), func(l *broker.Layout) {
		l.Partitions = 4
		if given.layout != nil {
			given.layout(l)
		}
		f.partitions = l.Partitions
	})
	var err error
	f.parts, err = f.stream.KeyValue(t.Context(), broker.Parts)
	f.must(err)
	f.publish = publish.New(f.stream)
	registry := filepath.Join(dir, "registry.toml")
	f.must(standin.Registry(registry, given.registry, "", f.devices...))
	f.must(standin.Secrets(filepath.Join(dir, "secrets"), f.devices...))
	f.standin, err = standin.Start(dir, append([]string{"--registry", registry}, given.args...)...)
	f.must(err)
	t.Cleanup(f.standin.Stop)
	return f
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// eventually waits until something is so.
func (f *fleet) eventually(what string, is func() bool) {
	f.Helper()
	natstest.Until(f, what, is)
}

// running is a worker of a test.
type running struct {
	*worker.Worker
	f          *fleet
	name       string
	metrics    *metrics.Set
	connection *nats.Conn
	leave      context.CancelFunc
	ended      chan error
}

type change func(*worker.Config)

// start starts a worker in this process.
func (f *fleet) start(name string, changes ...change) *running {
	f.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("FLEET_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	connection, err := nats.Connect(f.servers.URL(), worker.Options(name, log)...)
	f.must(err)
	iot, err := platform.New(platform.Settings{Endpoint: f.standin.Endpoint, CAFile: f.standin.CAFile, MaxInFlight: 64})
	f.must(err)
	sealer, err := tokens.NewSealer(bytes.Repeat([]byte{1}, tokens.KeySize))
	f.must(err)
	source, err := secrets.Open(f.Context(), "file:"+filepath.Join(f.dir, "secrets"), f.stream, sealer)
	f.must(err)
	r := &running{f: f, name: name, metrics: &metrics.Set{}, connection: connection, ended: make(chan error, 1)}
	config := worker.Config{Name: name, Connection: connection, Platform: iot, Secrets: source, Sealer: sealer,
		Logger: log, Metrics: r.metrics}
	for _, change := range changes {
		change(&config)
	}
	r.Worker, err = worker.New(f.Context(), config)
	f.must(err)
	ctx, leave := context.WithCancel(context.WithoutCancel(f.Context()))
	r.leave = leave
	go func() {
		r.ended <- r.Run(ctx)
		connection.Close()
		iot.Close()
	}()
	f.Cleanup(r.stop)
	f.workers = append(f.workers, r)
	return r
}

// stop has the worker leave, and waits until it has.
func (r *running) stop() {
	r.leave()
	if err := <-r.ended; err != nil && !r.f.Failed() {
		r.f.Logf("the worker ended: %v", err)
	}
	r.ended <- nil // for the next stop
}

// value is what a metric of the worker says.
func (r *running) value(name string) string {
	var text strings.Builder
	r.f.must(r.metrics.Write(&text))
	for line := range strings.Lines(text.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func number(n int) []byte {
	return fmt.Appendf(nil, `{"services":[{"service_id":"s","properties":{"n":%d}}]}`, n)
}

// report publishes the next report of each device, so many times.
func (f *fleet) report(times int) {
	f.Helper()
	for range times {
		for _, device := range f.devices {
			f.must(f.publish.Publish(f.Context(), device, report.Properties, number(f.expected[device])))
			f.expected[device]++
		}
	}
}

// waiting is how many reports are in the stream.
func (f *fleet) waiting() int {
	stream, err := f.stream.Stream(f.Context(), broker.Stream)
	if err != nil {
		return -1
	}
	return int(stream.CachedInfo().State.Msgs)
}

// drained waits until the stream is empty: everything was delivered and acknowledged.
func (f *fleet) drained() {
	f.Helper()
	f.eventually("nothing waits in the stream", func() bool { return f.waiting() == 0 })
}

// acknowledged waits until the consumers of all partitions have nothing left. The stream may hold more: after NATS has lost
// its quorum, messages may stay in a work queue though their consumer has stored that they are acknowledged.
func (f *fleet) acknowledged() {
	f.Helper()
	f.eventually("everything is acknowledged", func() bool {
		stream, err := f.stream.Stream(f.Context(), broker.Stream)
		if err != nil {
			return false
		}
		consumers, left := 0, uint64(0)
		list := stream.ListConsumers(f.Context())
		for info := range list.Info() {
			consumers++
			left += info.NumPending + uint64(info.NumAckPending)
		}
		return list.Err() == nil && consumers == f.partitions && left == 0
	})
}

// requests are the accepted requests of a call, in their order.
func (f *fleet) requests(call string) (requests []standin.Request) {
	f.Helper()
	f.must(f.standin.Ask("GET", "/requests?result=accepted&call="+call, "", &requests))
	return requests
}

// arrived is the numbers that each device has reported, in the order in which they came.
func (f *fleet) arrived() map[string][]int {
	f.Helper()
	arrived := make(map[string][]int)
	for _, request := range f.requests("properties") {
		var body struct {
			Services []struct{ Properties struct{ N int } }
		}
		f.must(json.Unmarshal([]byte(request.Body), &body))
		for _, service := range body.Services {
			arrived[request.Device] = append(arrived[request.Device], service.Properties.N)
		}
	}
	return arrived
}

// complete checks that everything has arrived in order, and returns how many came more than once.
func (f *fleet) complete() (duplicates int) {
	f.Helper()
	arrived := f.arrived()
	for device, count := range f.expected {
		next := 0
		for _, n := range arrived[device] {
			switch {
			case n == next:
				next++
			case n < next:
				duplicates++
			default:
				f.Fatalf("%s: %d came before %d: %v", device, n, next, arrived[device])
			}
		}
		if next != count {
			f.Fatalf("%s: %d of %d arrived: %v", device, next, count, arrived[device])
		}
	}
	return duplicates
}

// records are those of the partitions; nil if they cannot be read at the moment.
func (f *fleet) records() []partition.Record {
	records, err := trial.Records(f.Context(), f.parts, f.partitions)
	if err != nil {
		return nil
	}
	return records
}

// served waits until each of these workers has its share of all partitions and serves it: a record is written before the
// consumer is made.
func (f *fleet) served(names ...string) {
	f.Helper()
	f.eventually(fmt.Sprintf("%v share the partitions", names), func() bool {
		records := f.records()
		if !trial.AreShared(records, names...) {
			return false
		}
		owners := trial.Owners(records)
		for _, r := range f.workers {
			served, err := strconv.Atoi(r.value("fleet_partitions"))
			f.must(err)
			owners[r.name] -= served // of two workers of one name, one serves
		}
		return !slices.ContainsFunc(names, func(name string) bool { return owners[name] != 0 })
	})
}

func (f *fleet) fault(fault string) {
	f.Helper()
	f.must(f.standin.Ask("POST", "/faults", fault, nil))
}

func (f *fleet) withdraw() {
	f.Helper()
	f.must(f.standin.Ask("DELETE", "/faults", "", nil))
}

func (f *fleet) counters() standin.Counters {
	f.Helper()
	counted, err := f.standin.Counters()
	f.must(err)
	return counted
}

// deadLetters are the dead letters, in their order.
func (f *fleet) deadLetters() (letters []jetstream.Msg) {
	f.Helper()
	consumer, err := f.stream.OrderedConsumer(f.Context(), broker.DeadLetters, jetstream.OrderedConsumerConfig{})
	f.must(err)
	batch, err := consumer.FetchNoWait(1000)
	f.must(err)
	for message := range batch.Messages() {
		letters = append(letters, message)
	}
	return letters
}

// appendSecret makes another device's secret known to the workers.
func appendSecret(f *fleet, device string) error {
	file, err := os.OpenFile(filepath.Join(f.dir, "secrets"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "%s=%s\n", device, standin.Secret(device))
	return err
}
