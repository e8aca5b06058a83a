// What a trial has shown, from the records of the stand-in platform and the traces of the workers.

package trial

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/standin"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

// Verdict is what a trial has shown.
type Verdict struct {
	Published, Arrived int
	// Missing reports never arrived, Inverted ones arrived before an earlier one of their device.
	Missing, Inverted int
	// Duplicates arrived more than once; DuplicateRequests are the requests that held any.
	Duplicates, DuplicateRequests int
	// Needless duplicates were not in flight: the epoch in which they arrived first went on to later reports of the device,
	// so that their acknowledgement was confirmed. There are none unless NATS loses a leader: a confirmed acknowledgement is
	// the consumer's, and the stream removes the report a moment later.
	Needless int
	// Overlaps are requests of an epoch that were accepted after one of a later epoch of the same device.
	Overlaps int
	// FirstOverlap describes the first of them; empty if there is none.
	FirstOverlap string
	// Unknown requests could not be traced to an epoch, since two workers have sent the same.
	Unknown int
	// Requests are those that were accepted; Refused those that were refused, but for bad reports.
	Requests, Refused, RefusedBad int
	// Bad reports were published, and DeadLetters are kept.
	Bad, DeadLetters int
	Authentications  int
	// First and Last are when the first and the last request were received, in Unix milliseconds.
	First, Last int64
	// Steady is how many requests were received in a second while all workers had work: from the end of the first tenth,
	// when they have shared the partitions, to that of the seventh, before one has none left.
	Steady float64
}

func (v Verdict) String() string {
	return fmt.Sprintf("%d published, %d arrived in %d requests: %d missing, %d inverted, %d overlaps, %d duplicates (in %d requests, %d needless), "+
		"%d dead letters of %d bad reports%s", v.Published, v.Arrived, v.Requests, v.Missing, v.Inverted, v.Overlaps,
		v.Duplicates, v.DuplicateRequests, v.Needless, v.DeadLetters, v.Bad, v.FirstOverlap)
}

// Err is an error if anything is missing, inverted, or sent by two workers at a time, or if there is another number of dead
// letters than of bad reports.
func (v Verdict) Err() error {
	if v.Missing+v.Inverted+v.Overlaps > 0 || v.Bad != v.DeadLetters {
		return fmt.Errorf("%v", v)
	}
	return nil
}

// sent is a body of a device, as traces and the platform's record have it.
type sent struct {
	device string
	body   uint64
}

// served is a device in an epoch of its partition.
type served struct {
	device string
	epoch  uint64
}

// Verify compares what was published, what the workers said that they were about to send, and what the platform accepted.
func (f *Field) Verify(ctx context.Context) (v Verdict, err error) {
	letters, err := f.Stream.Stream(ctx, broker.DeadLetters)
	if err != nil {
		return v, err
	}
	v.DeadLetters = int(letters.CachedInfo().State.Msgs)
	traces, last, err := f.traces()
	if err != nil {
		return v, err
	}
	requests, err := f.requests(&v)
	if err != nil {
		return v, err
	}
	owners := ownersOf(requests, traces)

	good, bad := f.published.snapshot()
	v.Published, v.Bad = bad, bad
	highest, epoch := make(map[string]int), make(map[string]uint64)
	seen := make(map[string]map[int]bool) // of each device's reports that arrived: whether they may come again
	for _, request := range requests {
		numbers, err := numbersOf(request)
		if err != nil {
			return v, err
		}
		traced := traces[sent{request.Device, worker.Hash([]byte(request.Body))}]
		of, known := epochOf(traced, owners[request.Connection], epoch[request.Device])
		inFlight := !known || of.First == last[served{request.Device, of.Epoch}]
		duplicates := 0
		device := seen[request.Device]
		if device == nil {
			device = make(map[int]bool)
			seen[request.Device] = device
		}
		for _, n := range numbers {
			v.Arrived++
			before, again := device[n]
			switch {
			case again:
				duplicates++
				if !before {
					v.Needless++
				}
			case n < highest[request.Device]:
				v.Inverted++
			default:
				highest[request.Device] = n
			}
			device[n] = inFlight
		}
		if v.Duplicates += duplicates; duplicates > 0 {
			v.DuplicateRequests++
		}
		switch {
		case !known:
			v.Unknown++
		case of.Epoch < epoch[request.Device]:
			if v.Overlaps++; v.Overlaps == 1 {
				v.FirstOverlap = fmt.Sprintf("; the first overlap: %s, reports %v of epoch %d after one of epoch %d, over connection %d of %q; sent by %+v",
					request.Device, numbers, of.Epoch, epoch[request.Device], request.Connection, owners[request.Connection], traced)
			}
		default:
			epoch[request.Device] = of.Epoch
		}
	}
	for device, count := range good {
		v.Published += count
		for n := range count {
			if _, arrived := seen[device][n]; !arrived {
				v.Missing++
			}
		}
	}
	return v, nil
}

// epochOf is the trace of a request, with its epoch: of the worker whose connection it came over, or of any if that is not known. Of several it
// is the lowest that is not over, `least` or later; if all are over, the latest, which the caller counts as an overlap.
func epochOf(traced []worker.Traced, owner string, least uint64) (of worker.Traced, known bool) {
	for _, each := range traced {
		if owner != "" && each.Owner != owner {
			continue
		}
		// The same worker may have sent it in several epochs.
		fits, fitted := each.Epoch >= least, known && of.Epoch >= least
		if !known || fits && (!fitted || each.Epoch < of.Epoch) || !fits && !fitted && each.Epoch > of.Epoch {
			of, known = each, true
		}
	}
	return of, known
}

// ownersOf finds which worker each connection is of: the one that has sent all that came over it.
func ownersOf(requests []standin.Request, traces map[sent][]worker.Traced) map[uint64]string {
	possible := make(map[uint64]map[string]bool)
	for _, request := range requests {
		here := make(map[string]bool)
		for _, each := range traces[sent{request.Device, worker.Hash([]byte(request.Body))}] {
			here[each.Owner] = true
		}
		before, known := possible[request.Connection]
		if known {
			for owner := range before {
				if !here[owner] {
					delete(before, owner)
				}
			}
		} else {
			possible[request.Connection] = here
		}
	}
	owners := make(map[uint64]string)
	for connection, names := range possible {
		if len(names) == 1 {
			for owner := range names {
				owners[connection] = owner
			}
		}
	}
	return owners
}

func numbersOf(request standin.Request) (numbers []int, err error) {
	if request.Call == "message" {
		var body struct{ N int }
		err = json.Unmarshal([]byte(request.Body), &body)
		return []int{body.N}, err
	}
	var body struct {
		Services []struct{ Properties struct{ N int } }
	}
	err = json.Unmarshal([]byte(request.Body), &body)
	for _, service := range body.Services {
		numbers = append(numbers, service.Properties.N)
	}
	return numbers, err
}

// requests reads the platform's record: the accepted reports in the order in which they were decided.
func (f *Field) requests(v *Verdict) (accepted []standin.Request, err error) {
	err = lines(f.path("requests"), func(line []byte) error {
		var request standin.Request
		if err := json.Unmarshal(line, &request); err != nil {
			return err
		}
		switch {
		case request.Call == "auth":
			v.Authentications++
		case request.Status == 200:
			if v.First == 0 {
				v.First = request.ReceivedAt
			}
			v.Last = request.ReceivedAt
			accepted = append(accepted, request)
		case strings.Contains(request.Body, `"bad"`):
			v.RefusedBad++
		default:
			v.Refused++
		}
		return nil
	})
	v.Requests, v.Steady = len(accepted), steady(accepted)
	return accepted, err
}

// steady is 0 where too few requests were received, or all in one millisecond.
func steady(accepted []standin.Request) float64 {
	begin, end := len(accepted)/10, len(accepted)*7/10
	if begin == 0 || accepted[end].ReceivedAt <= accepted[begin].ReceivedAt {
		return 0
	}
	return float64(end-begin) * 1000 / float64(accepted[end].ReceivedAt-accepted[begin].ReceivedAt)
}

// traces reads what the workers were about to send: who has sent each body, and how far each epoch came, by the stream's
// sequence with which its last request began.
func (f *Field) traces() (traces map[sent][]worker.Traced, last map[served]uint64, err error) {
	files, err := filepath.Glob(f.path("*.trace"))
	if err != nil {
		return nil, nil, err
	}
	traces, last = make(map[sent][]worker.Traced), make(map[served]uint64)
	for _, file := range files {
		err := lines(file, func(line []byte) error {
			var traced worker.Traced
			if err := json.Unmarshal(line, &traced); err != nil {
				return nil // cut off by a kill
			}
			key := sent{traced.Device, traced.Body}
			traces[key] = append(traces[key], traced)
			reached := served{traced.Device, traced.Epoch}
			last[reached] = max(last[reached], traced.First)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return traces, last, nil
}

func lines(path string, each func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		if err := each(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
}
