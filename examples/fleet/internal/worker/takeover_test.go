// Partitions that move between workers, and what is lost on the way.

package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/lease"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

func TestADeadWorkersPartitionsAreTakenOver(t *testing.T) {
	f := newFleet(t, setup{devices: 40, layout: func(l *broker.Layout) { l.TTL = time.Second }})
	a := f.start("a")
	f.start("b")
	f.served("a", "b")
	f.report(3)
	a.connection.Close() // no heartbeat, no acknowledgement, and no goodbye
	f.report(3)
	f.served("b")
	f.report(3)
	f.drained()
	// What a had in flight may come again: at most a request for each device.
	if duplicates := f.complete(); duplicates > 3*20 {
		t.Errorf("%d came twice", duplicates)
	}
}

func TestWorkersJoinAndLeaveWithoutDuplicates(t *testing.T) {
	f := newFleet(t, setup{devices: 40, layout: func(l *broker.Layout) { l.Partitions = 8 }})
	f.start("a")
	f.served("a")
	f.report(2)
	b := f.start("b")
	f.served("a", "b")
	f.report(2)
	c := f.start("c")
	f.eventually("three share", func() bool { return trial.Owners(f.records())["c"] > 0 })
	f.report(2)
	b.stop()
	f.served("a", "c")
	f.report(2)
	c.stop()
	f.served("a")
	f.report(2)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	if counted := f.counters(); counted.Authentications != len(f.devices) {
		t.Errorf("%d authentications of %d devices", counted.Authentications, len(f.devices))
	}
}

// A worker whose clock says that its lease is over begins no request, ends those that are under way, and takes part again
// when a heartbeat is confirmed.
func TestNoRequestWithoutALease(t *testing.T) {
	f := newFleet(t, setup{devices: 4})
	system := lease.System()
	var jump atomic.Int64
	reported := make(chan context.Context, 100)
	f.start("a", func(c *worker.Config) {
		c.Clock = func() lease.Instant {
			now := system()
			now.Wall = now.Wall.Add(time.Duration(jump.Load()))
			return now
		}
		c.Platform = &watched{Platform: c.Platform, before: func(ctx context.Context) { reported <- ctx }}
	})
	f.served("a")
	f.fault(`{"kind":"delay","before":"header","on":"properties","times":1}`)
	f.must(f.publish.Publish(t.Context(), f.devices[0], report.Properties, number(0)))
	f.expected[f.devices[0]]++
	stalled := <-reported
	if deadline, bounded := stalled.Deadline(); !bounded || time.Until(deadline) > lease.Span(3*time.Second) {
		t.Errorf("a request may take until %v", deadline)
	}
	jump.Store(int64(time.Hour)) // a suspended machine, as its wall clock shows it
	<-stalled.Done()
	f.report(2)
	f.drained()
	f.complete()
}

// watched calls before each report.
type watched struct {
	platform.Platform
	before func(ctx context.Context)
	after  func(device string, failure *platform.Failure)
}

func (w *watched) Open(device, secret string) (platform.Device, error) {
	opened, err := w.Platform.Open(device, secret)
	return &watchedDevice{opened, device, w}, err
}

type watchedDevice struct {
	platform.Device
	id string
	w  *watched
}

func (d *watchedDevice) Report(ctx context.Context, kind report.Kind, body []byte) *platform.Failure {
	if d.w.before != nil {
		d.w.before(ctx)
	}
	failure := d.Device.Report(ctx, kind, body)
	if d.w.after != nil {
		d.w.after(d.id, failure)
	}
	return failure
}

// A second process of the same name waits while the first one lives, and serves when that has left.
func TestTwoWorkersOfOneName(t *testing.T) {
	f := newFleet(t, setup{devices: 4})
	first := f.start("a")
	f.served("a")
	second := f.start("a")
	f.report(1)
	f.drained()
	if taken := second.value("fleet_partitions_taken_total"); taken != "0" {
		t.Errorf("the second one has taken %s partitions", taken)
	}
	first.stop()
	f.report(1)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	f.served("a") // not each partition has a report
}

// Whoever stole the name is seen at the next heartbeat: the worker ends instead of fighting for it.
func TestAStolenNameEndsTheWorker(t *testing.T) {
	f := newFleet(t, setup{})
	a := f.start("a")
	f.served("a")
	bucket, err := f.stream.KeyValue(t.Context(), broker.Alive)
	f.must(err)
	_, err = bucket.Put(t.Context(), "a", []byte(`{"owner":"a/another"}`))
	f.must(err)
	err = <-a.ended
	a.ended <- nil
	if err == nil {
		t.Error("it ends without an error")
	}
}

// Another reader of the same consumer takes deliveries away, as a connection that breaks does.
func TestALostDeliveryBeginsANewEpoch(t *testing.T) {
	f := newFleet(t, setup{devices: 8, layout: func(l *broker.Layout) { l.Partitions = 1 }})
	a := f.start("a")
	f.served("a")
	thief, err := f.stream.Consumer(t.Context(), broker.Stream, f.delivering(0))
	f.must(err)
	f.steal(thief)
	f.report(2)
	f.drained()
	if taken := a.value("fleet_partitions_taken_total"); taken == "1" {
		t.Error("there was no new epoch")
	}
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

// The last delivery of all is lost: no later one shows the gap.
func TestALostLastDeliveryIsMissed(t *testing.T) {
	f := newFleet(t, setup{devices: 8, layout: func(l *broker.Layout) { l.Partitions = 1 }})
	f.start("a")
	f.served("a")
	thief, err := f.stream.Consumer(t.Context(), broker.Stream, f.delivering(0))
	f.must(err)
	f.steal(thief)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

// anew waits until each partition was taken a second time.
func (f *fleet) anew() {
	f.Helper()
	f.eventually("new epochs", func() bool {
		records := f.records()
		return records != nil && !slices.ContainsFunc(records, func(r partition.Record) bool { return r.Epoch < 2 })
	})
}

// consumer is the name of a partition's consumer; "" if it has none.
func (f *fleet) consumer(p int) string {
	stream, err := f.stream.Stream(context.Background(), broker.Stream)
	if err != nil {
		return ""
	}
	for name := range stream.ConsumerNames(context.Background()).Name() {
		if strings.HasPrefix(name, fmt.Sprintf("p%d-", p)) {
			return name
		}
	}
	return ""
}

// delivering waits until a partition has a consumer, which is made after the record is written, and returns its name.
func (f *fleet) delivering(p int) (name string) {
	f.Helper()
	f.eventually("a consumer", func() bool { name = f.consumer(p); return name != "" })
	return name
}

// steal publishes until another reader has got a delivery.
func (f *fleet) steal(thief jetstream.Consumer) {
	f.Helper()
	for range 100 {
		waiting := make(chan int)
		go func() {
			count := 0
			if batch, err := thief.Fetch(1, jetstream.FetchMaxWait(500*time.Millisecond)); err == nil {
				for range batch.Messages() {
					count++
				}
			}
			waiting <- count
		}()
		f.report(1)
		if <-waiting > 0 {
			return
		}
		f.drained()
	}
	f.Fatal("nothing could be stolen")
}

// A consumer that disappears, after the platform has accepted a report and before that is acknowledged: the report comes
// again in the next epoch, is known to be delivered, and is not sent twice.
func TestALostAcknowledgementIsNoDuplicate(t *testing.T) {
	f := newFleet(t, setup{devices: 4, layout: func(l *broker.Layout) { l.Partitions = 1 }})
	var lose atomic.Int32
	lose.Store(3)
	a := f.start("a", func(c *worker.Config) {
		c.Platform = &watched{Platform: c.Platform, after: func(_ string, failure *platform.Failure) {
			if failure == nil && lose.Add(-1) >= 0 {
				if name := f.consumer(0); name != "" {
					f.stream.DeleteConsumer(context.Background(), broker.Stream, name)
				}
			}
		}}
	})
	f.report(5)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	// It is counted after its acknowledgement, which has emptied the stream. Without any, the test would show nothing.
	f.eventually("a report came again", func() bool { return a.value("fleet_already_delivered_total") != "0" })
}

// The server confirms an acknowledgement as often as it is sent: whoever has lost the confirmation asks again.
func TestAnAcknowledgementIsConfirmedAgain(t *testing.T) {
	f := newFleet(t, setup{devices: 1, layout: func(l *broker.Layout) { l.Partitions = 1 }})
	f.report(1)
	consumer, err := f.stream.CreateConsumer(t.Context(), broker.Stream, jetstream.ConsumerConfig{
		Durable: "p0-e1", FilterSubject: "0.>", AckPolicy: jetstream.AckExplicitPolicy})
	f.must(err)
	message, err := consumer.Next()
	f.must(err)
	for range 3 {
		_, err := f.stream.Conn().RequestWithContext(t.Context(), message.Reply(), []byte("+ACK"))
		f.must(err)
	}
	f.drained() // the server confirms first, and takes it out of the stream then
}

// A consumer that no record names, left by a worker that died between two steps, is found and deleted.
func TestALeftConsumerIsNoObstacle(t *testing.T) {
	f := newFleet(t, setup{devices: 4, layout: func(l *broker.Layout) { l.Partitions = 2 }})
	_, err := f.parts.Put(t.Context(), "p0", []byte(`{"owner":"dead/1","epoch":7,"consumer":"p0-e7"}`))
	f.must(err)
	_, err = f.stream.CreateConsumer(t.Context(), broker.Stream, jetstream.ConsumerConfig{
		Durable: "p0-e5", FilterSubject: "0.>", AckPolicy: jetstream.AckExplicitPolicy})
	f.must(err)
	f.start("a")
	f.report(2)
	f.drained()
	f.complete()
	// Its partition may have no report. The epoch after the record's is 8; a lease that lapses begins further ones.
	f.eventually("the left consumer is gone, and a new one there", func() bool {
		epoch := 0
		_, err := fmt.Sscanf(f.consumer(0), "p0-e%d", &epoch)
		return err == nil && epoch >= 8
	})
}

// Somebody tampers with the bucket: the entry is made again, in a later epoch.
func TestADeletedRecordIsMadeAgain(t *testing.T) {
	f := newFleet(t, setup{devices: 8, layout: func(l *broker.Layout) { l.Partitions = 1 }})
	f.start("a")
	f.served("a")
	f.report(2)
	for _, spoil := range []func() error{
		func() error { return f.parts.Delete(t.Context(), "p0") },
		func() error { _, err := f.parts.Put(t.Context(), "p0", []byte("no record")); return err },
	} {
		before := f.delivering(0)
		f.must(spoil())
		f.eventually("another consumer", func() bool { name := f.consumer(0); return name != "" && name != before })
		f.report(2)
		f.drained()
	}
	f.complete()
}

func TestAReconnectBeginsNewEpochs(t *testing.T) {
	f := newFleet(t, setup{devices: 8})
	a := f.start("a")
	f.served("a")
	f.report(2)
	f.must(a.connection.ForceReconnect())
	f.report(2)
	f.anew()
	f.report(2)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

// A heartbeat that was lost for as long as it lives: others may have had the partitions before the next one.
func TestALapsedHeartbeatBeginsNewEpochs(t *testing.T) {
	f := newFleet(t, setup{devices: 8})
	f.start("a")
	f.served("a")
	bucket, err := f.stream.KeyValue(t.Context(), broker.Alive)
	f.must(err)
	f.must(bucket.Delete(t.Context(), "a"))
	f.anew()
	f.report(2)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}
