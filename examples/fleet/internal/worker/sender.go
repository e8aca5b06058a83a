// Requests, one at a time for each lane, and what is done about each outcome.

package worker

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/lane"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// patience is how long a request may take after one was ended by its lease.
const patience = 15 * time.Second

// send sends the requests of lanes, one at a time, until the queue is closed. There are as many of it as requests may be
// in flight.
func (w *Worker) send(context.Context) {
	for {
		l := w.queue.take()
		if l == nil {
			return
		}
		if !l.epoch.enter() {
			continue // its reports come again in the next epoch
		}
		w.counters.inFlight.Add(1)
		pause := w.sendOne(l)
		w.counters.inFlight.Add(-1)
		switch {
		case pause > 0:
			w.queue.addLater(l, pause)
		default:
			l.next()
		}
		l.epoch.leave()
	}
}

// sendOne sends the next request of a lane, and returns how long the lane has to wait then.
func (w *Worker) sendOne(l *deviceLane) (pause time.Duration) {
	ctx := l.epoch.ctx
	l.lock.Lock()
	run, _ := l.lane.Next()
	var known error
	if len(run) > 0 {
		known = run[0].Refused
	}
	l.lock.Unlock()
	if len(run) == 0 {
		return 0
	}
	if known != nil {
		failure, ok := known.(*platform.Failure)
		if !ok {
			failure = &platform.Failure{Verdict: platform.Refused, Reason: known.Error()}
		}
		return w.bury(l, run[:1], failure)
	}
	if pause, ready := w.ready(ctx, l); !ready {
		return pause
	}
	if w.pacer.Wait(l.epoch.pulling) != nil {
		return 0
	}
	// What came meanwhile may share the request.
	l.lock.Lock()
	run, body := l.lane.Next()
	l.lock.Unlock()
	units := report.Units(len(body))
	w.pacer.Owe(units - 1)

	given := time.Duration(0)
	if l.patient {
		given = patience
	}
	bounded, cancel := w.heart.bound(ctx, l.epoch.term, given)
	defer cancel()
	if bounded.Err() != nil {
		return tick // the lease is over; the steward ends the epoch
	}
	w.trace.request(w.owner, l, run, body)
	started := w.monotonic()
	failure := l.client.Report(bounded, run[0].Kind, body)
	w.counters.seconds.Observe(w.monotonic() - started)
	w.counters.requests.Add(1)
	w.counters.units.Add(units)
	if failure == nil {
		return w.delivered(l, run)
	}
	w.counters.failures.Add(failure.Kind, 1)
	return w.failed(l, run, failure, bounded.Err() != nil)
}

// delivered acknowledges what the platform has accepted.
func (w *Worker) delivered(l *deviceLane, run []lane.Item) time.Duration {
	w.counters.delivered.Add(w.confirm(l.epoch.ctx, run, l.epoch.unconfirmed))
	l.token.failures, l.patient = 0, false
	l.done(run)
	return 0
}

// done takes reports out of the lane.
func (l *deviceLane) done(run []lane.Item) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.gone(run)
	l.lane.Done(len(run))
}

// failed does what is to be done after a failure; ended says that the request's time was over.
func (w *Worker) failed(l *deviceLane, run []lane.Item, failure *platform.Failure, ended bool) time.Duration {
	switch failure.Verdict {
	case platform.Refused:
		l.lock.Lock()
		search := l.lane.Refused(len(run))
		l.lock.Unlock()
		if search {
			return 0
		}
		return w.bury(l, run, failure)
	case platform.Partly:
		return w.partly(l, run, failure)
	case platform.NoToken:
		l.token.lost()
		if l.token.failures < 2 {
			return 0
		}
	}
	if failure.OfTenant {
		w.pacer.Refused()
	}
	if ended {
		if l.epoch.ctx.Err() != nil {
			return 0 // the epoch is over
		}
		l.patient = true
	}
	return w.hold(l, failure)
}

// hold keeps the lane's head for as long as the platform asks for, or for a random and growing time.
func (w *Worker) hold(l *deviceLane, failure *platform.Failure) time.Duration {
	l.lock.Lock()
	pause := l.lane.Failed(failure.RetryAfter, rand.Float64())
	failures := l.lane.Failures()
	l.lock.Unlock()
	if failures == 5 {
		w.logger.Warn("a device cannot be delivered; its reports wait", "device", l.device, "reason", failure.Reason)
	}
	return pause
}

// partly: children of a batch that were refused become dead letters, and those that may be accepted later stay.
func (w *Worker) partly(l *deviceLane, run []lane.Item, failure *platform.Failure) time.Duration {
	var later, refused []int
	reason := ""
	for _, child := range failure.Children {
		if child.Verdict == platform.Refused {
			refused = append(refused, child.Index)
			reason = child.Reason
		} else {
			later = append(later, child.Index)
		}
	}
	if len(refused) > 0 {
		part, err := report.Children(run[0].Body, refused)
		if err != nil { // the platform's library and this one disagree about what the children are
			return w.bury(l, run, failure)
		}
		letter := run[0]
		letter.Body = part
		if !w.letter(l, letter, &platform.Failure{Reason: reason, Code: failure.Code, HTTPStatus: failure.HTTPStatus}) {
			return tick
		}
	}
	if len(later) == 0 {
		return w.delivered(l, run)
	}
	rest, err := report.Children(run[0].Body, later)
	if err != nil {
		return w.bury(l, run, failure)
	}
	l.lock.Lock()
	l.lane.Rest(rest)
	l.lock.Unlock()
	return w.hold(l, failure)
}

// bury makes a dead letter of a report, and acknowledges it then.
func (w *Worker) bury(l *deviceLane, run []lane.Item, failure *platform.Failure) time.Duration {
	if !w.letter(l, run[0], failure) {
		return tick
	}
	w.confirm(l.epoch.ctx, run, l.epoch.unconfirmed)
	l.done(run)
	return 0
}

// tracer writes a line before each request: who is about to send what.
type tracer struct {
	lock sync.Mutex
	out  io.Writer
}

// Traced is a line of the trace.
type Traced struct {
	Owner     string `json:"owner"`
	Partition int    `json:"partition"`
	Epoch     uint64 `json:"epoch"`
	Device    string `json:"device"`
	First     uint64 `json:"first"`
	Count     int    `json:"count"`
	// Body is the FNV-1a hash of the body.
	Body uint64 `json:"body"`
}

// Hash is the hash of a body in a trace.
func Hash(body []byte) uint64 {
	hash := fnv.New64a()
	hash.Write(body)
	return hash.Sum64()
}

func (t *tracer) request(owner string, l *deviceLane, run []lane.Item, body []byte) {
	if t.out == nil {
		return
	}
	line, err := json.Marshal(Traced{owner, l.epoch.partition, l.epoch.number, l.device, run[0].Sequence, len(run), Hash(body)})
	if err != nil {
		return
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	t.out.Write(append(line, '\n'))
}
