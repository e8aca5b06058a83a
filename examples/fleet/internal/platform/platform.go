// Package platform is what a worker needs of the IoTDA platform: an interface, the outcomes of a report by what a worker
// does about them, and (library.go) libiotda behind it.
package platform

import (
	"context"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// Platform opens devices. For any number of goroutines.
type Platform interface {
	// Open makes a client for a device. It uses no network.
	Open(device, secret string) (Device, error)
	// Check says without sending it whether the platform would refuse a report by its form; nil if nothing is known
	// against it.
	Check(kind report.Kind, body []byte) *Failure
	// Close ends the connections.
	Close()
}

// Device reports for one device. It authenticates only when it is asked to: the token is shared with other workers. Its
// methods are not called at the same time.
type Device interface {
	// Report sends a body. It is sent once.
	Report(ctx context.Context, kind report.Kind, body []byte) *Failure
	// Authenticate gets a new token, which ends the present one.
	Authenticate(ctx context.Context) *Failure
	// ImportToken uses a token that Token gave here or elsewhere. It fails if it is no longer valid.
	ImportToken(saved string) error
	// Token is the present token as text, and how long it is valid; "" if there is none.
	Token() (saved string, valid time.Duration)
	Close()
}

// Verdict is what to do about a failure.
type Verdict int

const (
	// Later: keep the report, and send it again.
	Later Verdict = iota
	// Refused: the platform refused the data, or would. Sending the same again does not help.
	Refused
	// NoToken: get another token, then send it again.
	NoToken
	// Partly: of a batch, see Children.
	Partly
)

// Failure is a report or an authentication that failed.
type Failure struct {
	Verdict Verdict
	// Kind is a word for metrics, such as "timeout".
	Kind string
	// Reason is a sentence for a person, without secrets.
	Reason string
	// Code and HTTPStatus are the platform's; "" and 0 if it gave none.
	Code       string
	HTTPStatus int
	// RetryAfter is how long to wait; 0 if unknown.
	RetryAfter time.Duration
	// OfTenant says that the tenant's rate was exceeded, and not the device's.
	OfTenant bool
	// Children are those of a batch that were not delivered; the others were.
	Children []Child
}

func (f *Failure) Error() string { return f.Reason }

// Child is a child device of a batch that was not delivered.
type Child struct {
	// Index is its place in the batch.
	Index   int
	Verdict Verdict
	Reason  string
}
