// A gateway service: it reads what its child devices have measured, one JSON object a line, and puts it into an outbox,
// which keeps it on disk and reports it in batches until the platform has taken it, over outages and restarts.
//
//	gateway DIRECTORY
//
// The outbox is in DIRECTORY. An empty line, or the end of the input, is answered by a line that says how many readings are
// safe by now: they are on disk, or delivered.
//
//	{"device":"meter_0001","service":"power","properties":{"Watts":12.5}}
//
// It ends at the end of the input, after some more seconds of delivery, and at once on SIGINT and SIGTERM. What waits is
// delivered by the next run.
//
// The environment has IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET of the gateway, and IOTDA_CA_FILE if the
// platform's certificate is signed by an authority of its own.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// lastDeliveries is how long the outbox goes on after the end of the input.
const lastDeliveries = 5 * time.Second

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(os.Args) != 2 {
		logger.Error("usage: gateway DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout, logger); err != nil {
		logger.Error("the gateway ends", "error", err)
		os.Exit(1)
	}
}

func run(directory string, input io.Reader, output io.Writer, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	client, err := iotda.New(iotda.Config{
		Endpoint: os.Getenv("IOTDA_ENDPOINT"),
		DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
		Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
		CAFile:   os.Getenv("IOTDA_CA_FILE"),
		Logger:   logger,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	gateway := Gateway{Client: client, Logger: logger, Output: output}
	gateway.Outbox, err = client.OpenOutbox(iotda.OutboxOptions{
		Directory: directory,
		MaxAge:    7 * 24 * time.Hour,
		WhenFull:  iotda.DropOldest,
		Settled:   gateway.Settled,
	})
	if err != nil {
		return err
	}

	ended := make(chan error, 1)
	go func() { ended <- gateway.Read(input) }()
	select {
	case err = <-ended:
		last, cancel := context.WithTimeout(ctx, lastDeliveries)
		defer cancel()
		// What is not delivered by then goes on waiting.
		_ = gateway.Outbox.Flush(last)
	case <-ctx.Done():
	}
	stats := gateway.Outbox.Stats()
	err = errors.Join(err, gateway.Outbox.Close())
	logger.Info("the gateway ends", "requests", stats.Requests, "delivered", stats.Delivered, "lost", gateway.Lost.Load(),
		"waiting", stats.Waiting)
	return err
}
