// Package natstest gives tests NATS servers of their own, which end with the test, and waits for what becomes so.
package natstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/embedded"
)

// Start starts so many servers and connects to them. Nothing is in them.
func Start(t testing.TB, servers int) (*embedded.Servers, jetstream.JetStream) {
	t.Helper()
	started, err := embedded.Start(t.TempDir(), servers)
	must(t, err)
	t.Cleanup(started.Stop)
	connection, err := nats.Connect(started.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	must(t, err)
	t.Cleanup(connection.Close)
	stream, err := jetstream.New(connection, jetstream.WithDefaultTimeout(2*time.Second))
	must(t, err)
	return started, stream
}

// Setup is Start, with the fleet's streams and buckets, each kept by all servers.
func Setup(t testing.TB, servers int, change func(*broker.Layout)) (*embedded.Servers, jetstream.JetStream) {
	t.Helper()
	started, stream := Start(t, servers)
	layout := broker.DefaultLayout()
	layout.Replicas = servers
	change(&layout)
	// A call that servers which have just found each other did not answer is made again: its effect is the same.
	err := broker.Setup(t.Context(), stream, layout)
	for deadline := time.Now().Add(time.Minute); errors.Is(err, context.DeadlineExceeded) && time.Now().Before(deadline); {
		err = broker.Setup(t.Context(), stream, layout)
	}
	must(t, err)
	return started, stream
}

// Leader is the place of the server that leads a stream. While one is being elected there is none.
func Leader(t testing.TB, servers *embedded.Servers, stream string) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if leader := servers.LeaderOf(stream); leader >= 0 {
			return leader
		}
	}
	t.Fatalf("no server leads %s", stream)
	return -1
}

// Until waits until something is so.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("it never came to this: %s", what)
		case <-look.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
