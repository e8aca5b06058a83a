// Dead letters: reports that the platform refused, in a stream of their own, with the reason.

package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/lane"
	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
)

// The headers of a dead letter.
const (
	HeaderReason   = "Iotda-Reason"
	HeaderCode     = "Iotda-Code"
	HeaderStatus   = "Iotda-Status"
	HeaderSequence = "Iotda-Sequence"
	HeaderStored   = "Iotda-Stored"
)

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// letter stores a dead letter, and reports whether the server has confirmed it. The same letter again, after a takeover
// within two minutes, is stored once.
func (w *Worker) letter(l *deviceLane, item lane.Item, failure *platform.Failure) bool {
	message := nats.NewMsg(broker.DeadSubject(l.device, item.Kind))
	message.Data = item.Body
	message.Header.Set(HeaderReason, oneLine.Replace(failure.Reason))
	if failure.Code != "" {
		message.Header.Set(HeaderCode, failure.Code)
	}
	if failure.HTTPStatus != 0 {
		message.Header.Set(HeaderStatus, strconv.Itoa(failure.HTTPStatus))
	}
	message.Header.Set(HeaderSequence, strconv.FormatUint(item.Sequence, 10))
	message.Header.Set(HeaderStored, item.Stored.UTC().Format(time.RFC3339Nano))
	ctx, cancel := context.WithTimeout(l.epoch.ctx, callTimeout)
	defer cancel()
	id := fmt.Sprintf("%d-%x", item.Sequence, Hash(item.Body))
	_, err := w.stream.PublishMsg(ctx, message, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if err != nil {
		w.counters.failures.Add("dead_letter", 1)
		w.logger.Warn("a dead letter could not be stored; its report waits", "device", l.device, "error", err)
		return false
	}
	w.counters.dead.Add(1)
	w.logger.Warn("a report is a dead letter", "device", l.device, "kind", item.Kind.String(), "reason", failure.Reason,
		"sequence", item.Sequence)
	return true
}
