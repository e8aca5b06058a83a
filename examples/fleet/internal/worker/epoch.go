// A partition while this worker serves it: what is read goes to a lane for each device. sender.go sends it.

package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/lane"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

const (
	// pullMessages and pullBytes bound what one pull asks for.
	pullMessages, pullBytes = 256, 4 << 20
	// lookInterval is how often the server is asked whether it has delivered more than has arrived.
	lookInterval = 2 * time.Second
	// restartGrace is how long requests that are under way have to end when an epoch ends for another of the same worker.
	restartGrace = 2 * time.Second
)

// epoch is a partition while one worker serves it without interruption: a consumer that has delivered 1, 2, 3, … to this
// worker alone. When that can no longer be said, the epoch ends, and the next one begins with all that is not acknowledged.
type epoch struct {
	worker      *Worker
	partition   int
	number      uint64
	term        uint64 // of the lease under which it was taken
	consumer    jetstream.Consumer
	unconfirmed *sequences
	// ctx ends with the epoch: requests and acknowledgements that are under way end.
	ctx context.Context
	end context.CancelFunc
	// pulling ends before it: nothing more is read, and no request begins.
	pulling context.Context
	halt    context.CancelFunc
	// over is closed when nothing of it runs any more.
	over chan struct{}

	lock     sync.Mutex
	reason   string
	stopping bool
	grace    time.Duration
	running  int // requests
	idle     chan struct{}
	lanes    map[string]*deviceLane
	arrived  uint64 // the last delivery's number
	waits    bool   // for a delivery
}

// deviceLane is the lane of a device in an epoch.
type deviceLane struct {
	device string
	epoch  *epoch

	lock   sync.Mutex
	lane   lane.Lane
	queued bool // in the queue, held, or being sent

	// Of the one who sends.
	client  platform.Device
	token   tokenState
	patient bool // a request was ended by its lease: the next has more time
}

// begin starts an epoch; `ended` is called when it is over.
func (w *Worker) begin(ctx context.Context, p int, number, term uint64, consumer jetstream.Consumer,
	unconfirmed *sequences, ended func(*epoch)) *epoch {
	e := &epoch{worker: w, partition: p, number: number, term: term, consumer: consumer, unconfirmed: unconfirmed,
		over: make(chan struct{}), idle: make(chan struct{}, 1), lanes: make(map[string]*deviceLane)}
	e.ctx, e.end = context.WithCancel(ctx)
	e.pulling, e.halt = context.WithCancel(e.ctx)
	go func() {
		e.run()
		ended(e)
	}()
	return e
}

// stop ends the epoch; what is under way has `grace` to end by itself.
func (e *epoch) stop(reason string, grace time.Duration) {
	e.lock.Lock()
	if !e.stopping {
		e.stopping, e.reason, e.grace = true, reason, grace
	} else {
		e.grace = min(e.grace, grace)
	}
	e.lock.Unlock()
	e.halt()
	if grace == 0 {
		e.end()
	}
}

// enter is for a request that begins; leave must follow if it returns true.
func (e *epoch) enter() bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.stopping || e.pulling.Err() != nil {
		return false
	}
	e.running++
	return true
}

func (e *epoch) leave() {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.running--; e.running == 0 {
		select {
		case e.idle <- struct{}{}:
		default:
		}
	}
}

func (e *epoch) run() {
	var looking sync.WaitGroup
	looking.Add(1)
	go func() { defer looking.Done(); e.look() }()
	err := e.pull()
	if err != nil && e.pulling.Err() == nil {
		e.worker.logger.Warn("a new epoch is needed", "partition", e.partition, "epoch", e.number, "error", err)
	}
	e.stop(reasonOf(err), restartGrace)
	e.finish()
	e.end()
	e.finish() // those that ctx has ended
	looking.Wait()
	e.lock.Lock()
	lanes, reason := e.lanes, e.reason
	e.lanes = nil
	e.lock.Unlock()
	for _, l := range lanes {
		l.drop()
	}
	e.worker.counters.restarts.Add(reason, 1)
	close(e.over)
}

// finish waits until no request runs, or ctx or the grace ends.
func (e *epoch) finish() {
	e.lock.Lock()
	grace := e.grace
	e.lock.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for {
		e.lock.Lock()
		running := e.running
		e.lock.Unlock()
		if running == 0 {
			return
		}
		if e.ctx.Err() != nil {
			<-e.idle // they end at once
			continue
		}
		select {
		case <-e.idle:
		case <-timer.C:
			return
		case <-e.ctx.Done():
		}
	}
}

// What ends an epoch from within.
var (
	errGap         = errors.New("a delivery is missing")
	errRedelivered = errors.New("a report was delivered again")
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errGap):
		return "gap"
	case errors.Is(err, errRedelivered):
		return "redelivery"
	case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
		return "deleted"
	case errors.Is(err, jetstream.ErrNoHeartbeat):
		return "no heartbeat"
	case err == nil:
		return "end"
	}
	return "error"
}

// pull reads deliveries into lanes until the epoch stops.
func (e *epoch) pull() error {
	messages, err := e.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(time.Second))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(e.pulling, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		e.awaiting(true)
		message, err := messages.Next()
		e.awaiting(false)
		if e.pulling.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.accept(message); err != nil {
			return err
		}
		for e.worker.held.Load() > e.worker.config.MaxHeld { // until some of it is delivered
			select {
			case <-time.After(tick):
			case <-e.pulling.Done():
				return nil
			}
		}
	}
}

func (e *epoch) awaiting(waits bool) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.waits = waits
}

// accept puts a delivery into its lane, if it is the one that must come now.
func (e *epoch) accept(message jetstream.Msg) error {
	meta, err := message.Metadata()
	if err != nil {
		return err
	}
	e.lock.Lock()
	expected := e.arrived + 1
	if meta.Sequence.Consumer == expected {
		e.arrived = expected
	}
	e.lock.Unlock()
	if meta.Sequence.Consumer != expected {
		return errGap
	}
	if meta.NumDelivered != 1 {
		return errRedelivered
	}
	item := lane.Item{Sequence: meta.Sequence.Stream, Reply: message.Reply(), Body: message.Data(),
		Size: len(message.Data()), Stored: meta.Timestamp}
	if e.unconfirmed.has(item.Sequence) { // it was delivered by an earlier epoch of this worker
		e.again(item)
		return nil
	}
	device, kind, err := report.ParseStored(message.Subject())
	item.Kind = kind
	if err != nil { // the stream takes no such subject, but it may have been made by somebody else
		device, _, _ = strings.Cut(message.Subject(), ".")
		item.Refused = &platform.Failure{Verdict: platform.Refused, Kind: "subject", Reason: err.Error()}
	} else if failure := e.worker.config.Platform.Check(kind, item.Body); failure != nil {
		item.Refused = failure
	}
	e.worker.held.Add(int64(len(item.Body)))
	e.worker.counters.waiting.Add(1)
	e.lock.Lock()
	l := e.lanes[device]
	if l == nil {
		l = &deviceLane{device: device, epoch: e}
		e.lanes[device] = l
	}
	e.lock.Unlock()
	l.push(item)
	return nil
}

// again acknowledges a report that was delivered before.
func (e *epoch) again(item lane.Item) {
	if !e.enter() {
		return
	}
	go func() {
		defer e.leave()
		if e.worker.confirmOne(e.ctx, item.Reply) {
			e.unconfirmed.remove(item.Sequence)
			e.worker.counters.duplicates.Add(1)
		}
	}()
}

// look asks the server from time to time whether it has delivered what never arrived.
func (e *epoch) look() {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var last lookAt
	for {
		select {
		case <-e.pulling.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(e.pulling, callTimeout)
		info, err := e.consumer.Info(ctx)
		cancel()
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			e.stop("deleted", 0)
			return
		}
		if err != nil {
			last = lookAt{}
			continue
		}
		e.lock.Lock()
		now := lookAt{delivered: info.Delivered.Consumer, arrived: e.arrived, waits: e.waits}
		e.lock.Unlock()
		if now.lacks(last) {
			e.worker.logger.Warn("deliveries have not arrived: a new epoch is needed", "partition", e.partition,
				"epoch", e.number, "delivered", now.delivered, "arrived", now.arrived)
			e.stop("gap", restartGrace)
			return
		}
		last = now
	}
}

// lookAt is what the server has delivered, what of it has arrived, and whether the worker waits for more.
type lookAt struct {
	delivered, arrived uint64
	waits              bool
}

// lacks reports whether something was lost on its way: the server had delivered it at the look before this one, and the
// worker has waited for it since and got nothing.
func (l lookAt) lacks(before lookAt) bool {
	return before.delivered > l.arrived && before.arrived == l.arrived && before.waits && l.waits
}

// push puts a report at the end of the lane.
func (l *deviceLane) push(item lane.Item) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.lane.Push(item)
	if !l.queued {
		l.queued = true
		l.epoch.worker.queue.add(l)
	}
}

// next puts the lane back into the queue if something waits in it.
func (l *deviceLane) next() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.queued = l.lane.Len() > 0
	if l.queued {
		l.epoch.worker.queue.add(l)
	}
}

// drop forgets what waits, which comes again in the next epoch.
func (l *deviceLane) drop() {
	l.lock.Lock()
	defer l.lock.Unlock()
	for l.lane.Len() > 0 {
		run, _ := l.lane.Next()
		l.gone(run)
		l.lane.Done(len(run))
	}
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
}

// gone says that these reports are no longer in memory.
func (l *deviceLane) gone(run []lane.Item) {
	for i := range run {
		l.epoch.worker.held.Add(-int64(run[i].Size))
	}
	l.epoch.worker.counters.waiting.Add(-int64(len(run)))
}
