// Package publish is for programs that hand reports to the fleet: in the order of each device, and once.
//
// Publishing asynchronously loses the order when a stream's leader is lost: what was under way is then stored in any
// order, or not at all. So each device has one publication under way at a time.
package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// ErrFull is the error for a device of which too many reports wait already. Its reports cannot be delivered at the
// moment: keep them, or drop some.
var ErrFull = errors.New("wait until reports of this device are delivered: as many wait as the stream keeps for one")

// MaxBody is the length of a body that the platform no longer takes.
const MaxBody = 1 << 20

const (
	attemptTimeout = 2 * time.Second
	pause          = 100 * time.Millisecond
)

// Kind is which of the platform's calls a report is for.
type Kind = report.Kind

// The kinds. The bodies are those that the platform takes: {"services":[…]}, any bytes, {"devices":[…]}.
const (
	Properties = report.Properties
	Message    = report.Message
	Batch      = report.Batch
)

// Publisher publishes reports. For any number of goroutines.
type Publisher struct {
	stream jetstream.JetStream

	lock  sync.Mutex
	lanes map[string]*lane
}

// lane is a device's turn; users counts who has it or waits for it.
type lane struct {
	turn  chan struct{}
	users int
}

// New makes a publisher.
func New(stream jetstream.JetStream) *Publisher {
	return &Publisher{stream: stream, lanes: make(map[string]*lane)}
}

// Publish publishes a report and waits until the stream has stored it, as often as it takes within ctx. Reports of one
// device are stored in the order of the calls.
//
// When ctx ends first, the report may have been stored or not: publishing it again later may store it twice, and behind
// what was published since.
func (p *Publisher) Publish(ctx context.Context, device string, kind Kind, body []byte) error {
	if !report.IsDevice(device) {
		return fmt.Errorf("name a device by 1 to 128 letters, digits, '_' and '-': not %.40q", device)
	}
	if len(body) >= MaxBody {
		return fmt.Errorf("report less at a time: the body has %d bytes, and the platform takes fewer than %d", len(body), MaxBody)
	}
	lane := p.join(device)
	defer p.part(device, lane)
	select {
	case lane.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-lane.turn }()

	message := nats.NewMsg(report.Subject(device, kind))
	message.Data = body
	// Kept over all attempts: the stream stores it once, even if only the confirmation was lost.
	id := nuid.Next()
	for {
		err := p.once(ctx, message, id)
		if err == nil {
			return nil
		}
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.Code < 500 && refused.ErrorCode != errInProcess {
			return fmt.Errorf("publish the report: %w", err)
		}
		if errors.As(err, &refused) && refused.ErrorCode == errStoreFailed && refused.Description == "maximum messages per subject exceeded" {
			return ErrFull
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("the report may have been stored: %w (%w)", ctx.Err(), err)
		}
	}
}

// errStoreFailed is the server's refusal of what its limits do not allow.
const errStoreFailed jetstream.ErrorCode = 10077

// errInProcess is its answer to a message whose earlier attempt it is still storing, as while the servers have no quorum.
const errInProcess jetstream.ErrorCode = 10158

func (p *Publisher) once(ctx context.Context, message *nats.Msg, id string) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	_, err := p.stream.PublishMsg(ctx, message, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	return err
}

func (p *Publisher) join(device string) *lane {
	p.lock.Lock()
	defer p.lock.Unlock()
	found := p.lanes[device]
	if found == nil {
		found = &lane{turn: make(chan struct{}, 1)}
		p.lanes[device] = found
	}
	found.users++
	return found
}

func (p *Publisher) part(device string, lane *lane) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if lane.users--; lane.users == 0 {
		delete(p.lanes, device)
	}
}
