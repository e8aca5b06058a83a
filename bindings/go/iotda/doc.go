// Package iotda reports to Huawei Cloud IoTDA over HTTPS: properties and messages of devices, and batches of a gateway
// for its child devices. It is a layer over the C library libiotda, which comes with it.
//
//	go get github.com/libiotda/libiotda/bindings/go/iotda
//
// It needs Go 1.24, a C compiler, and Linux; the README says how to build with an installed libiotda.
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"os"
//		"time"
//
//		"github.com/libiotda/libiotda/bindings/go/iotda"
//	)
//
//	func main() {
//		if err := run(); err != nil {
//			log.Fatal(err)
//		}
//	}
//
//	func run() error {
//		client, err := iotda.New(iotda.Config{
//			Endpoint: os.Getenv("IOTDA_ENDPOINT"), // https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com
//			DeviceID: os.Getenv("IOTDA_DEVICE_ID"),
//			Secret:   os.Getenv("IOTDA_DEVICE_SECRET"),
//			CAFile:   os.Getenv("IOTDA_CA_FILE"), // "": the public authorities
//		})
//		if err != nil {
//			return err
//		}
//		defer client.Close()
//
//		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//		defer cancel()
//		weather := map[string]any{"Temperature": 21.5}
//		return client.ReportProperties(ctx, iotda.Service{ID: "weather", Properties: weather})
//	}
//
// A client authenticates when it needs to, renews its token before it expires, keeps its connections, retries transient
// failures, and keeps to the platform's rates. A service that acts for many devices makes one client and opens the
// others from it, by [Client.Device]: they share connections, TLS sessions and pacing.
//
// # Calls and contexts
//
// A call returns within Config.Timeout, or when its context ends, whichever is earlier. An error is an [*Error]: find its
// kind with [errors.Is] and a [Status] such as [ErrRateLimited], and its details with [errors.As]. If the context ended
// the call, the error is also [context.Canceled] or [context.DeadlineExceeded], and the context's cause. Of a client or an
// outbox that is closed, or was never made, the error is [ErrClosed]. A report is delivered at least once, not exactly once.
//
// [Error.Transient] says whether to keep what was to be reported and send it later, or to drop it.
//
// A call blocks a thread of the system while it waits for the platform. Config.MaxConcurrentCalls bounds how many; any
// number of goroutines may call.
//
// # Outages
//
// [Client.OpenOutbox] opens an outbox: what is put there is kept on disk until the platform has taken it, and delivered by
// threads of the library.
//
// # What is kept
//
// Bytes and strings are read where they are, during the call alone. A client owns connections and keys: Close it. One
// that is forgotten is closed by the garbage collector. A client made before a fork is not usable in the child process.
package iotda
