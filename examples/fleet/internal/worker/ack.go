// Acknowledgements: each is sent until the server has confirmed it. What was not confirmed is acknowledged when it comes
// again.

package worker

import (
	"context"
	"sync"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/lane"
)

const (
	// ackTimeout is how long an acknowledgement waits for its confirmation before it is sent again.
	ackTimeout = time.Second
	// ackPause is the pause after one that failed at once, as while a stream has no leader.
	ackPause = 50 * time.Millisecond
)

// confirm acknowledges reports until the server has confirmed each, or ctx ends. It returns how many were confirmed; the
// others are kept in `unconfirmed` and acknowledged when they come again. A plain acknowledgement is lost with a leader:
// then the report would stay until AckWait is over.
func (w *Worker) confirm(ctx context.Context, run []lane.Item, unconfirmed *sequences) (confirmed int) {
	if len(run) == 1 { // no goroutine for the usual case
		if w.confirmOne(ctx, run[0].Reply) {
			return 1
		}
		unconfirmed.add(run[0].Sequence)
		return 0
	}
	var waiting sync.WaitGroup
	results := make([]bool, len(run))
	for i := range run {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			results[i] = w.confirmOne(ctx, run[i].Reply)
		}()
	}
	waiting.Wait()
	for i, ok := range results {
		if ok {
			confirmed++
		} else {
			unconfirmed.add(run[i].Sequence)
		}
	}
	return confirmed
}

var ack = []byte("+ACK")

func (w *Worker) confirmOne(ctx context.Context, reply string) bool {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, ackTimeout)
		_, err := w.config.Connection.RequestWithContext(once, reply, ack)
		cancel()
		if err == nil {
			return true
		}
		w.counters.failures.Add("acknowledgement", 1)
		select {
		case <-time.After(ackPause):
		case <-ctx.Done():
		}
	}
	return false
}

// sequences is a set of places in the stream.
type sequences struct {
	lock sync.Mutex
	set  map[uint64]struct{}
}

func (s *sequences) add(sequence uint64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.set == nil {
		s.set = make(map[uint64]struct{})
	}
	s.set[sequence] = struct{}{}
}

func (s *sequences) has(sequence uint64) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	_, has := s.set[sequence]
	return has
}

func (s *sequences) remove(sequence uint64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.set, sequence)
}

func (s *sequences) clear() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.set = nil
}
