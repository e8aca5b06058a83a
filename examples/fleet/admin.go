// The commands around the workers: setup, publish, secret.

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/ledger"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

func setup(ctx context.Context, arguments []string) error {
	o := newOptions("setup")
	nats := o.broker()
	layout := broker.DefaultLayout()
	o.IntVar(&layout.Partitions, "partitions", layout.Partitions, "partitions, for life: 16, or 32 for more than 8 workers")
	o.IntVar(&layout.Replicas, "replicas", layout.Replicas, "servers that keep each report: 1, 3 or 5")
	o.Int64Var(&layout.PerSubject, "per-device", layout.PerSubject, "reports of one kind that wait for a device at most")
	o.DurationVar(&layout.TTL, "ttl", layout.TTL, "how long a worker is taken for alive after a heartbeat")
	rate := o.Float64("tenant-rate", -1, "the tenant's rate at the platform, in started 4 KB per second; 0: none; -1: as it is")
	if err := o.parse(arguments); err != nil {
		return err
	}
	stream, stop, err := nats.open()
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := broker.Setup(ctx, stream, layout); err != nil {
		return err
	}
	if *rate < 0 {
		return nil
	}
	bucket, err := stream.KeyValue(ctx, broker.Ledger)
	if err != nil {
		return err
	}
	return ledger.SetLimit(ctx, bucket, *rate)
}

// line is a report on the standard input of publish.
type line struct {
	Device   string          `json:"device"`
	Services json.RawMessage `json:"services"` // of a device
	Message  *string         `json:"message"`  // of a device
	Base64   *string         `json:"base64"`   // the same, for any bytes
	Devices  json.RawMessage `json:"devices"`  // of a gateway's children
}

func (l line) report() (report.Kind, []byte, error) {
	switch {
	case l.Services != nil:
		return report.Properties, []byte(`{"services":` + string(l.Services) + `}`), nil
	case l.Devices != nil:
		return report.Batch, []byte(`{"devices":` + string(l.Devices) + `}`), nil
	case l.Message != nil:
		return report.Message, []byte(*l.Message), nil
	case l.Base64 != nil:
		body, err := base64.StdEncoding.DecodeString(*l.Base64)
		return report.Message, body, err
	}
	return 0, nil, errors.New(`write {"device":"…"} with "services", "message", "base64" or "devices"`)
}

// lanes is how many devices' reports are published at the same time.
const lanes = 64

func publishLines(ctx context.Context, arguments []string) error {
	o := newOptions("publish")
	nats := o.broker()
	if err := o.parse(arguments); err != nil {
		return err
	}
	stream, stop, err := nats.open()
	if err != nil {
		return err
	}
	defer stop()
	refused, err := publishAll(ctx, publish.New(stream), os.Stdin)
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d reports were not published", refused)
	}
	return err
}

// publishAll publishes lines, those of a device in their order. It says on the standard error which were refused.
func publishAll(ctx context.Context, publisher *publish.Publisher, input io.Reader) (refused int, err error) {
	type numbered struct {
		number int
		line   line
	}
	var queues [lanes]chan numbered
	var running sync.WaitGroup
	var lock sync.Mutex
	refuse := func(number int, err error) {
		lock.Lock()
		defer lock.Unlock()
		refused++
		fmt.Fprintf(os.Stderr, "line %d: %v\n", number, err)
	}
	for i := range queues {
		queues[i] = make(chan numbered, 16)
		running.Add(1)
		go func() {
			defer running.Done()
			for each := range queues[i] {
				kind, body, err := each.line.report()
				if err == nil {
					err = publisher.Publish(ctx, each.line.Device, kind, body)
				}
				if err != nil {
					refuse(each.number, err)
				}
			}
		}()
	}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 2<<20)
	for number := 1; lines.Scan() && ctx.Err() == nil; number++ {
		var read line
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			refuse(number, err)
			continue
		}
		device := fnv.New32a() // each device has its queue
		io.WriteString(device, read.Device)
		queues[device.Sum32()%lanes] <- numbered{number, read}
	}
	for _, queue := range queues {
		close(queue)
	}
	running.Wait()
	return refused, errors.Join(lines.Err(), ctx.Err())
}

func storeSecrets(ctx context.Context, arguments []string) error {
	o := newOptions("secret")
	nats := o.broker()
	name := o.text("bucket", "secrets", "the bucket")
	key := o.text("key-file", "", "a file with the key of the tokens, which seals the secrets too")
	replicas := o.Int("replicas", 3, "servers that keep each secret")
	if err := o.parse(arguments); err != nil {
		return err
	}
	seal, err := sealer(*key)
	if err != nil {
		return err
	}
	stream, stop, err := nats.open()
	if err != nil {
		return err
	}
	defer stop()
	bucket, err := stream.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: *name, Replicas: *replicas,
		Description: "Secrets of devices, sealed"})
	if err != nil {
		return fmt.Errorf("make the bucket %s: %w", *name, err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for number := 1; lines.Scan(); number++ {
		device, secret, found := strings.Cut(lines.Text(), "=")
		if !found || !report.IsDevice(device) || secret == "" {
			return fmt.Errorf("write DEVICE=SECRET: line %d is something else", number)
		}
		if _, err := bucket.Put(ctx, device, seal.Seal(secrets.Sealed(device), secret)); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return lines.Err()
}
