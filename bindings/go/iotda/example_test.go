//go:build cgo

// The examples of the documentation and of the README. They are run against the stand-in platform.

package iotda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// Wind is a service of the device's product model.
type Wind struct {
	Height int     `json:"Height"`
	Speed  float64 `json:"Speed"`
}

// connect makes the client of the examples.
func connect() *iotda.Client {
	client, err := iotda.New(iotda.Config{
		Endpoint: os.Getenv("IOTDA_ENDPOINT"),
		DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
		Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
		CAFile:   os.Getenv("IOTDA_CA_FILE"),
	})
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func Example() {
	client, err := iotda.New(iotda.Config{
		Endpoint: os.Getenv("IOTDA_ENDPOINT"), // https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com
		DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
		Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
		CAFile:   os.Getenv("IOTDA_CA_FILE"), // "": the public authorities
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.ReportMessage(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	reading := Wind{Height: 124, Speed: 23.24}
	err = client.ReportProperties(ctx, iotda.Service{ID: "wind", Properties: &reading, EventTime: time.Now()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("requests:", client.Stats().Requests)
	// Output: requests: 2
}

func ExampleClient_Device() {
	client := connect()
	defer client.Close()

	// One client for each device, one pool of connections for all of them.
	station, err := client.Device("weather_station", "another secret")
	if err != nil {
		log.Fatal(err)
	}
	defer station.Close()
	if err := station.ReportMessage(context.Background(), []byte("I am another one")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(station.DeviceID(), "reported")
	// Output: weather_station reported
}

func ExampleClient_ReportBatch() {
	client := connect()
	defer client.Close()

	batch := []iotda.Child{
		{DeviceID: "vane_1", Services: []iotda.Service{{ID: "wind", Properties: Wind{Height: 10, Speed: 3.5}}}},
		{DeviceID: "vane_9", Services: []iotda.Service{{ID: "wind", Properties: Wind{Height: 12, Speed: 3.6}}}},
	}
	err := client.ReportBatch(context.Background(), batch)
	var failed *iotda.Error
	if errors.As(err, &failed) {
		for _, child := range failed.Children {
			fmt.Println(child.DeviceID, "was not delivered:", child.Status.Name())
		}
	}
	// Output: vane_9 was not delivered: IOTDA_E_UNKNOWN_CHILD
}

func ExampleClient_ReportProperties_raw() {
	client := connect()
	defer client.Close()

	// JSON that is there already is passed on byte for byte.
	raw := json.RawMessage(`{"Height":124,"Speed":23.2400}`)
	err := client.ReportProperties(context.Background(), iotda.Service{ID: "wind", Properties: raw})
	fmt.Println(err)

	// So is a whole body.
	body := []byte(`{"services":[{"service_id":"wind","properties":{"Height":124}}]}`)
	err = client.ReportPropertiesJSON(context.Background(), body)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
}

func ExampleError() {
	client := connect()
	defer client.Close()

	err := client.ReportProperties(context.Background(), iotda.Service{ID: "rain", Properties: map[string]int{"Drops": 7}})
	var failed *iotda.Error
	switch {
	case err == nil:
		fmt.Println("delivered")
	case errors.Is(err, context.Canceled):
		fmt.Println("stopping")
	case errors.Is(err, iotda.ErrRateLimited) && errors.As(err, &failed):
		fmt.Println("too fast: wait for", failed.RetryAfter)
	case errors.Is(err, iotda.ErrRejected) && errors.As(err, &failed):
		fmt.Println("the platform does not take it:", failed.HTTPStatus, failed.PlatformCode)
	default:
		fmt.Println("later, perhaps:", err)
	}
	// Output: the platform does not take it: 400 IOTDA.000006
}

func ExampleClient_OpenOutbox() {
	client := connect()
	defer client.Close()
	directory, err := os.MkdirTemp("", "outbox") // a program has a place of its own: /var/lib/weather/outbox
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)

	outbox, err := client.OpenOutbox(iotda.OutboxOptions{Directory: directory, MaxAge: 7 * 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer outbox.Close()

	// It is kept until the platform has taken it: threads of the library deliver it.
	ctx := context.Background()
	_, err = outbox.PutProperties(ctx, client, iotda.Service{ID: "wind", Properties: &Wind{Height: 124, Speed: 23.24}})
	if errors.Is(err, iotda.ErrFull) {
		fmt.Println("no room: the platform has been away for long")
	} else if err != nil {
		log.Fatal(err)
	}
	// A program that goes on need not wait for it.
	if err := outbox.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered:", outbox.Stats().Delivered)
	// Output: delivered: 1
}

func ExampleOutbox_Dead() {
	client := connect()
	defer client.Close()
	directory, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	outbox, err := client.OpenOutbox(iotda.OutboxOptions{Directory: directory})
	if err != nil {
		log.Fatal(err)
	}
	defer outbox.Close()

	// The product model has no such service, so that the platform refuses it.
	ctx := context.Background()
	if _, err := outbox.PutProperties(ctx, client, iotda.Service{ID: "rain", Properties: map[string]int{"Drops": 7}}); err != nil {
		log.Fatal(err)
	}
	if err := outbox.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	for letter, err := range outbox.Dead() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(letter.DeviceID, letter.Status.Name(), letter.PlatformCode)
		if err := outbox.ForgetDead(letter.Number); err != nil {
			log.Fatal(err)
		}
	}
	// Output: weather_mast IOTDA_E_REJECTED IOTDA.000006
}

func ExampleClient_Token() {
	client := connect()
	if err := client.Authenticate(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Before the device goes to sleep. Keep the token as secret as the device's secret.
	token, err := client.Token()
	if err != nil {
		log.Fatal(err)
	}
	client.Close()

	// When it wakes, it need not authenticate again.
	client, err = iotda.New(iotda.Config{
		Endpoint: os.Getenv("IOTDA_ENDPOINT"),
		DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
		Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
		CAFile:   os.Getenv("IOTDA_CA_FILE"),
		Token:    token,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.ReportMessage(context.Background(), []byte("awake")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("authentications:", client.Stats().Authentications)
	// Output: authentications: 0
}

func ExampleConfig() {
	config := iotda.Config{
		Endpoint:    "https://iotda.example.com:8943",
		DeviceID:    "weather_mast",
		Secret:      "secret",
		ExtraCAFile: os.Getenv("IOTDA_CA_FILE"),
		Timeout:     20 * time.Second,
		Retry:       iotda.Retry{MaxAttempts: 5},
		DeviceRate:  10,
		Proxy:       "http://proxy.example.com:3128",
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	client, err := iotda.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(config)
	// Output: iotda.Config{Endpoint:"https://iotda.example.com:8943", DeviceID:"weather_mast", …}
}
