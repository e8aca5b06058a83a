// How a partition is taken and released: the steward decides, and these run on goroutines of their own.

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/partition"
)

// errRaced says that somebody else was faster, or lives after all: no failure.
var errRaced = errors.New("somebody else was faster")

// put writes a partition's record by compare-and-set.
func (s *steward) put(ctx context.Context, p int, record partition.Record, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	value, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		revision, err = s.parts.Create(ctx, partition.Key(p), value)
	} else {
		revision, err = s.parts.Update(ctx, partition.Key(p), value, revision)
	}
	if isConflict(err) {
		return 0, errRaced
	}
	return revision, err
}

// take takes a partition that is free, the worker's own, or a dead worker's, after so many failures.
func (s *steward) take(ctx context.Context, p int, record partition.Record, revision uint64, failures int,
	unconfirmed *sequences) {
	done := result{partition: p}
	defer func() { s.results <- done }()
	if record.Owner != "" && record.Owner != s.owner {
		asking, cancel := context.WithTimeout(ctx, callTimeout)
		dead, err := isDead(asking, s.heart.bucket, record.Owner)
		cancel()
		if err == nil && !dead {
			err = errRaced
		}
		if err != nil {
			done.err = err
			return
		}
	}
	left, term := s.heart.lease()
	if left == 0 {
		done.err = errRaced
		return
	}
	next := partition.Record{Owner: s.owner, Epoch: record.Epoch + 1}
	next.Consumer = partition.ConsumerName(p, next.Epoch)
	revision, err := s.put(ctx, p, next, revision)
	if err != nil {
		done.err = err
		return
	}
	done.record, done.revision = &next, revision
	s.counters.takes.Add(1)
	consumer, err := s.consumer(ctx, p, record.Consumer, next, firstPatience<<min(failures, 2))
	if err != nil {
		done.err = err
		return
	}
	s.logger.Info("partition taken", "partition", p, "epoch", next.Epoch, "before", record.Owner)
	done.epoch = s.begin(ctx, p, next.Epoch, term, consumer, unconfirmed, func(e *epoch) {
		s.results <- result{partition: p, ended: e}
	})
}

// errNotUnique is the server's refusal of a second consumer for the same subjects of a work queue.
const errNotUnique jetstream.ErrorCode = 10100

// firstPatience is how long the first attempt waits until a consumer is there; each further one waits twice as long, up to
// four times this. A consumer of several servers has to elect a leader, and one whose first votes were lost, as on a busy
// machine, tries again after 4 to 9 seconds only, and answers nothing until then: another one is there sooner.
const firstPatience = time.Second

// consumer makes the consumer of an epoch. All earlier ones of the partition are deleted: the one that the record named,
// and, if one is there that no record names any more because its worker died between two steps, that one too.
func (s *steward) consumer(ctx context.Context, p int, before string, next partition.Record,
	patience time.Duration) (jetstream.Consumer, error) {
	if before != "" {
		if err := s.deleteConsumer(ctx, before); err != nil {
			return nil, fmt.Errorf("delete the consumer %s: %w", before, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := jetstream.ConsumerConfig{
		Name:          next.Consumer,
		Durable:       next.Consumer,
		FilterSubject: strconv.Itoa(p) + ".>",
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		// It plays no part in a takeover: the next owner deletes this consumer, and all that it has not acknowledged is
		// delivered again, to the next one.
		AckWait:       time.Hour,
		MaxAckPending: maxAckPending,
		MaxDeliver:    -1,
	}
	consumer, err := s.stream.CreateConsumer(ctx, broker.Stream, config)
	var refused *jetstream.APIError
	if !errors.As(err, &refused) || refused.ErrorCode != errNotUnique {
		return consumer, err
	}
	if err := s.deleteEarlier(ctx, p, next.Epoch); err != nil {
		return nil, err
	}
	return s.stream.CreateConsumer(ctx, broker.Stream, config)
}

// deleteConsumer deletes a consumer that may be there or not. One without a leader is deleted and nobody says so: what gets no
// answer is asked for again.
func (s *steward) deleteConsumer(ctx context.Context, name string) (err error) {
	for range 4 {
		once, cancel := context.WithTimeout(ctx, callTimeout/4)
		err = s.stream.DeleteConsumer(once, broker.Stream, name)
		cancel()
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// deleteEarlier deletes the consumers of a partition's earlier epochs.
func (s *steward) deleteEarlier(ctx context.Context, p int, epoch uint64) error {
	stream, err := s.stream.Stream(ctx, broker.Stream)
	if err != nil {
		return err
	}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		number, ours := strings.CutPrefix(name, fmt.Sprintf("p%d-e", p))
		if !ours {
			continue
		}
		switch found, err := strconv.ParseUint(number, 10, 64); {
		case err != nil:
		case found > epoch:
			return errRaced
		case found < epoch:
			if err := stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return err
			}
		}
	}
	return names.Err()
}

// release hands a partition over: what is in flight is finished, the rest comes to the next owner.
func (s *steward) release(ctx context.Context, p int, record partition.Record, revision uint64, e *epoch) {
	done := result{partition: p}
	defer func() { s.results <- done }()
	if e != nil {
		e.stop("released", s.heart.left())
		<-e.over
	}
	if err := s.deleteConsumer(ctx, record.Consumer); err != nil {
		s.logger.Warn("a consumer stays until the partition is taken", "consumer", record.Consumer, "error", err)
	}
	next := partition.Record{Epoch: record.Epoch, Consumer: record.Consumer}
	revision, err := s.put(ctx, p, next, revision)
	if err != nil {
		done.err = err
		return
	}
	done.record, done.revision = &next, revision
	s.logger.Info("partition released", "partition", p, "epoch", record.Epoch)
}
