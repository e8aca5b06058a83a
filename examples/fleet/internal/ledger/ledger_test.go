// How the tenant's rate is divided, and what the pacer makes of a grant.

package ledger_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/ledger"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func TestMaxMinFair(t *testing.T) {
	for _, test := range []struct {
		limit   float64
		demands []float64
		shares  []float64
	}{
		{100, []float64{10, 20, 30}, []float64{10, 20, 30}},
		{100, []float64{200, 200}, []float64{50, 50}},
		{100, []float64{10, 200, 40, 200}, []float64{10, 25 + 20.0/3 - 5.0/3, 30, 30}},
		{90, []float64{0, 100, 20}, []float64{0, 70, 20}},
		{0, []float64{1, 2}, []float64{0, 0}},
		{100, nil, nil},
	} {
		shares := ledger.Fair(test.limit, test.demands)
		for i := range shares {
			if !near(shares[i], test.shares[i]) {
				t.Errorf("%v of %v: %v, not %v", test.demands, test.limit, shares, test.shares)
				break
			}
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		demands := make([]float64, 1+random.IntN(9))
		wanted := 0.0
		for i := range demands {
			demands[i] = float64(random.IntN(100))
			wanted += demands[i]
		}
		shares := ledger.Fair(200, demands)
		sum := 0.0
		for i, share := range shares {
			sum += share
			if share > demands[i] {
				t.Fatalf("%v: %v", demands, shares)
			}
			// Whoever gets less than it wants gets as much as anybody.
			if share < demands[i]-1e-9 && share < slices.Max(shares)-1e-9 {
				t.Fatalf("%v: %v", demands, shares)
			}
		}
		if !near(sum, min(wanted, 200)) {
			t.Fatalf("%v: %v are %v", demands, shares, sum)
		}
	}
}

// fleet is workers with their views of one ledger, and a clock.
type fleet struct {
	record ledger.Record
	views  map[string]*ledger.View
	now    time.Duration
}

func newFleet(limit float64, workers ...string) *fleet {
	f := &fleet{record: ledger.Record{Limit: limit}, views: map[string]*ledger.View{}}
	for _, name := range workers {
		f.views[name] = &ledger.View{}
	}
	return f
}

// turn lets a worker read the ledger and change it.
func (f *fleet) turn(name string, demand float64, refusals uint64) float64 {
	view := f.views[name]
	view.Observe(f.record, f.now)
	f.record = view.Next(f.record, name, demand, refusals, f.now)
	return f.record.Workers[name].Grant
}

func (f *fleet) granted() (sum float64) {
	for _, share := range f.record.Workers {
		sum += share.Grant
	}
	return sum
}

func TestGrantsNeverExceedTheTargetAndSettle(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	f := newFleet(500, "a", "b", "c", "d")
	names := []string{"a", "b", "c", "d"}
	for range 500 {
		f.now += ledger.Turn / 4
		f.turn(names[random.IntN(4)], float64(random.IntN(1000)), 0)
		if sum := f.granted(); sum > 500*ledger.Use+1e-9 {
			t.Fatalf("%v are granted: %+v", sum, f.record)
		}
	}
	demands := map[string]float64{"a": 50, "b": 1000, "c": 1000, "d": 0}
	for range 3 {
		for _, name := range names {
			f.now += ledger.Turn / 4
			f.turn(name, demands[name], 0)
		}
	}
	want := map[string]float64{"a": 50, "b": 217.5, "c": 217.5, "d": 0}
	for name, grant := range want {
		if !near(f.record.Workers[name].Grant, grant) {
			t.Errorf("%s has %v, not %v", name, f.record.Workers[name].Grant, grant)
		}
	}
}

func TestWhatADeadWorkerHadIsSharedAfterItsGrantLapsed(t *testing.T) {
	f := newFleet(100, "a", "b")
	for range 4 {
		f.turn("a", 1000, 0)
		f.turn("b", 1000, 0)
	}
	died := f.now
	for f.now < died+3*time.Second {
		f.now += ledger.Turn
		grant := f.turn("a", 1000, 0)
		_, there := f.record.Workers["b"]
		// The other one has seen the last change a turn after it was made.
		lapsed := f.now-died >= ledger.Lapse+ledger.Turn
		if there == lapsed || lapsed != near(grant, 97) {
			t.Fatalf("%v after the death: %+v", f.now-died, f.record)
		}
	}
	// It comes back, and finds its share at the latest when the other has made room.
	f.turn("b", 1000, 0)
	f.turn("a", 1000, 0)
	if grant := f.turn("b", 1000, 0); !near(grant, 48.5) {
		t.Errorf("it has %v", grant)
	}
}

func TestARefusalSlowsEverybodyForASecond(t *testing.T) {
	f := newFleet(100, "a", "b")
	for range 3 {
		f.turn("a", 1000, 0)
		f.turn("b", 1000, 0)
	}
	f.now += ledger.Turn
	f.turn("a", 1000, 1)
	f.turn("b", 1000, 0)
	f.turn("a", 1000, 0)
	if sum := f.granted(); !near(sum, 97*0.8) {
		t.Errorf("%v are granted after a refusal", sum)
	}
	f.now += ledger.SlowFor
	f.turn("a", 1000, 0)
	f.turn("b", 1000, 0)
	if sum := f.granted(); !near(sum, 97) {
		t.Errorf("%v are granted a second later", sum)
	}
	// Who joins later knows nothing of old refusals.
	f.views["c"] = &ledger.View{}
	f.turn("c", 1000, 0)
	if target := f.views["c"].Target(f.record, f.now); !near(target, 97) {
		t.Errorf("the target of a new worker is %v", target)
	}
}

func TestLeavingGivesTheGrantBack(t *testing.T) {
	f := newFleet(100, "a", "b")
	f.turn("a", 1000, 0)
	f.turn("b", 1000, 0)
	f.record = ledger.Without(f.record, "a")
	if grant := f.turn("b", 1000, 0); !near(grant, 97) {
		t.Errorf("%v", grant)
	}
}

func TestABucketPassesItsRateAndHoldsLittle(t *testing.T) {
	var b ledger.Bucket
	b.SetRate(100, 0)
	now, passed := time.Hour, 0 // an hour of rest
	for b.Take(now) == 0 {
		passed++
	}
	if passed != 10 {
		t.Errorf("%d pass at once after an hour of rest", passed)
	}
	passed = 0
	for end := now + 10*time.Second; now < end; {
		if wait := b.Take(now); wait == 0 {
			passed++
		} else {
			now += wait
		}
	}
	if passed < 999 || passed > 1001 {
		t.Errorf("%d pass in 10 s", passed)
	}
	b.Owe(50)
	if wait := b.Take(now); wait < 490*time.Millisecond || wait > 520*time.Millisecond {
		t.Errorf("after a debt of 50 it waits for %v", wait)
	}
	b.SetRate(0, now)
	if wait := b.Take(now); wait != -1 {
		t.Errorf("without a rate it waits for %v", wait)
	}
}

func TestAGrantThatLapsesStopsThePacer(t *testing.T) {
	now := time.Duration(0)
	pacer := ledger.NewPacer(func() time.Duration { return now })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 1000 { // no grant, no bound
		if err := pacer.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pacer.Grant(1000, ledger.Lapse)
	now = ledger.Lapse - 1
	if err := pacer.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	now = ledger.Lapse
	if rate, bounded := pacer.Rate(); rate != 0 || !bounded {
		t.Errorf("the rate is %v, %v", rate, bounded)
	}
	waited := make(chan error)
	go func() { waited <- pacer.Wait(ctx) }()
	cancel()
	if err := <-waited; err != context.Canceled {
		t.Error(err)
	}
	waited2 := make(chan error)
	go func() { waited2 <- pacer.Wait(t.Context()) }()
	pacer.Free()
	if err := <-waited2; err != nil {
		t.Error(err)
	}
}
