// Package metrics counts, and writes what was counted as Prometheus reads it (text format 0.0.4).
//
// It is written by hand: counters, gauges and one histogram are a hundred lines, where the official client brings eleven
// modules and protocol buffers along.
package metrics

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Set is a set of metrics in the order in which they were made.
type Set struct {
	lock    sync.Mutex
	metrics []metric
}

type metric interface{ write(out io.Writer) }

func (s *Set) add(m metric) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.metrics = append(s.metrics, m)
}

// Write writes all metrics.
func (s *Set) Write(out io.Writer) error {
	s.lock.Lock()
	metrics := slices.Clone(s.metrics)
	s.lock.Unlock()
	buffered := bufio.NewWriter(out)
	for _, m := range metrics {
		m.write(buffered)
	}
	return buffered.Flush()
}

func header(out io.Writer, name, help, kind string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// Counter only grows.
type Counter struct {
	name, help string
	value      atomic.Uint64
}

// Counter makes a counter.
func (s *Set) Counter(name, help string) *Counter {
	c := &Counter{name: name, help: help}
	s.add(c)
	return c
}

// Add adds.
func (c *Counter) Add(n int) { c.value.Add(uint64(n)) }

// Value is the count.
func (c *Counter) Value() uint64 { return c.value.Load() }

func (c *Counter) write(out io.Writer) {
	header(out, c.name, c.help, "counter")
	fmt.Fprintf(out, "%s %d\n", c.name, c.value.Load())
}

// Counters are counters that differ by the value of one label.
type Counters struct {
	name, help, label string
	lock              sync.Mutex
	values            map[string]uint64
}

// Counters makes counters with a label.
func (s *Set) Counters(name, help, label string) *Counters {
	c := &Counters{name: name, help: help, label: label, values: make(map[string]uint64)}
	s.add(c)
	return c
}

// Add adds to the counter of a label's value.
func (c *Counters) Add(value string, n int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.values[value] += uint64(n)
}

// Value is the count of a label's value.
func (c *Counters) Value(value string) uint64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.values[value]
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (c *Counters) write(out io.Writer) {
	c.lock.Lock()
	values := maps.Clone(c.values)
	c.lock.Unlock()
	header(out, c.name, c.help, "counter")
	for _, value := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(out, "%s{%s=\"%s\"} %d\n", c.name, c.label, escaper.Replace(value), values[value])
	}
}

type gauge struct {
	name, help string
	read       func() float64
}

// Gauge makes a gauge, which is read when the metrics are written.
func (s *Set) Gauge(name, help string, read func() float64) { s.add(&gauge{name, help, read}) }

func (g *gauge) write(out io.Writer) {
	header(out, g.name, g.help, "gauge")
	fmt.Fprintf(out, "%s %s\n", g.name, number(g.read()))
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// bounds are the upper bounds of a histogram's buckets, in seconds.
var bounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Histogram counts durations.
type Histogram struct {
	name, help string
	buckets    [len(bounds) + 1]atomic.Uint64
	sum        atomic.Int64 // nanoseconds
}

// Histogram makes a histogram of durations in seconds.
func (s *Set) Histogram(name, help string) *Histogram {
	h := &Histogram{name: name, help: help}
	s.add(h)
	return h
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	place, _ := slices.BinarySearch(bounds[:], d.Seconds())
	h.buckets[place].Add(1)
	h.sum.Add(int64(d))
}

func (h *Histogram) write(out io.Writer) {
	header(out, h.name, h.help, "histogram")
	count := uint64(0)
	for i := range h.buckets {
		count += h.buckets[i].Load()
		bound := "+Inf"
		if i < len(bounds) {
			bound = number(bounds[i])
		}
		fmt.Fprintf(out, "%s_bucket{le=\"%s\"} %d\n", h.name, bound, count)
	}
	fmt.Fprintf(out, "%s_sum %s\n%s_count %d\n", h.name, number(time.Duration(h.sum.Load()).Seconds()), h.name, count)
}
