// Package trial runs a whole fleet on this machine: NATS servers in this process, a stand-in platform, and workers that are
// processes of their own, so that they can be killed. The demonstration, the trials of chaos and the measurements are made
// of it. verify.go finds out afterwards whether everything has arrived once and in order.
package trial

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/embedded"
	"github.com/libiotda/libiotda/examples/fleet/internal/ledger"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
	"github.com/libiotda/libiotda/examples/fleet/internal/standin"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// Settings are what a field is made of.
type Settings struct {
	Devices  int
	Servers  int // of NATS
	InFlight int // of each worker; 0: the default
	// TenantRate is the platform's, and the ledger's; 0: none.
	TenantRate float64
	// TTL is that of the heartbeats; 0: the default.
	TTL time.Duration
	// StrictModel has the platform refuse what does not fit the model: a number "n" in the service "s".
	StrictModel bool
	// Worker is the program that serves, with what comes before `serve` in its arguments.
	Worker []string
	// Environment is added to the workers'.
	Environment []string
}

// Field is a running fleet without its workers.
type Field struct {
	Settings  Settings
	Dir       string
	Devices   []string
	Servers   *embedded.Servers
	Platform  *standin.Standin
	Stream    jetstream.JetStream
	Publisher *publish.Publisher
	Layout    broker.Layout

	connection *nats.Conn
	parts      jetstream.KeyValue
	published  *counts
	lock       sync.Mutex
	workers    map[string]*Worker
	all        []*Worker
}

// Start starts a field with its files in a directory of its own, which Stop removes.
func Start(ctx context.Context, settings Settings) (f *Field, err error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return nil, err
	}
	f = &Field{Settings: settings, Dir: dir, workers: make(map[string]*Worker), published: newCounts()}
	defer func() {
		if err != nil {
			f.Stop()
		}
	}()
	for i := range settings.Devices {
		f.Devices = append(f.Devices, fmt.Sprintf("device_%06d", i))
	}
	if f.Servers, err = embedded.Start(filepath.Join(dir, "nats"), max(settings.Servers, 1)); err != nil {
		return f, err
	}
	if f.connection, err = nats.Connect(f.Servers.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond)); err != nil {
		return f, err
	}
	if f.Stream, err = jetstream.New(f.connection, jetstream.WithDefaultTimeout(5*time.Second)); err != nil {
		return f, err
	}
	f.Layout = broker.DefaultLayout()
	f.Layout.Replicas = max(settings.Servers, 1)
	if settings.TTL > 0 {
		f.Layout.TTL = settings.TTL
	}
	if err = broker.Setup(ctx, f.Stream, f.Layout); err != nil {
		return f, err
	}
	if f.parts, err = f.Stream.KeyValue(ctx, broker.Parts); err != nil {
		return f, err
	}
	bucket, err := f.Stream.KeyValue(ctx, broker.Ledger)
	if err != nil {
		return f, err
	}
	if err = ledger.SetLimit(ctx, bucket, settings.TenantRate); err != nil {
		return f, err
	}
	f.Publisher = publish.New(f.Stream)
	return f, f.startPlatform()
}

func (f *Field) path(name string) string { return filepath.Join(f.Dir, name) }

func (f *Field) startPlatform() (err error) {
	head, product := "", ""
	if f.Settings.TenantRate > 0 {
		head += fmt.Sprintf("[limits]\ntenant_rate = %d\n", int(f.Settings.TenantRate))
	}
	arguments := []string{"--registry", f.path("registry.toml"), "--record-requests", f.path("requests"), "--max-records", "1000"}
	if f.Settings.StrictModel {
		head += "[[product]]\nid = \"p\"\n[[product.service]]\nid = \"s\"\nproperties = { n = \"int\" }\n"
		product = "p"
		arguments = append(arguments, "--strict-model")
	}
	if err = standin.Registry(f.path("registry.toml"), head, product, f.Devices...); err != nil {
		return err
	}
	if err = standin.Secrets(f.path("secrets"), f.Devices...); err != nil {
		return err
	}
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{3}, tokens.KeySize))
	if err = os.WriteFile(f.path("key"), []byte(key), 0o600); err != nil {
		return err
	}
	f.Platform, err = standin.Start(f.Dir, arguments...)
	return err
}

// Stop ends everything and removes its files.
func (f *Field) Stop() {
	f.lock.Lock()
	all := f.all
	f.lock.Unlock()
	for _, w := range all {
		w.Kill()
	}
	if f.Platform != nil {
		f.Platform.Stop()
	}
	if f.connection != nil {
		f.connection.Close()
	}
	if f.Servers != nil {
		f.Servers.Stop()
	}
	os.RemoveAll(f.Dir)
}

// Worker is a worker process.
type Worker struct {
	Name    string
	command *exec.Cmd
	socket  string
	ended   chan struct{}
	err     error
	log     string
}

// StartWorker starts a worker.
func (f *Field) StartWorker(name string) (*Worker, error) {
	f.lock.Lock()
	number := len(f.all)
	f.lock.Unlock()
	w := &Worker{Name: name, ended: make(chan struct{}), socket: f.path(fmt.Sprintf("%s-%d.sock", name, number)),
		log: f.path(fmt.Sprintf("%s-%d.log", name, number))}
	arguments := append(append([]string{}, f.Settings.Worker[1:]...), "serve", "-name", name, "-nats", f.Servers.URL(),
		"-endpoint", f.Platform.Endpoint, "-ca-file", f.Platform.CAFile, "-secrets", "file:"+f.path("secrets"),
		"-key-file", f.path("key"), "-listen", "unix:"+w.socket,
		"-trace", f.path(fmt.Sprintf("%s-%d.trace", name, number)))
	if f.Settings.InFlight > 0 {
		arguments = append(arguments, "-in-flight", strconv.Itoa(f.Settings.InFlight))
	}
	w.command = exec.Command(f.Settings.Worker[0], arguments...)
	w.command.Env = append(os.Environ(), f.Settings.Environment...)
	// It does not outlive this process, nor is it hit by a Ctrl-C that is meant for this one.
	w.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	log, err := os.Create(w.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.command.Stderr = log
	if err := w.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		w.err = w.command.Wait()
		close(w.ended)
	}()
	f.lock.Lock()
	defer f.lock.Unlock()
	f.workers[name] = w
	f.all = append(f.all, w)
	return w, nil
}

// Signal sends the process a signal.
func (w *Worker) Signal(signal syscall.Signal) { w.command.Process.Signal(signal) }

// Kill kills the process, and waits until it is gone.
func (w *Worker) Kill() {
	w.Signal(syscall.SIGKILL)
	w.Signal(syscall.SIGCONT)
	<-w.ended
}

// Wait waits until the process has ended by itself.
func (w *Worker) Wait(ctx context.Context) error {
	select {
	case <-w.ended:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("the worker %s does not end", w.Name)
	}
}

// Log is what the worker has logged.
func (w *Worker) Log() string {
	text, _ := os.ReadFile(w.log)
	return string(text)
}

// Metrics are the worker's, those without labels; nil if it does not answer.
func (w *Worker) Metrics() map[string]float64 {
	answer, err := w.client().Get("http://worker/metrics")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil
	}
	values := make(map[string]float64)
	for each := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(each), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = number
		}
	}
	return values
}

// lookTimeout bounds a look at the stream or a bucket: a request that a leader was lost with gets no answer.
const lookTimeout = 5 * time.Second

// Records are the partitions' records.
func (f *Field) Records(ctx context.Context) ([]partition.Record, error) {
	return Records(ctx, f.parts, f.Layout.Partitions)
}

// Records reads the records of so many partitions from their bucket. That of one that nobody has taken yet is empty.
func Records(ctx context.Context, bucket jetstream.KeyValue, partitions int) ([]partition.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	records := make([]partition.Record, partitions)
	gets := make([]func() error, partitions)
	for p := range gets {
		gets[p] = func() error {
			entry, err := bucket.Get(ctx, partition.Key(p))
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return json.Unmarshal(entry.Value(), &records[p])
		}
	}
	if err := broker.AtOnce(gets...); err != nil {
		return nil, err
	}
	return records, nil
}

// Owners is how many partitions each worker has, by name; "" are those without an owner.
func Owners(records []partition.Record) map[string]int {
	owners := make(map[string]int)
	for _, record := range records {
		name, _, _ := strings.Cut(record.Owner, "/")
		owners[name]++
	}
	return owners
}

// Until waits until the records are so, and returns how long that took.
func (f *Field) Until(ctx context.Context, what string, is func([]partition.Record) bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	start := time.Now()
	for {
		records, err := f.Records(ctx)
		if err == nil && is(records) {
			return time.Since(start), nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("it did not come to this: %s: %v", what, records)
		}
	}
}

// Shared waits until these workers share all partitions evenly, and serve them.
func (f *Field) Shared(ctx context.Context, names ...string) (time.Duration, error) {
	return f.Until(ctx, fmt.Sprintf("%v share the partitions", names), func(records []partition.Record) bool {
		return AreShared(records, names...) && f.serve(records, names...)
	})
}

// serve reports whether these workers say that they serve what is theirs by the records. A record is written first, and the
// consumer from which the partition is served is made then.
func (f *Field) serve(records []partition.Record, names ...string) bool {
	owners := Owners(records)
	for _, name := range names {
		if served, answers := f.Worker(name).Metrics()["fleet_partitions"]; !answers || int(served) != owners[name] {
			return false
		}
	}
	return true
}

// AreShared reports whether these workers, and no others, have their shares of all partitions.
func AreShared(records []partition.Record, names ...string) bool {
	owners := Owners(records)
	for _, name := range names {
		if owners[name] < len(records)/len(names) {
			return false
		}
	}
	return len(owners) == len(names)
}

// Waiting is how many reports the stream keeps.
func (f *Field) Waiting(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := f.Stream.Stream(ctx, broker.Stream)
	if err != nil {
		return 0, err
	}
	return int(stream.CachedInfo().State.Msgs), nil
}

// Drained waits until the stream is empty.
func (f *Field) Drained(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	left := -1
	for {
		if waiting, err := f.Waiting(ctx); err == nil {
			if left = waiting; left == 0 {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d reports still wait", left)
		}
	}
}

// Memory is the process's resident memory in bytes; 0 if it is not known.
func (w *Worker) Memory() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.command.Process.Pid))
	if err != nil {
		return 0
	}
	for each := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(each, "VmRSS:"); found {
			kilobytes, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kilobytes << 10
		}
	}
	return 0
}

// Get is the status of an answer of the worker's; 0 if it does not answer.
func (w *Worker) Get(path string) int {
	answer, err := w.client().Get("http://worker" + path)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func (w *Worker) client() *http.Client {
	return &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
		}}}
}
