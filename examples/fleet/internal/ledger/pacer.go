// A worker's pace: requests wait until its grant allows them.

package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Bucket fills at a rate and is emptied by what is sent. It holds little, so that a grant that was not used cannot be used
// later, when the platform has forgotten that it was not. A value; time is that of the caller's monotonic clock.
type Bucket struct {
	rate, level float64
	at          time.Duration
}

// most is what it holds, in seconds of its rate.
const most = 0.1

// SetRate changes the rate from `now` on.
func (b *Bucket) SetRate(rate float64, now time.Duration) {
	b.fill(now)
	b.rate = rate
	b.level = min(b.level, b.capacity())
}

func (b *Bucket) capacity() float64 { return max(b.rate*most, 1) }

func (b *Bucket) fill(now time.Duration) {
	if now > b.at {
		b.level = min(b.level+b.rate*(now-b.at).Seconds(), b.capacity())
		b.at = now
	}
}

// Take takes one unit, or says how long to wait until there is one; -1 if the rate is 0 and there never will be.
func (b *Bucket) Take(now time.Duration) (wait time.Duration) {
	b.fill(now)
	if b.level >= 1 {
		b.level--
		return 0
	}
	if b.rate <= 0 {
		return -1
	}
	return max(time.Duration((1-b.level)/b.rate*float64(time.Second)), time.Microsecond)
}

// Owe takes units without waiting; those that come later wait for them.
func (b *Bucket) Owe(units int) { b.level -= float64(units) }

// Pacer holds a worker to its grant. It counts started 4 KB, as the platform does. For any number of goroutines.
type Pacer struct {
	clock func() time.Duration

	lock    sync.Mutex
	bucket  Bucket
	bounded bool
	until   time.Duration // when the grant lapses
	changed chan struct{} // closed at a change
	turn    chan struct{} // held by the one who waits at the head

	taken, waiting, refused atomic.Int64
}

// NewPacer is a pacer that lets everything pass until it gets a grant.
func NewPacer(clock func() time.Duration) *Pacer {
	return &Pacer{clock: clock, changed: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// Grant sets the rate, until a time of the pacer's clock at which it lapses to nought.
func (p *Pacer) Grant(rate float64, until time.Duration) {
	p.set(func() { p.bounded, p.until = true, until; p.bucket.SetRate(rate, p.clock()) })
}

// Free lets everything pass.
func (p *Pacer) Free() { p.set(func() { p.bounded = false }) }

func (p *Pacer) set(change func()) {
	p.lock.Lock()
	defer p.lock.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Wait waits for the turn to send one unit. Whoever came first goes first.
func (p *Pacer) Wait(ctx context.Context) error {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	for {
		wait, changed := p.take()
		if wait == 0 {
			return nil
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Pacer) take() (wait time.Duration, changed <-chan struct{}) {
	p.lock.Lock()
	defer p.lock.Unlock()
	now := p.clock()
	if p.bounded {
		if now >= p.until {
			p.bucket.SetRate(0, now)
			return -1, p.changed
		}
		if wait = p.bucket.Take(now); wait != 0 {
			return wait, p.changed
		}
	}
	p.taken.Add(1)
	return 0, nil
}

// Owe counts what a request has beyond the unit that was waited for.
func (p *Pacer) Owe(units int) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.bounded {
		p.bucket.Owe(units)
	}
	p.taken.Add(int64(units))
}

// Refused says that the platform has refused a report for the tenant's rate.
func (p *Pacer) Refused() { p.refused.Add(1) }

// Rate is the rate that is granted now; false if there is no bound.
func (p *Pacer) Rate() (float64, bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.bounded && p.clock() >= p.until {
		return 0, true
	}
	return p.bucket.rate, p.bounded
}
