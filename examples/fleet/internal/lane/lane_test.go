// What a lane sends next, after each outcome.

package lane_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/lane"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

func properties(sequence int, padding int) lane.Item {
	body := fmt.Sprintf(`{"services":[{"service_id":"s","properties":{"n":%d,"x":%q}}]}`, sequence, strings.Repeat("x", padding))
	return lane.Item{Kind: report.Properties, Sequence: uint64(sequence), Body: []byte(body), Stored: time.Unix(1_700_000_000, 0)}
}

func TestPropertiesShareARequestWithinOneUnit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l lane.Lane
	const count = 500
	for i := range count {
		l.Push(properties(i, random.IntN(600)))
	}
	var arrived []int
	requests := 0
	for l.Len() > 0 {
		waiting := l.Len()
		run, body := l.Next()
		if len(body) > report.Unit {
			t.Fatalf("%d bytes in one request", len(body))
		}
		var whole struct {
			Services []struct {
				Properties struct{ N int }
				EventTime  string `json:"event_time"`
			}
		}
		if err := json.Unmarshal(body, &whole); err != nil {
			t.Fatal(err)
		}
		if len(whole.Services) != len(run) || l.Len() != waiting {
			t.Fatalf("%d entries of %d reports; %d of %d wait", len(whole.Services), len(run), l.Len(), waiting)
		}
		for _, service := range whole.Services {
			arrived = append(arrived, service.Properties.N)
			if service.EventTime != "2023-11-14T22:13:20.000Z" {
				t.Fatalf("the event time is %q", service.EventTime)
			}
		}
		l.Done(len(run))
		requests++
	}
	for i, n := range arrived {
		if n != i {
			t.Fatalf("%d came as number %d", n, i)
		}
	}
	if len(arrived) != count || requests > 60 { // 370 bytes on average: ten and more in 4 KB
		t.Errorf("%d reports in %d requests", len(arrived), requests)
	}
}

func TestKindsAreNotMixed(t *testing.T) {
	var l lane.Lane
	l.Push(properties(1, 0))
	l.Push(properties(2, 0))
	l.Push(lane.Item{Kind: report.Message, Body: []byte("hello")})
	l.Push(properties(3, 0))
	l.Push(lane.Item{Kind: report.Batch, Body: []byte(`{"devices":[]}`)})
	l.Push(lane.Item{Kind: report.Batch, Body: []byte(`{"devices":[]}`)})
	var runs []int
	for l.Len() > 0 {
		run, body := l.Next()
		if run[0].Kind != report.Properties && string(body) != string(run[0].Body) {
			t.Errorf("%s became %s", run[0].Body, body)
		}
		runs = append(runs, len(run))
		l.Done(len(run))
	}
	if got := fmt.Sprint(runs); got != "[2 1 1 1 1]" {
		t.Error(got)
	}
}

func TestALargeReportGoesAlone(t *testing.T) {
	var l lane.Lane
	l.Push(properties(1, 10_000))
	l.Push(properties(2, 0))
	if run, body := l.Next(); len(run) != 1 || len(body) < 10_000 {
		t.Errorf("%d reports of %d bytes", len(run), len(body))
	}
}

// Of reports that are refused together each is sent alone, until all of them have been; those behind them share again.
func TestTheBadOneIsSearchedInOrder(t *testing.T) {
	var l lane.Lane
	for i := range 4 {
		l.Push(properties(i, 0))
	}
	run, _ := l.Next()
	if len(run) != 4 || !l.Refused(4) {
		t.Fatal(len(run))
	}
	l.Push(properties(4, 0))
	l.Push(properties(5, 0))
	for want := range 4 {
		run, _ := l.Next()
		if len(run) != 1 || run[0].Sequence != uint64(want) {
			t.Fatalf("%d reports from %d on, instead of number %d alone", len(run), run[0].Sequence, want)
		}
		if l.Refused(1) {
			t.Fatal("one report is searched")
		}
		l.Failed(0, 0) // a failure in between does not end the search
		l.Done(1)
	}
	if run, _ := l.Next(); len(run) != 2 {
		t.Errorf("%d reports share a request after the search", len(run))
	}
}

func TestWhatIsNoBodyGoesAloneAsItIs(t *testing.T) {
	var l lane.Lane
	l.Push(lane.Item{Kind: report.Properties, Body: []byte(`{"services":`)})
	l.Push(properties(1, 0))
	if run, body := l.Next(); len(run) != 1 || string(body) != `{"services":` {
		t.Errorf("%d, %s", len(run), body)
	}
	l.Done(1)
	l.Push(lane.Item{Kind: report.Properties, Body: []byte(`nothing`)})
	if run, _ := l.Next(); len(run) != 1 || run[0].Sequence != 1 {
		t.Errorf("%+v", run)
	}
}

func TestPausesGrowAndAreObeyed(t *testing.T) {
	var l lane.Lane
	l.Push(properties(1, 0))
	last := time.Duration(0)
	for i := range 40 {
		pause := l.Failed(0, 0.999)
		if pause < last || pause > 5*time.Second {
			t.Fatalf("pause %d is %v after %v", i, pause, last)
		}
		last = pause
	}
	if last < 4*time.Second {
		t.Errorf("the longest pause is %v", last)
	}
	if pause := l.Failed(0, 0); pause <= 0 {
		t.Errorf("a pause of %v", pause)
	}
	if pause := l.Failed(7*time.Second, 0.1); pause != 7*time.Second {
		t.Errorf("the platform asked for 7 s, and the pause is %v", pause)
	}
	l.Done(1)
	if l.Failures() != 0 {
		t.Error("a success leaves failures")
	}
}

func TestTheRestOfABatch(t *testing.T) {
	var l lane.Lane
	l.Push(lane.Item{Kind: report.Batch, Body: []byte("all"), Sequence: 9})
	l.Rest([]byte("rest"))
	if run, body := l.Next(); string(body) != "rest" || run[0].Sequence != 9 {
		t.Errorf("%s of %+v", body, run)
	}
}

func TestWhatIsKnownToBeBadGoesAlone(t *testing.T) {
	var l lane.Lane
	for i := range 5 {
		item := properties(i, 0)
		if i == 2 {
			item.Refused = errors.New("bad")
		}
		l.Push(item)
	}
	var runs []int
	for l.Len() > 0 {
		run, _ := l.Next()
		runs = append(runs, len(run))
		l.Done(len(run))
	}
	if got := fmt.Sprint(runs); got != "[2 1 2]" {
		t.Error(got)
	}
}
