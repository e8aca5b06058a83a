// The commands chaos and measure: trials with worker processes, for figures.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
)

// asWorker is this program, which serves as a worker process.
func asWorker() ([]string, error) {
	program, err := os.Executable()
	return []string{program}, err
}

func chaos(ctx context.Context, arguments []string) error {
	o := newOptions("chaos")
	devices := o.Int("devices", 200, "devices")
	servers := o.Int("servers", 1, "NATS servers, all in this process; 3 in the scene leader")
	rate := o.Float64("rate", 500, "reports published per second")
	scene := o.String("scene", "chaos", "chaos, leader (NATS servers stop, workers are killed), restart (one is killed and started again, many times), load (kill and add under load), away (the platform is away), poison or limit")
	reports := o.Int("reports", 20_000, "reports of the scenes but chaos, leader and restart")
	times := o.Int("times", 20, "restarts of the scene restart")
	away := o.Duration("away", 2*time.Minute, "how long the platform is away")
	limit := o.Float64("limit", 500, "the tenant's rate of the scene limit")
	workers := o.Int("workers", 4, "workers of the scenes but chaos, leader and restart")
	if err := o.parse(arguments); err != nil {
		return err
	}
	program, err := asWorker()
	if err != nil {
		return err
	}
	if *scene == "leader" {
		*servers = 3
	}
	settings := trial.Settings{Devices: *devices, Servers: *servers, Worker: program, StrictModel: *scene == "poison"}
	if *scene == "limit" {
		settings.TenantRate = *limit
	}
	field, err := trial.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer field.Stop()
	scenes := map[string]func() error{
		"chaos":  func() error { return chaosScene(ctx, field, *rate, field.Chaos) },
		"leader": func() error { return chaosScene(ctx, field, *rate, field.LostLeaders) },
		"restart": func() error {
			return chaosScene(ctx, field, *rate, func(ctx context.Context, out io.Writer) error {
				return field.Restarts(ctx, out, *times)
			})
		},
		"load": func() error { return loadScene(ctx, field, *workers, *reports) },
		"away": func() error { return awayScene(ctx, field, *workers, *reports, *away) },
		"poison": func() error {
			return plainScene(ctx, field, *workers, trial.Traffic{Reports: *reports, Lanes: 64, Poison: 0.01})
		},
		"limit": func() error { return limitScene(ctx, field, *workers, *reports) },
	}
	run, known := scenes[*scene]
	if !known {
		return fmt.Errorf("choose chaos, leader, restart, load, away, poison or limit: there is no scene %q", *scene)
	}
	start := time.Now()
	if err := run(); err != nil {
		return err
	}
	if err := field.Drained(ctx, 10*time.Minute); err != nil {
		return err
	}
	verdict, err := field.Verify(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%v\n%d authentications of %d devices, %d refused, %d bad ones refused; %v in all\n", verdict,
		verdict.Authentications, *devices, verdict.Refused, verdict.RefusedBad, time.Since(start).Round(time.Second))
	if *scene == "limit" {
		seconds := float64(verdict.Last-verdict.First) / 1000
		fmt.Printf("%.1f units per second of %.0f (%.1f %%), %.2f %% refused\n", float64(verdict.Requests)/seconds, *limit,
			float64(verdict.Requests)/seconds / *limit * 100, float64(verdict.Refused)/float64(verdict.Requests)*100)
	}
	return verdict.Err()
}

func startAll(ctx context.Context, field *trial.Field, workers int) error {
	var names []string
	for i := range workers {
		name := "w" + strconv.Itoa(i+1)
		names = append(names, name)
		if _, err := field.StartWorker(name); err != nil {
			return err
		}
	}
	_, err := field.Shared(ctx, names...)
	return err
}

// chaosScene publishes while `happens` does.
func chaosScene(ctx context.Context, field *trial.Field, rate float64,
	happens func(context.Context, io.Writer) error) error {
	stop := field.Publish(ctx, trial.Traffic{Rate: rate, Lanes: 50})
	err := happens(ctx, os.Stdout)
	return errors.Join(err, stop())
}

// loadScene kills one worker in the middle, and adds another.
func loadScene(ctx context.Context, field *trial.Field, workers, reports int) error {
	if err := startAll(ctx, field, workers); err != nil {
		return err
	}
	start := time.Now()
	stop := field.Publish(ctx, trial.Traffic{Reports: reports, Lanes: 128})
	for field.Published() < reports/3 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	field.Worker("w1").Kill()
	for field.Published() < reports*2/3 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := field.StartWorker("w5"); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	fmt.Printf("%d reports were published in %v\n", reports, time.Since(start).Round(time.Millisecond))
	return nil
}

func awayScene(ctx context.Context, field *trial.Field, workers, reports int, away time.Duration) error {
	if err := startAll(ctx, field, workers); err != nil {
		return err
	}
	stop := field.Publish(ctx, trial.Traffic{Rate: float64(reports) / (away.Seconds() * 1.5), Reports: reports, Lanes: 64})
	for field.Published() < reports/6 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	// Connections are accepted, and reset when a request comes: tokens stay valid.
	if err := field.Platform.Ask("POST", "/faults", `{"kind":"request_cut","after":1,"close":"reset"}`, nil); err != nil {
		return err
	}
	select {
	case <-time.After(away):
	case <-ctx.Done():
	}
	waiting, err := field.Waiting(ctx)
	if err != nil {
		return err
	}
	if err := field.Platform.Ask("DELETE", "/faults", "", nil); err != nil {
		return err
	}
	back := time.Now()
	if err := stop(); err != nil {
		return err
	}
	if err := field.Drained(ctx, 10*time.Minute); err != nil {
		return err
	}
	fmt.Printf("%d reports waited when the platform was back after %v; all were delivered %v later\n", waiting, away,
		time.Since(back).Round(time.Millisecond))
	return nil
}

func plainScene(ctx context.Context, field *trial.Field, workers int, traffic trial.Traffic) error {
	if err := startAll(ctx, field, workers); err != nil {
		return err
	}
	return field.Publish(ctx, traffic)()
}

// limitScene publishes bursts of messages, of which each is a unit, more than the limit allows; a worker dies.
func limitScene(ctx context.Context, field *trial.Field, workers, reports int) error {
	if err := startAll(ctx, field, workers); err != nil {
		return err
	}
	for burst := range 4 {
		if err := field.Publish(ctx, trial.Traffic{Reports: reports / 4, Lanes: 64, Messages: true})(); err != nil {
			return err
		}
		if burst == 1 {
			field.Worker("w1").Kill()
		}
	}
	return nil
}

func measure(ctx context.Context, arguments []string) error {
	o := newOptions("measure")
	devices := o.Int("devices", 2000, "devices")
	reports := o.Int("reports", 40_000, "messages for each number of workers")
	counts := o.String("workers", "1,2,4", "numbers of workers")
	delay := o.Int("delay", 20, "how long the platform takes for an answer, in milliseconds")
	inFlight := o.Int("in-flight", 64, "requests in flight of each worker")
	memory := o.Bool("memory", false, "measure what a device costs in memory instead")
	if err := o.parse(arguments); err != nil {
		return err
	}
	program, err := asWorker()
	if err != nil {
		return err
	}
	if *memory {
		return measureMemory(ctx, trial.Settings{Devices: *devices, Worker: program})
	}
	first := 0.0
	for _, text := range strings.Split(*counts, ",") {
		workers, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		rate, memory, err := throughput(ctx, trial.Settings{Devices: *devices, InFlight: *inFlight, Worker: program}, workers, *reports, *delay)
		if err != nil {
			return err
		}
		if first == 0 {
			first = rate
		}
		fmt.Printf("%d workers: %8.0f messages/s, %.2f times the first; %d kB of a worker\n", workers, rate, rate/first, memory>>10)
	}
	return nil
}

// throughput stores all reports first, and starts the workers then. The rate is that of the time in which all have work.
func throughput(ctx context.Context, settings trial.Settings, workers, reports, delay int) (rate float64, memory int, err error) {
	field, err := trial.Start(ctx, settings)
	if err != nil {
		return 0, 0, err
	}
	defer field.Stop()
	if err := field.Publish(ctx, trial.Traffic{Reports: reports, Lanes: 256, Messages: true})(); err != nil {
		return 0, 0, err
	}
	fault := fmt.Sprintf(`{"kind":"delay","before":"header","for_ms":%d,"on":"message"}`, delay)
	if err := field.Platform.Ask("POST", "/faults", fault, nil); err != nil {
		return 0, 0, err
	}
	if err := startAll(ctx, field, workers); err != nil {
		return 0, 0, err
	}
	if err := field.Drained(ctx, 10*time.Minute); err != nil {
		return 0, 0, err
	}
	memory = field.Worker("w1").Memory()
	verdict, err := field.Verify(ctx)
	if err != nil {
		return 0, 0, err
	}
	return verdict.Steady, memory, verdict.Err()
}

// measureMemory publishes a report of each device, first without a worker and then with one.
func measureMemory(ctx context.Context, settings trial.Settings) error {
	field, err := trial.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer field.Stop()
	before := heap()
	if err := field.Publish(ctx, trial.Traffic{Reports: settings.Devices, Lanes: 64})(); err != nil {
		return err
	}
	stored := heap()
	worker, err := field.StartWorker("w1")
	if err != nil {
		return err
	}
	// As it is before it has a partition.
	for worker.Get("/healthz") != 200 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	idle := worker.Memory()
	if err := field.Drained(ctx, 10*time.Minute); err != nil {
		return err
	}
	busy := worker.Memory()
	fmt.Printf("%d devices: %d bytes in the NATS server for each subject with a report, %d in the worker for each device; "+
		"a worker has %d MB without devices\n", settings.Devices, (stored-before)/settings.Devices,
		(busy-idle)/settings.Devices, idle>>20)
	return nil
}

// heap is what is in use in this process, the NATS server's included.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
