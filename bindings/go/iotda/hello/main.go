//go:build cgo

// Reports a temperature. The README and the package's documentation begin with this program.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	client, err := iotda.New(iotda.Config{
		Endpoint: os.Getenv("IOTDA_ENDPOINT"), // https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com
		DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
		Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
		CAFile:   os.Getenv("IOTDA_CA_FILE"), // "": the public authorities
	})
	if err != nil {
		return err
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	weather := map[string]any{"Temperature": 21.5}
	return client.ReportProperties(ctx, iotda.Service{ID: "weather", Properties: weather})
}
