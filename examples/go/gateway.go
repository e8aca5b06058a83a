// From lines to the outbox.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// Reading is a line of the input.
type Reading struct {
	Device     string          `json:"device"`
	Service    string          `json:"service"`
	Properties json.RawMessage `json:"properties"`
}

// Gateway puts readings into an outbox.
type Gateway struct {
	Client *iotda.Client
	Outbox *iotda.Outbox
	Logger *slog.Logger
	Output io.Writer

	// Lost counts readings that will not be delivered.
	Lost atomic.Int64
	put  int
}

// Settled hears of each reading that is delivered or lost. The outbox logs why; what the platform refused is a dead letter,
// which Outbox.Dead has.
func (g *Gateway) Settled(settlement iotda.Settlement) {
	if !settlement.Delivered() {
		g.Lost.Add(1)
	}
}

// Read puts what it reads, until the input ends or the outbox is closed.
func (g *Gateway) Read(input io.Reader) error {
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		var err error
		if line := lines.Bytes(); len(line) == 0 {
			err = g.endRound()
		} else {
			err = g.take(line)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), g.endRound())
}

// take puts the reading of a line. An error says that there is no use in going on.
func (g *Gateway) take(line []byte) error {
	var reading Reading
	if err := json.Unmarshal(line, &reading); err != nil {
		g.lose(string(line), err)
		return nil
	}
	// A service without a time gets that of the put.
	service := iotda.Service{ID: reading.Service, Properties: reading.Properties}
	child := iotda.Child{DeviceID: reading.Device, Services: []iotda.Service{service}}
	for tries := 1; ; tries++ {
		_, err := g.Outbox.PutBatch(context.Background(), g.Client, []iotda.Child{child})
		var failed *iotda.Error
		switch {
		case err == nil:
			g.put++
			return nil
		case !errors.As(err, &failed):
			return err // the service ends
		case !failed.Transient() || tries == 3:
			g.lose(string(line), err)
			return nil
		}
		// It passes, or somebody puts it right: a disk that is full. What is wrong with the reading itself stays so.
		time.Sleep(time.Second)
	}
}

func (g *Gateway) lose(line string, err error) {
	g.Lost.Add(1)
	g.Logger.Error("a reading is lost", "line", line, "error", err)
}

// endRound says how many readings are safe. An error says that there is no use in going on.
func (g *Gateway) endRound() error {
	err := g.Outbox.Sync(context.Background())
	if errors.Is(err, iotda.ErrClosed) {
		return err // the service ends
	} else if err != nil {
		g.Logger.Error("readings are not on disk", "error", err)
		return nil
	}
	_, err = fmt.Fprintln(g.Output, g.put, "readings are safe")
	return err
}
