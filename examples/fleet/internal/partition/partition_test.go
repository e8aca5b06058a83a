// Decisions of several workers: they end with a fair share for each.

package partition_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

func TestQuotasAddUpToAllPartitions(t *testing.T) {
	for partitions := 1; partitions <= 33; partitions++ {
		for workers := 1; workers <= 40; workers++ {
			var names []string
			for i := range workers {
				names = append(names, fmt.Sprintf("w%d", (i*7)%workers)) // in no order; 7 and 14 repeat names
			}
			distinct := slices.Compact(slices.Sorted(slices.Values(names)))
			sum, least, most := 0, partitions, 0
			for _, name := range distinct {
				quota := partition.Quota(names, name, partitions)
				sum, least, most = sum+quota, min(least, quota), max(most, quota)
			}
			if sum != partitions || most-least > 1 {
				t.Fatalf("%d workers share %d partitions: %d in all, from %d to %d", len(distinct), partitions, sum, least, most)
			}
		}
	}
	if partition.Quota([]string{"a"}, "b", 16) != 0 || partition.Quota(nil, "a", 16) != 0 {
		t.Error("who is not there has a quota")
	}
}

// Workers that decide one after the other, in any order, with any of them dying, joining and leaving, come to rest with
// every partition served by a live worker and nobody above the quota.
func TestDecisionsComeToRest(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		table := make([]partition.Record, 1+random.IntN(32))
		var live partition.Live
		next := 0
		for range 20 {
			switch random.IntN(4) {
			case 0, 1:
				next++
				live.Serving = append(live.Serving, fmt.Sprintf("w%d/%d", random.IntN(3), next))
			case 2: // dies
				if len(live.Serving) > 1 {
					place := random.IntN(len(live.Serving))
					live.Serving = slices.Delete(live.Serving, place, place+1)
				}
			case 3: // leaves
				if len(live.Serving) > 1 {
					live.Leaving = append(live.Leaving, live.Serving[0])
					live.Serving = live.Serving[1:]
				}
			}
			if len(live.Serving) == 0 {
				continue
			}
			for range random.IntN(5) {
				everybody := append(slices.Clone(live.Serving), live.Leaving...)
				apply(t, everybody[random.IntN(len(everybody))], live, table)
			}
		}
		for range 3 {
			for _, worker := range append(slices.Clone(live.Leaving), live.Serving...) {
				apply(t, worker, live, table)
			}
		}
		counts := map[string]int{}
		for _, record := range table {
			counts[record.Owner]++
		}
		for _, worker := range live.Serving {
			if quota := partition.Quota(live.Serving, worker, len(table)); counts[worker] != quota {
				t.Fatalf("seed %d: %s has %d of its %d: %+v", seed, worker, counts[worker], quota, table)
			}
			if again := partition.Decide(worker, live, table); again.Release != nil || again.Take != nil {
				t.Fatalf("seed %d: %s goes on: %+v", seed, worker, again)
			}
		}
	}
}

// apply carries a decision out, and checks that it takes nothing from a live worker.
func apply(t *testing.T, worker string, live partition.Live, table []partition.Record) {
	t.Helper()
	decision := partition.Decide(worker, live, table)
	for _, p := range decision.Release {
		if table[p].Owner != worker {
			t.Fatalf("%s releases partition %d of %q", worker, p, table[p].Owner)
		}
		table[p].Owner = ""
	}
	for _, p := range decision.Take {
		owner := table[p].Owner
		if slices.Contains(live.Serving, owner) || slices.Contains(live.Leaving, owner) {
			t.Fatalf("%s takes partition %d of %s, who lives", worker, p, owner)
		}
		table[p] = partition.Record{Owner: worker, Epoch: table[p].Epoch + 1}
	}
}

func TestAnotherInstanceOfTheSameNameIsDead(t *testing.T) {
	table := []partition.Record{{Owner: "a/1"}, {Owner: "b/1"}}
	live := partition.Live{Serving: []string{"a/2", "b/1"}}
	if got := partition.Decide("a/2", live, table); !slices.Equal(got.Take, []int{0}) {
		t.Errorf("%+v", got)
	}
}

func TestKeysAreThoseOfPartitions(t *testing.T) {
	for p := range 32 {
		if got, ok := partition.ParseKey(partition.Key(p), 32); !ok || got != p {
			t.Errorf("%d became %d, %v", p, got, ok)
		}
	}
	for _, key := range []string{"", "p", "p32", "p-1", "p01", "p1x", "q1"} {
		if p, ok := partition.ParseKey(key, 32); ok {
			t.Errorf("%q is partition %d", key, p)
		}
	}
}
