// Package partition decides which worker serves which partition. It holds functions on values: who lives and what the
// table says is read elsewhere, and what is decided here is carried out elsewhere (internal/worker).
package partition

import (
	"fmt"
	"slices"
)

// Record is a partition's entry in the bucket `parts`. It is changed by compare-and-set alone.
type Record struct {
	// Owner is the worker that serves the partition, by its name and instance; "" if nobody does.
	Owner string `json:"owner"`
	// Epoch counts how often the partition was taken. It never falls.
	Epoch uint64 `json:"epoch"`
	// Consumer is the JetStream consumer of the last epoch.
	Consumer string `json:"consumer"`
}

// ConsumerName is the name of an epoch's consumer. Whoever reads by an earlier name reads nothing: that consumer is gone.
func ConsumerName(partition int, epoch uint64) string {
	return fmt.Sprintf("p%d-e%d", partition, epoch)
}

// Key is the partition's key in the bucket `parts`.
func Key(partition int) string { return fmt.Sprintf("p%d", partition) }

// ParseKey is the partition of a key, and whether it is one of so many.
func ParseKey(key string, partitions int) (int, bool) {
	var partition int
	if _, err := fmt.Sscanf(key, "p%d", &partition); err != nil || key != Key(partition) {
		return 0, false
	}
	return partition, partition >= 0 && partition < partitions
}

// Quota is how many of the partitions a worker serves when these do: the same number each, and the first ones by name
// one more if it does not come out even. 0 if the worker is not among them.
func Quota(workers []string, worker string, partitions int) int {
	sorted := slices.Clone(workers)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	place, found := slices.BinarySearch(sorted, worker)
	if !found {
		return 0
	}
	quota := partitions / len(sorted)
	if place < partitions%len(sorted) {
		quota++
	}
	return quota
}

// Live says who is there.
type Live struct {
	// Serving are the workers that take partitions.
	Serving []string
	// Leaving are those that still have some and take no more.
	Leaving []string
}

func (l Live) has(owner string) bool {
	return slices.Contains(l.Serving, owner) || slices.Contains(l.Leaving, owner)
}

// Decision is what a worker does next.
type Decision struct {
	// Release are partitions that it serves and hands over.
	Release []int
	// Take are partitions that are free, or whose owner is dead.
	Take []int
}

// Decide derives from the table and from who lives what `worker` releases and takes. All workers decide by the same rule
// and without asking each other: where two want the same partition, the compare-and-set decides.
func Decide(worker string, live Live, table []Record) Decision {
	var mine, open []int
	for partition, record := range table {
		switch {
		case record.Owner == worker:
			mine = append(mine, partition)
		case record.Owner == "" || !live.has(record.Owner):
			open = append(open, partition)
		}
	}
	quota := Quota(live.Serving, worker, len(table))
	if len(mine) > quota {
		return Decision{Release: mine[quota:]}
	}
	wanted := min(quota-len(mine), len(open))
	if wanted == 0 {
		return Decision{}
	}
	// Each worker begins somewhere else, so that they seldom want the same.
	sorted := slices.Clone(live.Serving)
	slices.Sort(sorted)
	place, _ := slices.BinarySearch(sorted, worker)
	first := place * len(open) / len(sorted)
	take := make([]int, 0, wanted)
	for i := range wanted {
		take = append(take, open[(first+i)%len(open)])
	}
	return Decision{Take: take}
}
