// A gateway service: it reads what its child devices have measured, one JSON object a line, and reports it in batches.
//
//	{"device":"meter_0001","service":"power","properties":{"Watts":12.5}}
//
// It ends at the end of the input, and on SIGINT and SIGTERM, when it has reported what it has read.
//
// The environment tells it IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET of the gateway, and IOTDA_CA_FILE if
// the platform's certificate is signed by an authority of its own.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// Reading is a line of the input.
type Reading struct {
	Device     string          `json:"device"`
	Service    string          `json:"service"`
	Properties json.RawMessage `json:"properties"`

	at time.Time
}

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(os.Stdin, logger); err != nil {
		logger.Error("the gateway ends", "error", err)
		os.Exit(1)
	}
}

func run(input io.Reader, logger *slog.Logger) error {
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
	// Wrong credentials are told now, and not when the first batch is lost. A platform that cannot be reached may be
	// there again when there is something to report.
	if err := client.Authenticate(ctx); errors.Is(err, iotda.ErrAuthFailed) || errors.Is(err, iotda.ErrTLS) {
		return err
	}

	readings := make(chan Reading, 1000)
	go read(input, readings, logger)
	gateway := Gateway{Client: client, Logger: logger, Delay: time.Second, Most: 400}
	err = gateway.Report(ctx, readings)
	stats := client.Stats()
	logger.Info("the gateway ends", "requests", stats.Requests, "delivered", gateway.Delivered, "lost", gateway.Lost,
		"waiting", gateway.Waiting())
	if err == nil && gateway.Waiting() > 0 {
		err = fmt.Errorf("%d readings could not be delivered", gateway.Waiting())
	}
	return err
}

// deviceID is what the platform takes for one.
var deviceID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// isObject reports whether JSON that is known to be well-formed is an object.
func isObject(json []byte) bool { return len(json) > 0 && json[0] == '{' }

// read passes the lines of the input on, and closes the channel at its end.
func read(input io.Reader, readings chan<- Reading, logger *slog.Logger) {
	defer close(readings)
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		reading := Reading{at: time.Now()}
		err := json.Unmarshal(lines.Bytes(), &reading)
		// A batch with a child that is wrong in itself is refused as a whole: it must not get there.
		if err != nil || !deviceID.MatchString(reading.Device) || reading.Service == "" || !isObject(reading.Properties) {
			logger.Warn("a line is no reading", "line", lines.Text(), "error", err)
			continue
		}
		readings <- reading
	}
	if err := lines.Err(); err != nil {
		logger.Error("the input ends", "error", err)
	}
}
