// Package cost holds what the Go programs of the comparison share: their settings, the values that they report, and
// the line with which they say what the reports cost them. The jobs and settings are those of ../../bench.h.
package cost

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The property report of the platform's documentation: 123 bytes, and the time in it.
const (
	Text = `{"services":[{"service_id":"serviceId","properties":{"Height":124,"Speed":23.24},` +
		`"event_time":"2021-08-13T10:10:10.555Z"}]}`
	TimeMS = 1628849410555
)

// Arguments reads the command line: a job, how often it is to be done, and the number beside that, or 0.
func Arguments() (job string, count, size int) {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		log.Fatal("usage: PROGRAM JOB COUNT [SIZE]")
	}
	var numbers [2]int
	for i, argument := range os.Args[2:] {
		number, err := strconv.Atoi(argument)
		if err != nil {
			log.Fatal(err)
		}
		numbers[i] = number
	}
	return os.Args[1], numbers[0], numbers[1]
}

// Setting reads a variable of the environment.
func Setting(name string) string {
	value, ok := os.LookupEnv(name)
	if !ok {
		log.Fatalf("%s is not set", name)
	}
	return value
}

// Children returns the ids of so many child devices.
func Children(count int) []string {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprintf("child_%06d", i)
	}
	return ids
}

// Message returns so many bytes: the alphabet, again and again.
func Message(size int) []byte {
	message := make([]byte, size)
	for i := range message {
		message[i] = 'a' + byte(i%26)
	}
	return message
}

// Of does something so many times, and prints what it cost.
func Of(once func() error, count int) error {
	begin := now()
	for range count {
		if err := once(); err != nil {
			return err
		}
	}
	end := now()
	fmt.Printf("wall_us=%d cpu_us=%d peak_kb=%d allocs=%d alloc_bytes=%d\n",
		end.wall.Sub(begin.wall).Microseconds(), (end.cpu - begin.cpu).Microseconds(), peak(),
		end.heap.Mallocs-begin.heap.Mallocs, end.heap.TotalAlloc-begin.heap.TotalAlloc)
	return nil
}

// Each is what one of several took: time, and processor time of all threads. In µs.
type Each struct{ Wall, CPU float64 }

// OfEach returns what each of so many took that are done at once.
func OfEach(all func() error, count int) (Each, error) {
	begin, used := time.Now(), processorTime()
	if err := all(); err != nil {
		return Each{}, err
	}
	used = processorTime() - used
	return Each{microseconds(time.Since(begin), count), microseconds(used, count)}, nil
}

func microseconds(d time.Duration, count int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(count)
}

// A mark is a point in time, and what the process has used until then.
type mark struct {
	wall time.Time
	cpu  time.Duration // of all threads
	heap runtime.MemStats
}

func now() mark {
	var m mark
	runtime.ReadMemStats(&m.heap)
	m.wall, m.cpu = time.Now(), processorTime()
	return m
}

// processorTime is what the process has used until now.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// peak is the peak of the process's memory, in kB. Not by getrusage, which reports at least the peak of the process that
// started this one.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kB int64
	if _, err := fmt.Fscan(bytes.NewReader(after), &kB); err != nil {
		log.Fatal(err)
	}
	return kB
}
