// The command serve: a worker, its metrics and its probes.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/metrics"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

func serve(ctx context.Context, arguments []string) error {
	o := newOptions("serve")
	broker := o.broker()
	host, _ := os.Hostname()
	name := o.text("name", strings.ReplaceAll(host, ".", "-"), "the worker's name, one of its own, the same after a restart")
	source := o.text("secrets", "", "where the devices' secrets are: file:PATH, kv:BUCKET or command:PATH")
	key := o.text("key-file", "", "a file with the key of the tokens (openssl rand -base64 32), the same for all workers")
	listen := o.text("listen", "127.0.0.1:9464", "where /metrics, /healthz and /readyz are: HOST:PORT, or unix:PATH")
	inFlight := o.Int("in-flight", worker.DefaultInFlight, "how many requests are under way at most")
	held := o.Int64("held", worker.DefaultHeld>>20, "how many MiB of reports wait in memory at most")
	asJSON := o.Bool("json", false, "log in JSON")
	debug := o.Bool("debug", false, "log more")
	endpoint := o.String("endpoint", os.Getenv("IOTDA_ENDPOINT"), "the platform's address [env: IOTDA_ENDPOINT]")
	ca := o.String("ca-file", os.Getenv("IOTDA_CA_FILE"), "its certificate authority, if it is no public one [env: IOTDA_CA_FILE]")
	trace := o.text("trace", "", "for tests: a file that gets a line before each request")
	if err := o.parse(arguments); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	logger := newLogger(*asJSON, level)
	if *inFlight < 1 || *held < 1 {
		return errors.New("let at least one request be in flight and 1 MiB wait: -in-flight, -held")
	}

	connection, err := broker.connect(worker.Options(*name, logger)...)
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	seal, err := sealer(*key)
	if err != nil {
		return err
	}
	opening, cancel := limited(ctx)
	defer cancel()
	known, err := secrets.Open(opening, *source, stream, seal)
	if err != nil {
		return err
	}
	iot, err := platform.New(platform.Settings{Endpoint: *endpoint, CAFile: *ca, MaxInFlight: *inFlight, Logger: quiet(logger)})
	if err != nil {
		return err
	}
	defer iot.Close()
	config := worker.Config{Name: *name, Connection: connection, Platform: iot, Secrets: known, Sealer: seal,
		MaxInFlight: *inFlight, MaxHeld: *held << 20, Logger: logger, Metrics: &metrics.Set{}}
	if *trace != "" {
		file, err := os.OpenFile(*trace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		config.Trace = file
	}
	serving, err := worker.New(opening, config)
	if err != nil {
		return err
	}
	probes, err := listenAt(*listen)
	if err != nil {
		return fmt.Errorf("choose another -listen: %w", err)
	}
	server := &http.Server{Handler: probeHandler(serving, config.Metrics), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(probes)
	defer server.Close()
	logger.Info("the worker begins", "worker", *name, "metrics", probes.Addr().String())
	err = serving.Run(ctx)
	logger.Info("the worker ends", "worker", *name)
	return err
}

// quiet is the library's log: its failures are counted and decided on here, and an outage would fill the log with them.
// They are shown with -debug.
func quiet(logger *slog.Logger) *slog.Logger {
	if logger.Enabled(context.Background(), slog.LevelDebug) {
		return logger
	}
	return nil
}

func listenAt(address string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		os.Remove(path) // of an earlier process
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", address)
}

func probeHandler(w *worker.Worker, set *metrics.Set) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		set.Write(out)
	})
	probe := func(is func() bool) http.HandlerFunc {
		return func(out http.ResponseWriter, _ *http.Request) {
			if !is() {
				out.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(out, "no\n")
				return
			}
			io.WriteString(out, "yes\n")
		}
	}
	mux.HandleFunc("GET /healthz", probe(w.Healthy))
	mux.HandleFunc("GET /readyz", probe(w.Ready))
	return mux
}
