// Package lane keeps the reports of one device in their order: one request at a time, several reports in it where the
// platform's rate counts them as one, and what cannot be delivered now at the head until it can. It holds values: the
// requests are made, and the outcomes found, by internal/worker.
package lane

import (
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// Item is a report that waits.
type Item struct {
	Kind report.Kind
	// Sequence is its place in the stream.
	Sequence uint64
	// Reply is where it is acknowledged.
	Reply string
	// Body is as it was published. After a batch of which some children were delivered it holds the others.
	Body []byte
	// Size is the length of the body as it was published.
	Size int
	// Stored is when the stream received it.
	Stored time.Time
	// Refused says why the platform would refuse it, if that is known beforehand: it goes alone.
	Refused error

	// entries is the inside of a body of properties, nil until it is needed; alone says that there is none.
	entries []byte
	alone   bool
}

// Lane is the queue of one device. Not for several goroutines at a time.
type Lane struct {
	items []Item
	// How many at the head are sent one by one, since the platform refused them together.
	single int
	// How many requests in a row have failed.
	failures int
}

// Push puts a report at the end.
func (l *Lane) Push(item Item) { l.items = append(l.items, item) }

// Len is how many reports wait.
func (l *Lane) Len() int { return len(l.items) }

// Failures is how many requests in a row have failed.
func (l *Lane) Failures() int { return l.failures }

// Next is the next request: the reports in it, which stay in the lane, and its body. nil if none wait. Property reports
// that follow each other share a request as long as it counts as one against the rate.
func (l *Lane) Next() (run []Item, body []byte) {
	if len(l.items) == 0 {
		return nil, nil
	}
	first := &l.items[0]
	if !first.joins() {
		return l.items[:1], first.Body
	}
	parts := [][]byte{first.entries}
	size := report.Joined(len(first.entries))
	if l.single == 0 {
		for i := 1; i < len(l.items) && l.items[i].joins(); i++ {
			more := size + 1 + len(l.items[i].entries)
			if more > report.Unit {
				break
			}
			parts, size = append(parts, l.items[i].entries), more
		}
	}
	return l.items[:len(parts)], report.Join(parts...)
}

// joins reports whether a report can share a request.
func (i *Item) joins() bool {
	if i.Kind != report.Properties || i.Refused != nil || i.alone {
		return false
	}
	if i.entries == nil {
		entries, err := report.Entries(i.Body, i.Stored)
		if err != nil {
			i.alone = true // it is sent as it is, for the library to say what is wrong
			return false
		}
		i.entries = entries
	}
	return true
}

// Done takes the first reports out: they were delivered, or are dead letters.
func (l *Lane) Done(count int) {
	clear(l.items[:count]) // for the garbage collector
	l.items = l.items[count:]
	if len(l.items) == 0 {
		l.items = nil
	}
	l.single = max(l.single-count, 0)
	l.failures = 0
}

// Refused says that the platform refused the data of the first reports. If there are several, they are sent one by one
// from now on, in their order, to find the bad one; false if there is only one, which is then known to be it.
func (l *Lane) Refused(count int) (search bool) {
	if count > 1 {
		l.single = count
	}
	return count > 1
}

// Rest replaces the first report's body by what of it is still to be delivered.
func (l *Lane) Rest(body []byte) { l.items[0].Body = body }

const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// Failed says that a request failed for a reason that may pass, and returns how long to wait: as long as the platform
// asked for, or else a random time (`random` is in [0, 1)) below a bound that doubles with every failure, "full jitter".
func (l *Lane) Failed(retryAfter time.Duration, random float64) time.Duration {
	l.failures++
	if retryAfter > 0 {
		return retryAfter
	}
	bound := longestPause
	if doublings := l.failures - 1; doublings < 5 {
		bound = min(firstPause<<doublings, longestPause)
	}
	return max(time.Duration(random*float64(bound)), time.Millisecond)
}
