// From single readings to batches.

package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// goodbye is how long the last batch may take after the service was told to end.
const goodbye = 10 * time.Second

// Gateway reports readings in batches. A reading waits for others at most for Delay; a batch goes at once when it has
// Most readings.
type Gateway struct {
	Client *iotda.Client
	Logger *slog.Logger
	Delay  time.Duration
	Most   int

	// Delivered and Lost count readings.
	Delivered, Lost int

	children []iotda.Child
	// Where each device is in children.
	places map[string]int
	count  int
}

// Waiting is how many readings were neither delivered nor lost.
func (g *Gateway) Waiting() int { return g.count }

// Report reports what comes from the channel until that is closed or ctx ends, and what is left then.
//
// While the platform cannot be reached, readings wait, and the channel is hardly read: who fills it has to wait too.
func (g *Gateway) Report(ctx context.Context, readings <-chan Reading) error {
	g.places = make(map[string]int)
	var due <-chan time.Time // when what waits is to be reported
	for {
		select {
		case reading, more := <-readings:
			if !more {
				return g.flush(ctx)
			}
			g.add(reading)
		case <-due:
			due = nil
			if err := g.flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			g.drain(readings)
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			return g.flush(last)
		}
		if g.count >= g.Most {
			if err := g.flush(ctx); err != nil {
				return err
			}
		}
		if g.count == 0 {
			due = nil
		} else if due == nil {
			due = time.After(g.Delay)
		}
	}
}

// add puts a reading to those of its device.
func (g *Gateway) add(reading Reading) {
	place, known := g.places[reading.Device]
	if !known {
		place = len(g.children)
		g.places[reading.Device] = place
		g.children = append(g.children, iotda.Child{DeviceID: reading.Device})
	}
	child := &g.children[place]
	child.Services = append(child.Services, iotda.Service{
		ID: reading.Service, Properties: reading.Properties, EventTime: reading.at,
	})
	g.count++
}

// drain takes what has been read already.
func (g *Gateway) drain(readings <-chan Reading) {
	for {
		select {
		case reading, more := <-readings:
			if !more {
				return
			}
			g.add(reading)
		default:
			return
		}
	}
}

// flush reports everything that waits. What is not delivered waits for the next time, unless that would not help. An
// error says that there is no use in going on.
func (g *Gateway) flush(ctx context.Context) error {
	if g.count == 0 {
		return nil
	}
	children := g.children
	g.children, g.places, g.count = nil, make(map[string]int), 0

	err := g.Client.ReportBatch(ctx, children)
	var failed *iotda.Error
	if err != nil && !errors.As(err, &failed) {
		return err // somebody has closed the client
	}
	statuses := make(map[int]iotda.Status)
	if failed != nil {
		for _, child := range failed.Children {
			statuses[child.Index] = child.Status
		}
	}
	for index, child := range children {
		status, undelivered := statuses[index]
		lost := 0
		switch {
		case !undelivered:
			g.Delivered += len(child.Services)
		case status.Transient():
			lost = g.keep(child)
		default:
			lost = len(child.Services)
		}
		if lost > 0 {
			g.Lost += lost
			g.Logger.Error("readings are lost", "device", child.DeviceID, "count", lost, "why", status)
		}
	}
	if errors.Is(err, iotda.ErrAuthFailed) || errors.Is(err, iotda.ErrInternal) {
		return err
	}
	return nil
}

// longest is how long a reading is kept that could not be delivered. What is transient may have to be put right by
// somebody: a child that is registered, a certificate.
const longest = time.Hour

// keep puts a child's readings back to those that wait, unless they are too old; it returns how many those are.
func (g *Gateway) keep(child iotda.Child) (tooOld int) {
	kept := child.Services[:0]
	for _, service := range child.Services {
		if time.Since(service.EventTime) < longest {
			kept = append(kept, service)
		}
	}
	tooOld = len(child.Services) - len(kept)
	if child.Services = kept; len(kept) > 0 {
		g.places[child.DeviceID] = len(g.children)
		g.children = append(g.children, child)
		g.count += len(kept)
	}
	return tooOld
}
