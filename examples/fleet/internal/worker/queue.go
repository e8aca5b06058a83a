// The lanes that have something to send.

package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// queue is the lanes that have something to send, in the order in which they got it: each device has its turn. For any
// number of goroutines.
type queue struct {
	held atomic.Int64 // lanes that wait before they are tried again

	lock   sync.Mutex
	filled *sync.Cond
	lanes  []*deviceLane
	first  int
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled = sync.NewCond(&q.lock)
	return q
}

func (q *queue) add(l *deviceLane) {
	q.lock.Lock()
	defer q.lock.Unlock()
	if q.first > 1024 && q.first*2 > len(q.lanes) { // what was taken makes way
		moved := copy(q.lanes, q.lanes[q.first:])
		clear(q.lanes[moved:])
		q.lanes, q.first = q.lanes[:moved], 0
	}
	q.lanes = append(q.lanes, l)
	q.filled.Signal()
}

// addLater adds a lane after a pause.
func (q *queue) addLater(l *deviceLane, pause time.Duration) {
	q.held.Add(1)
	time.AfterFunc(pause, func() {
		q.held.Add(-1)
		q.add(l)
	})
}

// take takes the first lane; nil when the queue is closed.
func (q *queue) take() *deviceLane {
	q.lock.Lock()
	defer q.lock.Unlock()
	for q.first == len(q.lanes) && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return nil
	}
	l := q.lanes[q.first]
	q.lanes[q.first] = nil
	q.first++
	return l
}

func (q *queue) close() {
	q.lock.Lock()
	defer q.lock.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
