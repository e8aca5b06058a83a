// The sealed tokens in their bucket.

package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the name of the bucket. Its keys are device ids.
const Bucket = "tokens"

// Saved is a token as the library exports it, and its place in the bucket. The zero value is none.
type Saved struct {
	Text     string
	Revision uint64
}

// Store keeps tokens in the bucket. For any number of goroutines.
type Store struct {
	stream jetstream.JetStream
	bucket jetstream.KeyValue
	sealer *Sealer
}

// Open opens the bucket, which setup has made.
func Open(ctx context.Context, stream jetstream.JetStream, sealer *Sealer) (*Store, error) {
	bucket, err := stream.KeyValue(ctx, Bucket)
	if err != nil {
		return nil, err
	}
	return &Store{stream, bucket, sealer}, nil
}

// Get reads a device's token. One that cannot be opened, as after a change of the key, is none: it is replaced.
func (s *Store) Get(ctx context.Context, device string) (Saved, error) {
	entry, err := s.bucket.Get(ctx, device)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Saved{}, nil
	}
	if err != nil {
		return Saved{}, err
	}
	text, err := s.sealer.Open(device, entry.Value())
	if err != nil {
		return Saved{Revision: entry.Revision()}, nil
	}
	return Saved{text, entry.Revision()}, nil
}

// Put keeps a token for as long as it is valid, instead of the one that was read as `last`. If that was replaced meanwhile,
// the other one is returned and `kept` is false: use it, it is the newer one.
//
// The bucket's own Update drops a TTL without a word, so that the message is published here.
func (s *Store) Put(ctx context.Context, device, text string, last Saved, valid time.Duration) (saved Saved, kept bool, err error) {
	message := nats.NewMsg("$KV." + Bucket + "." + device)
	message.Data = s.sealer.Seal(device, text)
	for {
		ack, err := s.stream.PublishMsg(ctx, message, jetstream.WithExpectLastSequencePerSubject(last.Revision),
			jetstream.WithMsgTTL(max(valid.Truncate(time.Second), time.Second)), jetstream.WithRetryAttempts(0))
		if err == nil {
			return Saved{text, ack.Sequence}, true, nil
		}
		var refused *jetstream.APIError
		if !errors.As(err, &refused) || refused.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			return Saved{}, false, err
		}
		other, err := s.Get(ctx, device)
		if err != nil || other.Text != "" {
			return other, false, err
		}
		if other.Revision == last.Revision {
			return Saved{}, false, errors.New("try again later: the bucket of tokens does not show its last change")
		}
		last = other // that one has expired, or is sealed with another key
	}
}
