// Package broker holds what the fleet keeps in NATS JetStream: a stream of reports, one of dead letters, and four
// buckets; how they are made, and how a worker finds that they are what it needs.
package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

// The names in JetStream.
const (
	Stream      = "IOTDA"
	DeadLetters = "IOTDA_DLQ"
	// DeadPrefix is the first token of a dead letter's subject; device and kind follow.
	DeadPrefix = "iotda_dlq"
	Alive      = "alive"
	Parts      = "parts"
	Ledger     = "ledger"
)

// Layout is what is decided when the stream is made.
type Layout struct {
	// Partitions is the number of partitions, for life: a device's reports would change their partition with it.
	Partitions int
	// Replicas is the number of servers that keep each message; 3 in production.
	Replicas int
	// PerSubject is how many reports of one kind wait for a device at most. Further ones are refused.
	PerSubject int64
	// TTL is how long a worker is taken for alive after its last heartbeat.
	TTL time.Duration
	// Memory keeps everything in memory, for tests.
	Memory bool
}

// DefaultLayout is the layout for up to eight workers.
func DefaultLayout() Layout {
	return Layout{Partitions: 16, Replicas: 3, PerSubject: 500, TTL: 3 * time.Second}
}

func (l Layout) storage() jetstream.StorageType {
	if l.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// reports is the stream of reports.
func (l Layout) reports() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream,
		Description: "Reports that wait for the IoTDA platform",
		Subjects:    report.Subjects(),
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      report.Prefix + ".*.*",
			Destination: fmt.Sprintf("{{partition(%d,1)}}.%s.{{wildcard(1)}}.{{wildcard(2)}}", l.Partitions, report.Prefix),
		},
		Retention: jetstream.WorkQueuePolicy,
		// A device that cannot be delivered fills only itself, and its publisher gets an error.
		MaxMsgsPerSubject:    l.PerSubject,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		Duplicates:           2 * time.Minute,
		Storage:              l.storage(),
		Replicas:             l.Replicas,
	}
}

func (l Layout) deadLetters() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        DeadLetters,
		Description: "Reports that the IoTDA platform refused, with the reason",
		Subjects:    []string{DeadPrefix + ".*.*"},
		MaxAge:      30 * 24 * time.Hour,
		Duplicates:  2 * time.Minute,
		Storage:     l.storage(),
		Replicas:    l.Replicas,
	}
}

// bucket is a key-value bucket as its stream. Reads go to the leader: an answer of a replica that lags behind could call
// a worker dead that lives.
func (l Layout) bucket(name, description string, ttl time.Duration) jetstream.StreamConfig {
	duplicates := 2 * time.Minute
	if ttl > 0 {
		duplicates = min(duplicates, ttl)
	}
	return jetstream.StreamConfig{
		Name:              "KV_" + name,
		Description:       description,
		Subjects:          []string{"$KV." + name + ".>"},
		MaxMsgsPerSubject: 1,
		MaxAge:            ttl,
		AllowRollup:       true,
		DenyDelete:        true,
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicates,
		Storage:           l.storage(),
		Replicas:          l.Replicas,
		// Messages with a time to live of their own: the tokens.
		AllowMsgTTL: name == tokens.Bucket,
	}
}

func (l Layout) all() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		l.reports(),
		l.deadLetters(),
		l.bucket(Alive, "Heartbeats of the workers", l.TTL),
		l.bucket(Parts, "Who serves which partition", 0),
		l.bucket(Ledger, "The tenant's rate", 0),
		l.bucket(tokens.Bucket, "Access tokens, sealed", 0),
	}
}

func (l Layout) check() error {
	switch {
	case l.Partitions < 1 || l.Partitions > 256:
		return fmt.Errorf("choose 1 to 256 partitions, not %d: 16, or 32 for more than 8 workers", l.Partitions)
	case l.PerSubject < 1:
		return fmt.Errorf("let at least one report wait for each device, not %d", l.PerSubject)
	case l.TTL < time.Second:
		return fmt.Errorf("choose a heartbeat's TTL of at least 1 s, not %v", l.TTL)
	}
	return nil
}

// Setup makes the streams and buckets, or changes those that are there. The number of partitions cannot be changed.
func Setup(ctx context.Context, js jetstream.JetStream, layout Layout) error {
	if err := layout.check(); err != nil {
		return err
	}
	there, err := Find(ctx, js)
	if err == nil && there.Partitions != layout.Partitions {
		return fmt.Errorf("keep the %d partitions: with %d, reports of one device would overtake each other",
			there.Partitions, layout.Partitions)
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	for _, config := range layout.all() {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("create the stream %s: %w", config.Name, err)
		}
	}
	return nil
}

// Find reads the layout of the stream that is there, and refuses one that would lose or disorder reports.
func Find(ctx context.Context, js jetstream.JetStream) (Layout, error) {
	var stream, alive jetstream.Stream
	find := func(name, what string, found *jetstream.Stream) func() error {
		return func() (err error) {
			if *found, err = js.Stream(ctx, name); err != nil {
				return fmt.Errorf("run `fleet setup` first: the %s: %w", what, err)
			}
			return nil
		}
	}
	err := AtOnce(find(Stream, "stream "+Stream, &stream), find("KV_"+Alive, "bucket "+Alive, &alive))
	if err != nil {
		return Layout{}, err
	}
	config := stream.CachedInfo().Config
	found := Layout{Replicas: config.Replicas, PerSubject: config.MaxMsgsPerSubject,
		Memory: config.Storage == jetstream.MemoryStorage}
	if config.SubjectTransform != nil {
		// The number is the one in the destination.
		fmt.Sscanf(config.SubjectTransform.Destination, "{{partition(%d,1)}}", &found.Partitions)
	}
	want := found.reports()
	switch {
	case found.Partitions < 1 || *config.SubjectTransform != *want.SubjectTransform:
		return Layout{}, fmt.Errorf("create the stream %s by `fleet setup`: this one has no partitions", Stream)
	case config.Retention != want.Retention || config.Discard != want.Discard || !config.DiscardNewPerSubject:
		return Layout{}, fmt.Errorf("create the stream %s by `fleet setup`: this one is no work queue that refuses "+
			"what is too much for a device", Stream)
	case !slices.Equal(config.Subjects, want.Subjects):
		return Layout{}, fmt.Errorf("create the stream %s by `fleet setup`: this one takes %v", Stream, config.Subjects)
	}
	found.TTL = alive.CachedInfo().Config.MaxAge
	return found, found.check()
}

// AtOnce makes calls of NATS at the same time, each of which waits for a leader, and returns the first one's error that
// failed.
func AtOnce(calls ...func() error) error {
	failures := make([]error, len(calls))
	var running sync.WaitGroup
	for i, call := range calls {
		running.Add(1)
		go func() { defer running.Done(); failures[i] = call() }()
	}
	running.Wait()
	return cmp.Or(failures...)
}

// DeadSubject is where a device's dead letters go.
func DeadSubject(device string, kind report.Kind) string {
	return DeadPrefix + "." + device + "." + kind.String()
}
