// Fleet reports to Huawei Cloud IoTDA for many devices from several machines: what is to be reported waits in NATS
// JetStream, and workers, which are this program, share the devices among them. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Usage: fleet COMMAND [OPTIONS]

  setup     make the streams and buckets in NATS, or change their settings
  serve     be a worker
  publish   publish reports from the standard input, one JSON object a line
  secret    put the secrets of devices into a bucket, from lines DEVICE=SECRET
  demo      show it all on this machine: a NATS server, a stand-in platform, three workers, 1,000 devices
  chaos     kill, stop, add and drain workers, and check that nothing is lost, doubled or disordered
  measure   measure the throughput of 1, 2 and 4 workers

fleet COMMAND -h lists the options of each.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp), errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("there is no such command")

func run(ctx context.Context, arguments []string) error {
	commands := map[string]func(context.Context, []string) error{
		"setup": setup, "serve": serve, "publish": publishLines, "secret": storeSecrets,
		"demo": demo, "chaos": chaos, "measure": measure,
	}
	if len(arguments) > 0 {
		if command, known := commands[arguments[0]]; known {
			return command(ctx, arguments[1:])
		}
	}
	fmt.Fprint(os.Stderr, usage)
	return errUsage
}

// newLogger writes to the standard error: text, or JSON if asked for.
func newLogger(json bool, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
