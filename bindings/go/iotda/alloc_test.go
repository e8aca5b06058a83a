//go:build cgo && !race

// How often a report allocates memory of Go's. The race detector allocates too, so that these run without it.

package iotda_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func TestReportsHardlyAllocate(t *testing.T) {
	p := newPlatform(t)
	client, gateway := p.client(t), p.client(t, gateway)
	cancelled, cancel := context.WithCancel(context.Background())
	defer cancel()
	limited, cancelLimited := context.WithTimeout(cancelled, time.Hour)
	defer cancelLimited()
	raw := json.RawMessage(`{"Height":124,"Speed":23.24}`)
	message, body := []byte("hello"), []byte(`{"services":[{"service_id":"wind","properties":{"Height":124}}]}`)
	pointer := &wind{Height: 124, Speed: 23.24}
	batch := children(50)
	for i := range batch {
		batch[i].Services = []iotda.Service{{ID: "wind", Properties: pointer}}
	}
	outbox := openOutbox(t, client, t.TempDir(), func(options *iotda.OutboxOptions) { options.Sync = 0 })
	put := func(_ uint64, err error) error { return err }
	for name, test := range map[string]struct {
		most   float64
		report func(ctx context.Context) error
	}{
		"put message": {0, func(ctx context.Context) error { return put(outbox.PutMessage(ctx, client, message)) }},
		"put body":    {0, func(ctx context.Context) error { return put(outbox.PutPropertiesJSON(ctx, client, body)) }},
		"put pointer": {0, func(ctx context.Context) error {
			return put(outbox.PutProperties(ctx, client, iotda.Service{ID: "wind", Properties: pointer}))
		}},
		"put raw": {1, func(ctx context.Context) error {
			return put(outbox.PutProperties(ctx, client, iotda.Service{ID: "wind", Properties: raw, EventTime: measured}))
		}},
		"put batch": {0, func(ctx context.Context) error { return put(outbox.PutBatch(ctx, gateway, batch)) }},
		"message":   {0, func(ctx context.Context) error { return client.ReportMessage(ctx, message) }},
		"body":      {0, func(ctx context.Context) error { return client.ReportPropertiesJSON(ctx, body) }},
		"pointer": {0, func(ctx context.Context) error {
			return client.ReportProperties(ctx, iotda.Service{ID: "wind", Properties: pointer})
		}},
		"raw": {1, func(ctx context.Context) error {
			return client.ReportProperties(ctx, iotda.Service{ID: "wind", Properties: raw, EventTime: measured})
		}},
		"struct": {1, func(ctx context.Context) error {
			return client.ReportProperties(ctx, iotda.Service{ID: "wind", Properties: wind{Height: 124, Speed: 23.24}})
		}},
		"batch": {0, func(ctx context.Context) error { return gateway.ReportBatch(ctx, batch) }},
	} {
		for _, watched := range []struct {
			name     string
			contexts []context.Context // one after the other
			more     float64
		}{
			{"background", []context.Context{context.Background()}, 0},
			{"cancelled", []context.Context{cancelled}, 0},
			{"limited", []context.Context{limited}, 0},
			{"never the same", []context.Context{cancelled, limited}, 2},
		} {
			calls := 0
			report := func() {
				calls++
				if err := test.report(watched.contexts[calls%len(watched.contexts)]); err != nil {
					t.Error(err)
				}
			}
			for range 10 { // as many as show that a context comes again and again
				report()
			}
			allocations := testing.AllocsPerRun(200, report)
			t.Logf("%s, %s: %v", name, watched.name, allocations)
			if most := test.most + watched.more; allocations > most || allocations > 3 {
				t.Errorf("%s, %s: %v allocations, where %v are known", name, watched.name, allocations, most)
			}
		}
	}
}
