// A lane's client and its access token, which all workers share.

package worker

import (
	"context"
	"errors"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/platform"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

// tokenState is what a lane knows of its device's token.
type tokenState struct {
	has   bool
	saved tokens.Saved // the last one that was read or written
	// failures counts refusals in a row.
	failures int
}

// lost says that the platform has refused the token, or that it has expired.
func (t *tokenState) lost() {
	t.has = false
	t.failures++
}

// ready makes sure that the lane has a client with a token. If it has not, the lane has to wait for the pause.
func (w *Worker) ready(ctx context.Context, l *deviceLane) (pause time.Duration, ready bool) {
	if l.client == nil {
		secret, err := w.config.Secrets.Secret(ctx, l.device)
		if err == nil {
			l.client, err = w.config.Platform.Open(l.device, secret)
		}
		if err != nil {
			w.counters.failures.Add("secret", 1)
			if !errors.Is(err, secrets.ErrUnknown) {
				w.logger.Warn("a device has no client", "device", l.device, "error", err)
			}
			return w.hold(l, &platform.Failure{Reason: err.Error(), RetryAfter: w.config.SecretPause}), false
		}
	}
	if l.token.has {
		return 0, true
	}
	saved, err := w.tokens.Get(ctx, l.device)
	if err != nil {
		w.counters.failures.Add("tokens", 1)
		return w.hold(l, &platform.Failure{Reason: err.Error()}), false
	}
	// One that was refused a moment ago is not tried again; one that another worker has put there since is.
	isNew := saved.Revision != l.token.saved.Revision
	l.token.saved = saved
	if saved.Text != "" && isNew && l.client.ImportToken(saved.Text) == nil {
		l.token.has = true
		return 0, true
	}
	return w.authenticate(ctx, l)
}

// authenticate gets a new token and shares it.
func (w *Worker) authenticate(ctx context.Context, l *deviceLane) (pause time.Duration, ready bool) {
	bounded, cancel := w.heart.bound(ctx, l.epoch.term, 0)
	defer cancel()
	if bounded.Err() != nil {
		return tick, false
	}
	w.counters.authentications.Add(1)
	if failure := l.client.Authenticate(bounded); failure != nil {
		w.counters.failures.Add("authentication_"+failure.Kind, 1)
		if failure.OfTenant {
			w.pacer.Refused()
		}
		if failure.Kind == "auth_failed" && failure.RetryAfter == 0 {
			failure.RetryAfter = w.config.SecretPause // somebody has to correct the secret
			l.client.Close()
			l.client = nil
		}
		return w.hold(l, failure), false
	}
	text, valid := l.client.Token()
	if text == "" {
		return w.hold(l, &platform.Failure{Reason: "authenticated, but there is no token"}), false
	}
	l.token.has = true
	saved, kept, err := w.tokens.Put(ctx, l.device, text, l.token.saved, valid)
	switch {
	case err != nil: // the next owner authenticates again
		w.counters.failures.Add("tokens", 1)
		w.logger.Warn("a token could not be shared", "device", l.device, "error", err)
	case kept:
		l.token.saved = saved
	default:
		l.token.saved = saved
		l.token.has = l.client.ImportToken(saved.Text) == nil
	}
	return 0, l.token.has
}
