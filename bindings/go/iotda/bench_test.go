//go:build cgo

// What a report costs, loopback and the stand-in platform's work included.

package iotda_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func BenchmarkReport(b *testing.B) {
	p := newPlatform(b)
	client := p.client(b)
	cancelled, cancel := context.WithCancel(context.Background())
	defer cancel()
	message := []byte("hello")
	raw, pointer := json.RawMessage(`{"Height":124,"Speed":23.24}`), &wind{Height: 124, Speed: 23.24}
	for _, bench := range []struct {
		name   string
		report func() error
	}{
		{"message", func() error { return client.ReportMessage(context.Background(), message) }},
		{"raw", func() error {
			return client.ReportProperties(context.Background(), iotda.Service{ID: "wind", Properties: raw})
		}},
		{"struct", func() error {
			return client.ReportProperties(context.Background(), iotda.Service{ID: "wind", Properties: pointer})
		}},
		{"cancellable", func() error {
			return client.ReportProperties(cancelled, iotda.Service{ID: "wind", Properties: pointer})
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.report(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
