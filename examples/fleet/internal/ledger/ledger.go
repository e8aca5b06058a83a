// Package ledger shares the tenant's rate among the workers: one record, which each of them changes by compare-and-set
// every Turn. This file is the arithmetic, functions on values; pacer.go holds a worker to its grant; keeper.go reads and
// writes the record.
//
// No clock of one worker is compared with another's: a grant is valid for its holder until Lapse after the start of the
// write that confirmed it, and for the others until Lapse after they saw that write, which is later.
package ledger

import (
	"maps"
	"slices"
	"time"
)

const (
	// Turn is the time between two changes by the same worker.
	Turn = 225 * time.Millisecond
	// Lapse is how long a grant is valid without being renewed.
	Lapse = 1500 * time.Millisecond
	// Use is the share of the limit that is granted; the rest is for what the platform counts differently.
	Use = 0.97
	// SlowBy is what all give up after the platform refused a report for the tenant's rate, and SlowFor how long.
	SlowBy  = 0.20
	SlowFor = time.Second
)

// Record is the ledger. Rates are in started 4 KB per second.
type Record struct {
	// Limit is the tenant's rate at the platform; 0 if it is not known, and nobody is held to anything.
	Limit float64 `json:"limit"`
	// Refusals counts how often the platform refused a report for the tenant's rate.
	Refusals uint64 `json:"refusals"`
	// Workers are the shares by the worker's name and instance.
	Workers map[string]Share `json:"workers"`
}

// Share is what a worker has and wants.
type Share struct {
	Demand float64 `json:"demand"`
	Grant  float64 `json:"grant"`
	// Turn counts the worker's changes, so that the others see that it lives.
	Turn uint64 `json:"turn"`
}

// Fair divides a limit max-min fairly: nobody gets more than it demands, and what nobody needs goes in equal parts to
// those who want more.
func Fair(limit float64, demands []float64) []float64 {
	shares := make([]float64, len(demands))
	order := make([]int, len(demands))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case demands[a] < demands[b]:
			return -1
		case demands[a] > demands[b]:
			return 1
		}
		return 0
	})
	left := max(limit, 0)
	for done, i := range order {
		shares[i] = min(max(demands[i], 0), left/float64(len(order)-done))
		left -= shares[i]
	}
	return shares
}

// View is what a worker has seen of the ledger and when, by its own monotonic clock.
type View struct {
	turns    map[string]seen
	refusals uint64
	known    bool
	slow     time.Duration // until when
}

type seen struct {
	turn uint64
	at   time.Duration
}

// Observe takes note of a record that was read at `now`.
func (v *View) Observe(record Record, now time.Duration) {
	if v.turns == nil {
		v.turns = make(map[string]seen)
	}
	for name, share := range record.Workers {
		if last, known := v.turns[name]; !known || last.turn != share.Turn {
			v.turns[name] = seen{share.Turn, now}
		}
	}
	for name := range v.turns {
		if _, there := record.Workers[name]; !there {
			delete(v.turns, name)
		}
	}
	if v.known && record.Refusals != v.refusals {
		v.slow = now + SlowFor
	}
	v.refusals, v.known = record.Refusals, true
}

// Target is what is granted in all at `now`.
func (v *View) Target(record Record, now time.Duration) float64 {
	target := record.Limit * Use
	if now < v.slow {
		target *= 1 - SlowBy
	}
	return target
}

// Next is the record with the change of the worker `me` at `now`, who demands so much and has met so many refusals since
// its last change. The record must have been observed. The grants in it never exceed the target unless they did before.
func (v *View) Next(record Record, me string, demand float64, refusals uint64, now time.Duration) Record {
	next := Record{Limit: record.Limit, Refusals: record.Refusals + refusals, Workers: make(map[string]Share)}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(record.Workers)) {
		if last := v.turns[name]; name == me || now-last.at < Lapse {
			next.Workers[name] = record.Workers[name]
			names = append(names, name)
		}
	}
	mine := next.Workers[me]
	mine.Demand, mine.Turn = demand, mine.Turn+1
	if _, there := next.Workers[me]; !there {
		names = append(names, me)
	}
	next.Workers[me] = mine

	v.Observe(next, now)
	target := v.Target(next, now)
	demands := make([]float64, len(names))
	place, others := 0, 0.0
	for i, name := range names {
		demands[i] = next.Workers[name].Demand
		if name == me {
			place = i
		} else {
			others += next.Workers[name].Grant
		}
	}
	shares := Fair(target, demands)
	spare := target
	for _, share := range shares {
		spare -= share
	}
	// What nobody demands is divided too: a burst then begins at once, and not a turn later.
	mine.Grant = max(min(shares[place]+spare/float64(len(names)), target-others), 0)
	next.Workers[me] = mine
	return next
}

// Without is the record after a worker has left.
func Without(record Record, me string) Record {
	next := record
	next.Workers = maps.Clone(record.Workers)
	delete(next.Workers, me)
	return next
}
