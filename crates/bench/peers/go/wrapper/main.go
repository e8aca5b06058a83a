// Reports through libiotda's Go module. The jobs and settings are those of ../../bench.h, and beside them:
//
//	beside N    N reports of several kinds, from Go and from C by turns
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
	"github.com/libiotda/libiotda/crates/bench/peers/go/cost"
)

const timeout = 30 * time.Second

type properties struct {
	Height int
	Speed  float64
}

func run(client *iotda.Client, job string, count, size int) error {
	ctx := context.Background()
	values := properties{124, 23.24}
	service := iotda.Service{ID: "serviceId", Properties: &values, EventTime: time.UnixMilli(cost.TimeMS)}
	if err := client.ReportProperties(ctx, service); err != nil {
		return err
	}
	switch job {
	case "values":
		return cost.Of(func() error { return client.ReportProperties(ctx, service) }, count)
	case "text":
		body := []byte(cost.Text)
		return cost.Of(func() error { return client.ReportPropertiesJSON(ctx, body) }, count)
	case "message":
		body := cost.Message(size)
		return cost.Of(func() error { return client.ReportMessage(ctx, body) }, count)
	case "batch":
		values := make([]properties, size)
		children := make([]iotda.Child, size)
		for i, id := range cost.Children(size) {
			service.Properties = &values[i]
			children[i] = iotda.Child{DeviceID: id, Services: []iotda.Service{service}}
		}
		return cost.Of(func() error {
			for i := range values {
				values[i] = properties{124 + i, 23.24}
			}
			return client.ReportBatch(ctx, children)
		}, count)
	case "beside":
		return beside(client, count)
	}
	return fmt.Errorf("no such job: %s", job)
}

func main() {
	log.SetFlags(0)
	job, count, size := cost.Arguments()
	client, err := iotda.New(iotda.Config{
		Endpoint: cost.Setting("IOTDA_ENDPOINT"),
		DeviceID: cost.Setting("IOTDA_DEVICE_ID"),
		Secret:   cost.Setting("IOTDA_DEVICE_SECRET"),
		CAFile:   cost.Setting("IOTDA_CA_FILE"),
		Timeout:  timeout,
	})
	if err == nil {
		defer client.Close()
		err = run(client, job, count, size)
	}
	if err != nil {
		log.Fatal(err)
	}
}
