// Package worker serves partitions of the stream of reports: it finds its share of them (steward.go, take.go,
// heart.go, roster.go), reads each by a consumer of its own (epoch.go), and sends what it reads, device by device (sender.go,
// token.go, ack.go, dead.go). What is decided on values is elsewhere: internal/partition, lease, lane, ledger.
//
// One direction of flow: heart and roster → steward → epoch → queue of lanes → sender → platform, acknowledgement.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/lease"
	"github.com/libiotda/libiotda/examples/fleet/internal/ledger"
	"github.com/libiotda/libiotda/examples/fleet/internal/metrics"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

// Config is what a worker needs.
type Config struct {
	// Name is the worker's, one of its own among all workers; the same again after a restart.
	Name string
	// Connection is to NATS, with Options among its options.
	Connection *nats.Conn
	Platform   platform.Platform
	Secrets    secrets.Source
	Sealer     *tokens.Sealer
	// MaxInFlight is how many requests are under way at most; 0: DefaultInFlight.
	MaxInFlight int
	// MaxHeld is how many bytes of reports wait in memory at most; 0: DefaultHeld.
	MaxHeld int64
	// SecretPause is how long a device waits whose secret is not known, or refused; 0: DefaultSecretPause.
	SecretPause time.Duration
	Logger      *slog.Logger
	Metrics     *metrics.Set
	// Clock is the machine's if it is nil.
	Clock lease.Clock
	// Trace gets a line of JSON before each request, for tests; nil: nobody does.
	Trace io.Writer
}

// The defaults of a Config.
const (
	DefaultInFlight    = 64
	DefaultHeld        = 256 << 20
	DefaultSecretPause = 10 * time.Second
)

// maxAckPending is how many reports of a partition are delivered and not acknowledged at most. Devices that are held fill
// it with 1,500 reports each at most (500 of each kind): several of them do not stop their neighbours.
const maxAckPending = 20_000

// Worker is a running worker.
type Worker struct {
	config   Config
	stream   jetstream.JetStream
	layout   broker.Layout
	owner    string // name and instance, as records have it
	clock    lease.Clock
	logger   *slog.Logger
	heart    *heart
	roster   *roster
	parts    jetstream.KeyValue
	ledger   jetstream.KeyValue
	queue    *queue
	pacer    *ledger.Pacer
	tokens   *tokens.Store
	counters counters
	held     atomic.Int64 // bytes
	reading  atomic.Bool  // the steward is at work
	trace    tracer

	lock        sync.Mutex
	reconnected chan struct{} // closed when the connection was lost and made again
}

type counters struct {
	delivered, duplicates, requests, units *metrics.Counter
	authentications, dead, takes           *metrics.Counter
	failures, restarts                     *metrics.Counters
	seconds                                *metrics.Histogram
	serving, inFlight, waiting             atomic.Int64
}

// Options are options that the connection to NATS needs.
func Options(name string, logger *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.Name("iotda fleet " + name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		// What was not sent when the connection broke must not be sent later, by a worker that nobody counts on any more.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("the connection to NATS is lost", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Warn("NATS reports an error", "error", err)
		}),
	}
}

// New makes a worker. The streams and buckets must be there.
func New(ctx context.Context, config Config) (*Worker, error) {
	if config.Clock == nil {
		config.Clock = lease.System()
	}
	if config.MaxInFlight == 0 {
		config.MaxInFlight = DefaultInFlight
	}
	if config.MaxHeld == 0 {
		config.MaxHeld = DefaultHeld
	}
	if config.SecretPause == 0 {
		config.SecretPause = DefaultSecretPause
	}
	if !isName(config.Name) {
		return nil, fmt.Errorf("name the worker by 1 to 64 letters, digits, '_' and '-': not %q", config.Name)
	}
	stream, err := jetstream.New(config.Connection, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		return nil, err
	}
	var instance [8]byte
	rand.Read(instance[:]) // never fails
	w := &Worker{
		config: config, stream: stream, clock: config.Clock,
		logger: config.Logger.With("worker", config.Name),
		owner:  config.Name + "/" + hex.EncodeToString(instance[:]),
		queue:  newQueue(), trace: tracer{out: config.Trace},
		reconnected: make(chan struct{}),
	}
	w.pacer = ledger.NewPacer(w.monotonic)
	var alive jetstream.KeyValue
	find := func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
		defer cancel()
		bucket := func(name string, found *jetstream.KeyValue) func() error {
			return func() (err error) { *found, err = stream.KeyValue(ctx, name); return err }
		}
		return broker.AtOnce(
			func() (err error) { w.layout, err = broker.Find(ctx, stream); return err },
			func() (err error) { w.tokens, err = tokens.Open(ctx, stream, config.Sealer); return err },
			bucket(broker.Alive, &alive), bucket(broker.Parts, &w.parts), bucket(broker.Ledger, &w.ledger))
	}
	err = find()
	for errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = find() // a request that a leader was lost with gets no answer
	}
	if err != nil {
		return nil, err
	}
	w.heart = newHeart(alive, config.Name, w.owner, w.layout.TTL, w.clock, w.logger)
	w.roster = newRoster(alive, w.layout.TTL)
	w.count(config.Metrics)
	config.Connection.SetReconnectHandler(func(*nats.Conn) {
		w.lock.Lock()
		defer w.lock.Unlock()
		close(w.reconnected)
		w.reconnected = make(chan struct{})
	})
	return w, nil
}

var isName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString

func (w *Worker) monotonic() time.Duration { return w.clock().Monotonic }

func (w *Worker) onReconnect() <-chan struct{} {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.reconnected
}

func (w *Worker) count(set *metrics.Set) {
	c := &w.counters
	c.delivered = set.Counter("fleet_delivered_total", "Reports that the platform accepted and that were acknowledged.")
	c.duplicates = set.Counter("fleet_already_delivered_total", "Reports that came again after they were delivered, and were acknowledged alone.")
	c.requests = set.Counter("fleet_requests_total", "Requests sent, authentications not counted.")
	c.units = set.Counter("fleet_units_total", "Started 4 KB sent, as the platform counts its rate.")
	c.authentications = set.Counter("fleet_authentications_total", "Authentications.")
	c.dead = set.Counter("fleet_dead_letters_total", "Reports that became dead letters.")
	c.takes = set.Counter("fleet_partitions_taken_total", "Partitions taken, by a new epoch each.")
	c.failures = set.Counters("fleet_failures_total", "Requests that failed, by the kind of failure.", "kind")
	c.restarts = set.Counters("fleet_epochs_ended_total", "Epochs that ended, by the reason.", "reason")
	c.seconds = set.Histogram("fleet_request_seconds", "How long requests took.")
	set.Gauge("fleet_partitions", "Partitions that are served.", func() float64 { return float64(c.serving.Load()) })
	set.Gauge("fleet_in_flight", "Requests that are under way.", func() float64 { return float64(c.inFlight.Load()) })
	set.Gauge("fleet_waiting", "Reports in memory that wait.", func() float64 { return float64(c.waiting.Load()) })
	set.Gauge("fleet_held_bytes", "Bytes of these reports.", func() float64 { return float64(w.held.Load()) })
	set.Gauge("fleet_held_lanes", "Devices that wait before they are tried again.", func() float64 { return float64(w.queue.held.Load()) })
	set.Gauge("fleet_lease_seconds", "What is left of the lease.", func() float64 { return w.heart.left().Seconds() })
	set.Gauge("fleet_rate_grant", "Started 4 KB per second that the worker may send; -1 without a bound.", func() float64 {
		if rate, bounded := w.pacer.Rate(); bounded {
			return rate
		}
		return -1
	})
}

// Ready reports whether the worker has a lease and takes part: for a readiness probe.
func (w *Worker) Ready() bool {
	return w.reading.Load() && w.heart.left() > 0 && !w.heart.leaving.Load() && w.config.Connection.IsConnected()
}

// Healthy reports whether the worker is alive: for a liveness probe. A worker without NATS is healthy, and not ready.
func (w *Worker) Healthy() bool { return w.heart.beats(10 * time.Second) }

// Run serves until ctx ends, and hands its partitions over then. It fails if it cannot go on.
func (w *Worker) Run(ctx context.Context) error {
	// All that runs beside the steward ends after it.
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var running sync.WaitGroup
	defer running.Wait()
	defer end(nil)
	start := func(work func(context.Context)) {
		running.Add(1)
		go func() { defer running.Done(); work(life) }()
	}
	start(func(life context.Context) {
		// The steward prepares meanwhile: it takes nothing before the first heartbeat is confirmed.
		err := w.heart.begin(life)
		if err == nil {
			err = w.heart.run(life)
		}
		if err != nil {
			end(err)
		}
	})
	keeper := &ledger.Keeper{Bucket: w.ledger, Me: w.owner, Pacer: w.pacer, Clock: w.monotonic, Logger: w.logger}
	start(keeper.Run)
	for range w.config.MaxInFlight {
		start(w.send)
	}
	err := newSteward(w).run(life, ctx.Done())
	if cause := context.Cause(life); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.layout.TTL)
	defer cancel()
	end(nil)
	w.queue.close()
	running.Wait()
	return errors.Join(err, w.heart.end(leave))
}
