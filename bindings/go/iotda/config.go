// The configuration of a client.

package iotda

import (
	"fmt"
	"log/slog"
	"time"
)

// Config holds the settings of a client. Endpoint, DeviceID and Secret are required; the zero value of everything else
// is its default.
//
// Printing a Config, by fmt or slog, shows neither secrets nor keys.
type Config struct {
	// Endpoint is the platform's address as the IoTDA console shows it: "https://host" or "https://host:port".
	Endpoint string
	// DeviceID is the device, or gateway, that the client reports for.
	DeviceID string
	// Secret is the device's secret: any bytes, not necessarily text. The library wipes its copy when the client is
	// freed; Go cannot wipe this one.
	Secret string
	// Token is an access token that [Client.Token] returned, or OnToken was given, before a restart. It is used while it
	// is valid, and spares an authentication. One that is damaged, expired, or of another device or endpoint is not used: a
	// warning in the log.
	Token string
	// OnToken is called after each authentication of the client, and of every device opened from it, with the device's id
	// and the new access token as [Client.Token] returns it, so that it can be kept over a restart or given to another
	// process. It is not called for a token that is imported. nil: nothing is called.
	//
	// It is called during the call that authenticated, for different devices at the same time. It may call Token and
	// ImportToken, of any client, and no other method of a client; it must not end the goroutine. If it panics, the call
	// goes on. Keep the token as secret as the device's secret.
	OnToken func(deviceID, token string)
	// AuthenticateWhenAsked leaves authentication to [Client.Authenticate]: no report authenticates, and no token is
	// renewed ahead of its expiry. A report without a valid token, or whose token the platform refuses, fails with
	// [ErrTokenRejected], also while another goroutine authenticates. It is for devices whose token several processes
	// share: the platform gives up a device's older token for a newer one, so that the process that authenticates takes
	// the device from the others; these stop until they are given the newer token, by [Client.ImportToken].
	AuthenticateWhenAsked bool
	// SignType is 0 or 1. With 0 a device whose clock is wrong can authenticate; with 1 the platform also compares the
	// device's time with its own.
	SignType int

	// Timeout is the most that a call may take, everything included. Default: 30 s. A context that ends earlier ends
	// the call earlier; a later deadline does not prolong it.
	Timeout time.Duration
	// ConnectTimeout is the most that connecting may take, TCP and TLS together. Default: 10 s.
	ConnectTimeout time.Duration
	// AttemptTimeout is the most that one attempt of a call may take. What has not been answered by then is tried again
	// in the time that is left of the call. Default: 10 s.
	AttemptTimeout time.Duration
	// Retry says how a call retries transient failures.
	Retry Retry
	// DeviceRate and TenantRate are the platform's limits where they are known, in reports per second, of each device
	// and of all devices together. Reports then wait for their turn instead of being refused. 0: not known; the client
	// slows down when the platform refuses a report, and speeds up again step by step.
	DeviceRate, TenantRate float64

	// MaxConcurrentCalls is how many calls may be on their way at the same time, over all devices that share the
	// client's connections; further ones wait, within their time. Each takes a thread of the system and a connection.
	// Default: 256.
	MaxConcurrentCalls int
	// MaxIdleConns is how many connections are kept open at most while nobody uses them. Default: as many as were lately used
	// at the same time; negative: none.
	MaxIdleConns int
	// IdleConnTimeout is how long they are kept. Default: 55 s.
	IdleConnTimeout time.Duration
	// KeepAlive is the time without traffic after which the system asks whether the platform is still there (TCP
	// keep-alive), to the second. 0: never.
	KeepAlive time.Duration

	// CAFile and CAPEM are certificate authorities in PEM, by a file or as text. They take the place of the public
	// authorities that are built in. At most one of the two.
	CAFile string
	CAPEM  []byte
	// ExtraCAFile and ExtraCAPEM are authorities to trust beside those. Both can be given.
	ExtraCAFile string
	ExtraCAPEM  []byte
	// ClientCertPEM and ClientKeyPEM are a certificate chain and its private key, by which the device shows who it is
	// in the TLS handshake.
	ClientCertPEM, ClientKeyPEM []byte
	// PinnedKeys are public keys of which one must be in the server's certificate chain, beside everything else that is
	// verified: each the SHA-256 of a SubjectPublicKeyInfo.
	PinnedKeys [][32]byte
	// TLS13 offers TLS 1.3 beside 1.2. The platform documents 1.2 alone.
	TLS13 bool

	// Proxy is the proxy to connect through by HTTP CONNECT: "http://host:port" or "http://user:password@host:port".
	Proxy string
	// ProxyFromEnvironment takes the proxy from https_proxy or HTTPS_PROXY, unless no_proxy or NO_PROXY exempts the
	// endpoint. At most one of the two.
	ProxyFromEnvironment bool

	// Logger receives what the client does: failed calls as errors, failed attempts as warnings, connections and
	// authentications as infos, each request as debug. No line holds a secret, a password or a token. Its level is asked
	// for once, when the client is made. nil: no log.
	//
	// The handler is called during the calls, at the same time by several of them, with the context of the call that the
	// line is about; the background for what an [Outbox] does by itself. It must not report through the client that it
	// logs for, and must not end the goroutine. If it panics, the line is lost and the call goes on.
	Logger *slog.Logger
	// Clock gives the time, for a device that gets it elsewhere than from its system. nil: the system's clock.
	//
	// It is called during the calls, at the same time by several of them. It must not use the client, and must not end
	// the goroutine. If it panics, the system's clock is taken.
	Clock func() time.Time
}

// Retry says how a call retries transient failures: no connection, no answer, a fault of the platform, a rate limit. It
// does so within its time alone.
type Retry struct {
	// MaxAttempts is how often a request is sent in all; 1: never again. Default: 10.
	MaxAttempts int
	// BaseDelay and MaxDelay bound the random pauses between attempts: up to BaseDelay before the second, twice that
	// before the third, and so on up to MaxDelay. Default: 500 ms and 10 s.
	BaseDelay, MaxDelay time.Duration
}

// The defaults that the library documents for what can only be set together.
const (
	defaultTimeout         = 30 * time.Second
	defaultAttempts        = 10
	defaultBaseDelay       = 500 * time.Millisecond
	defaultMaxDelay        = 10 * time.Second
	defaultIdleConnTimeout = 55 * time.Second
	defaultConcurrentCalls = 256
)

// String shows who the config is for, and no secret.
func (c Config) String() string {
	return fmt.Sprintf("iotda.Config{Endpoint:%q, DeviceID:%q, …}", c.Endpoint, c.DeviceID)
}

// GoString is String, for the verb %#v.
func (c Config) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
