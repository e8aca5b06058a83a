// The command demo: a fleet on this machine, with live counters.

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
)

func demo(ctx context.Context, arguments []string) error {
	o := newOptions("demo")
	devices := o.Int("devices", 1000, "devices")
	rate := o.Float64("rate", 1000, "reports published per second")
	lasts := o.Duration("for", 30*time.Second, "how long it lasts; 0: until Ctrl-C")
	limit := o.Float64("tenant-rate", 600, "the tenant's rate at the stand-in, in started 4 KB per second; 0: none")
	if err := o.parse(arguments); err != nil {
		return err
	}
	program, err := asWorker()
	if err != nil {
		return err
	}
	fmt.Printf("A NATS server and a stand-in platform, three worker processes, %d devices, %.0f reports per second.\n", *devices, *rate)
	finishing := context.WithoutCancel(ctx)
	field, err := trial.Start(finishing, trial.Settings{Devices: *devices, TenantRate: *limit, Worker: program})
	if err != nil {
		return err
	}
	defer field.Stop()
	names := []string{"w1", "w2", "w3"}
	for _, name := range names {
		if _, err := field.StartWorker(name); err != nil {
			return err
		}
	}
	if _, err := field.Shared(ctx, names...); err != nil {
		return err
	}
	fmt.Printf("What arrives can be seen in a browser: %s\n\n", field.Platform.Inspect)
	stop := field.Publish(ctx, trial.Traffic{Rate: *rate, Lanes: 50})
	if err := watchDemo(ctx, field, *lasts); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	fmt.Println("\nNothing more is published; what waits is delivered.")
	if err := field.Drained(finishing, 2*time.Minute); err != nil {
		return err
	}
	verdict, err := field.Verify(finishing)
	if err != nil {
		return err
	}
	fmt.Printf("%v; %d authentications\n", verdict, verdict.Authentications)
	return verdict.Err()
}

// watchDemo shows the counters, and kills a worker and starts it again on the way.
func watchDemo(ctx context.Context, field *trial.Field, lasts time.Duration) error {
	isTerminal := false
	if info, err := os.Stdout.Stat(); err == nil {
		isTerminal = info.Mode()&os.ModeCharDevice != 0
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	start := time.Now()
	var last int
	lastAt := start
	killed, revived := false, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Since(start)
		switch {
		case !killed && now > 8*time.Second:
			killed = true
			field.Worker("w2").Kill()
			fmt.Printf("\n--- %4.1f s: the worker w2 is killed (SIGKILL); the others take its partitions when its heartbeat lapses\n", now.Seconds())
		case killed && !revived && now > 16*time.Second:
			revived = true
			if _, err := field.StartWorker("w2"); err != nil {
				return err
			}
			fmt.Printf("\n--- %4.1f s: w2 is started again, and gets its share back\n", now.Seconds())
		case lasts > 0 && now > lasts:
			return nil
		}
		counted, err := field.Platform.Counters()
		if err != nil {
			return err
		}
		waiting, err := field.Waiting(ctx)
		if err != nil {
			continue // the command ends
		}
		requests := counted.PropertyReports
		rate := float64(requests-last) / time.Since(lastAt).Seconds()
		last, lastAt = requests, time.Now()
		line := fmt.Sprintf("%5.1f s  published %7d  waiting %5d  requests %6d (%4.0f/s)  authentications %5d  refused %d ",
			now.Seconds(), field.Published(), waiting, requests, rate, counted.Authentications, counted.Refusals)
		for _, name := range field.Names() {
			if metrics := field.Worker(name).Metrics(); metrics != nil {
				line += fmt.Sprintf(" %s %2.0fp %3.0f/s", name, metrics["fleet_partitions"], metrics["fleet_rate_grant"])
			} else {
				line += " " + name + " --------"
			}
		}
		if isTerminal {
			fmt.Print("\r" + line + strings.Repeat(" ", 4))
		} else {
			fmt.Println(line)
		}
	}
}
