// The platform by libiotda, and what each of its errors means for a worker.

package platform

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

// Settings are those of the connections to the platform.
type Settings struct {
	// Endpoint and CAFile are as iotda.Config has them.
	Endpoint, CAFile string
	// MaxInFlight is how many requests are under way at most.
	MaxInFlight int
	Logger      *slog.Logger
}

// library is libiotda. The worker paces and retries, since it alone knows of the other workers: the library has no rate
// of the tenant and sends each request once.
type library struct {
	// base reports nothing: it holds the connections, which the devices share.
	base *iotda.Client
}

// New opens libiotda.
func New(settings Settings) (Platform, error) {
	base, err := iotda.New(iotda.Config{
		Endpoint:              settings.Endpoint,
		CAFile:                settings.CAFile,
		DeviceID:              "fleet",
		Secret:                "reports nothing",
		Retry:                 iotda.Retry{MaxAttempts: 1},
		MaxConcurrentCalls:    settings.MaxInFlight,
		AuthenticateWhenAsked: true,
		Logger:                settings.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &library{base}, nil
}

func (l *library) Close() { l.base.Close() }

func (l *library) Open(id, secret string) (Device, error) {
	client, err := l.base.Device(id, secret)
	if err != nil {
		return nil, err
	}
	return &device{client}, nil
}

func (l *library) Check(kind report.Kind, body []byte) *Failure {
	switch kind {
	case report.Properties:
		return failure(iotda.CheckPropertiesJSON(body))
	case report.Message:
		return failure(iotda.CheckMessage(body))
	}
	return nil // a batch is checked child by child when it is sent
}

type device struct{ client *iotda.Client }

func (d *device) Report(ctx context.Context, kind report.Kind, body []byte) *Failure {
	switch kind {
	case report.Properties:
		return failure(d.client.ReportPropertiesJSON(ctx, body))
	case report.Message:
		return failure(d.client.ReportMessage(ctx, body))
	}
	return failure(d.client.ReportBatchJSON(ctx, body))
}

func (d *device) Authenticate(ctx context.Context) *Failure {
	return failure(d.client.Authenticate(ctx))
}

func (d *device) ImportToken(saved string) error { return d.client.ImportToken(saved) }

// aDay is how long the platform's tokens are valid by its documentation.
const aDay = 24 * time.Hour

// Token keeps one for a day of which the platform does not say how long it lasts: ImportToken refuses it if it is over by
// then.
func (d *device) Token() (saved string, valid time.Duration) {
	saved, err := d.client.Token()
	if err != nil || saved == "" {
		return "", 0
	}
	valid, known := d.client.TokenRemaining()
	if !known {
		valid = aDay
	}
	return saved, valid
}

func (d *device) Close() { d.client.Close() }

// failure says what to do about an error of the library.
func failure(err error) *Failure {
	if err == nil {
		return nil
	}
	var failed *iotda.Error
	if !errors.As(err, &failed) { // the client is closed
		return &Failure{Verdict: Later, Kind: "closed", Reason: err.Error()}
	}
	found := &Failure{
		Verdict:    verdict(failed.Status),
		Kind:       strings.ToLower(strings.TrimPrefix(failed.Status.Name(), "IOTDA_E_")),
		Reason:     failed.Error(),
		Code:       failed.PlatformCode,
		HTTPStatus: failed.HTTPStatus,
		RetryAfter: failed.RetryAfter,
		OfTenant:   failed.PlatformCode == "IOTDA.021102",
	}
	for _, child := range failed.Children {
		found.Verdict = Partly
		found.Children = append(found.Children, Child{child.Index, verdict(child.Status), child.Error()})
	}
	return found
}

// verdict: an unknown child is refused too, although somebody may register it: until then it would hold back all that its
// gateway reports. Its part of the batch becomes a dead letter, which can be published again.
func verdict(status iotda.Status) Verdict {
	switch {
	case status == iotda.ErrTokenRejected:
		return NoToken
	case status == iotda.ErrUnknownChild, !status.Transient():
		return Refused
	}
	return Later
}
