//go:build cgo

// The error of each failure.

package iotda_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

var statuses = []iotda.Status{
	iotda.ErrInvalidArgument, iotda.ErrTooLarge, iotda.ErrConfig, iotda.ErrDNS, iotda.ErrConnect, iotda.ErrTLS,
	iotda.ErrClock, iotda.ErrTimeout, iotda.ErrCancelled, iotda.ErrAuthFailed, iotda.ErrTokenRejected,
	iotda.ErrRateLimited, iotda.ErrUnknownChild, iotda.ErrRejected, iotda.ErrServer, iotda.ErrProtocol, iotda.ErrPartial,
	iotda.ErrForked, iotda.ErrInternal, iotda.ErrStorage, iotda.ErrFull, iotda.ErrExpired,
}

// is fails the test unless err is an *iotda.Error of this status and no other, and returns it.
func is(t *testing.T, err error, want iotda.Status) *iotda.Error {
	t.Helper()
	var failed *iotda.Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v is no *iotda.Error", err)
	}
	for _, status := range statuses {
		if errors.Is(err, status) != (status == want) {
			t.Fatalf("%v is %s, or is not, where %s is wanted", err, status.Name(), want.Name())
		}
	}
	if failed.Status != want || failed.Message == "" || strings.Contains(failed.Message, secret) {
		t.Fatalf("%+v", failed)
	}
	return failed
}

func TestEveryStatusHasANameAndAText(t *testing.T) {
	names := map[string]bool{}
	for _, status := range statuses {
		if name := status.Name(); name == "IOTDA_E_UNKNOWN" || names[name] {
			t.Errorf("%d is called %s", int32(status), name)
		} else {
			names[name] = true
		}
		if text := status.Error(); !strings.HasPrefix(text, "iotda: ") || len(text) < 20 {
			t.Errorf("%s says %q", status.Name(), text)
		}
	}
}

func TestEachFailureHasItsError(t *testing.T) {
	p := newPlatform(t)
	for name, test := range map[string]struct {
		fault  string
		want   iotda.Status
		code   string
		status int
	}{
		"rate":     {`{"kind":"answer","code":"IOTDA.021101","retry_after":7}`, iotda.ErrRateLimited, "IOTDA.021101", 403},
		"tenant":   {`{"kind":"answer","code":"IOTDA.021102","retry_after":7}`, iotda.ErrRateLimited, "IOTDA.021102", 403},
		"data":     {`{"kind":"answer","code":"IOTDA.000006","on":"message"}`, iotda.ErrRejected, "IOTDA.000006", 400},
		"secret":   {`{"kind":"answer","code":"IOTDA.000002","on":"auth"}`, iotda.ErrAuthFailed, "IOTDA.000002", 401},
		"token":    {`{"kind":"answer","code":"IOTDA.000004","on":"message"}`, iotda.ErrTokenRejected, "IOTDA.000004", 403},
		"server":   {`{"kind":"answer","status":503,"body":"<html>"}`, iotda.ErrServer, "", 503},
		"redirect": {`{"kind":"answer","status":302,"location":"/"}`, iotda.ErrProtocol, "", 302},
		"garbage":  {`{"kind":"garbage","text":"SSH-2.0-x\r\n"}`, iotda.ErrProtocol, "", 0},
		"name":     {`{"kind":"certificate","show":"wrong_name"}`, iotda.ErrTLS, "", 0},
		"cut":      {`{"kind":"wire_cut","direction":"received","after":0}`, iotda.ErrConnect, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.fault(t, test.fault)
			defer p.withdraw(t)
			client := p.client(t, once)
			err := is(t, client.ReportMessage(t.Context(), []byte("x")), test.want)
			if err.PlatformCode != test.code || err.HTTPStatus != test.status || err.Timeout() {
				t.Errorf("%+v", err)
			}
			if strings.Contains(test.fault, "retry_after") && err.RetryAfter != 7*time.Second {
				t.Errorf("to be tried again after %v", err.RetryAfter)
			}
			if err.DeviceID != deviceID || err.Op != "report message" || errors.Is(err, context.Canceled) {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, `{"kind":"answer","status":500,"on":"message"}`)
	client := p.client(t, func(config *iotda.Config) {
		config.Retry = iotda.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}
	})
	if err := is(t, client.ReportMessage(t.Context(), nil), iotda.ErrServer); err.Attempts != 3 {
		t.Errorf("%d attempts", err.Attempts)
	}
	if retries := client.Stats().Retries; retries != 2 {
		t.Errorf("%d retries", retries)
	}
	p.withdraw(t)
	p.fault(t, `{"kind":"answer","status":500,"on":"message","times":2}`)
	must(t, client.ReportMessage(t.Context(), nil))
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	listener.Close()
	client, err := iotda.New(iotda.Config{Endpoint: "https://" + address, DeviceID: "d", Secret: "s",
		Retry: iotda.Retry{MaxAttempts: 1}})
	must(t, err)
	defer client.Close()
	is(t, client.Authenticate(t.Context()), iotda.ErrConnect)
}

func TestAReportThatIsTooLarge(t *testing.T) {
	p := newPlatform(t)
	is(t, p.client(t).ReportMessage(t.Context(), make([]byte, 1<<20)), iotda.ErrTooLarge)
	must(t, p.client(t).ReportMessage(t.Context(), make([]byte, 1<<20-1)))
}

func TestAWrongConfigIsRefusedByNew(t *testing.T) {
	right := iotda.Config{Endpoint: "https://localhost", DeviceID: "d", Secret: "s"}
	file := filepath.Join(t.TempDir(), "no.pem")
	must(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	for name, change := range map[string]func(*iotda.Config){
		"no endpoint": func(c *iotda.Config) { c.Endpoint = "" },
		"https://":    func(c *iotda.Config) { c.Endpoint = "http://localhost" },
		"device":      func(c *iotda.Config) { c.DeviceID, c.Secret = "", "" },
		"secret":      func(c *iotda.Config) { c.Secret = "" },
		"zero byte":   func(c *iotda.Config) { c.DeviceID = "a\x00b" },
		"sign":        func(c *iotda.Config) { c.SignType = 2 },
		// In C it has 32 bits, and in Go as many or more.
		strconv.Itoa(math.MaxInt): func(c *iotda.Config) { c.SignType = math.MaxInt },
		"Timeout":                 func(c *iotda.Config) { c.Timeout = -1 },
		"KeepAlive":               func(c *iotda.Config) { c.KeepAlive = -time.Second },
		"Retry.MaxAttempts":       func(c *iotda.Config) { c.Retry.MaxAttempts = -1 },
		"MaxConcurrentCalls":      func(c *iotda.Config) { c.MaxConcurrentCalls = -1 },
		"rate":                    func(c *iotda.Config) { c.DeviceRate = -1 },
		"ca_file":                 func(c *iotda.Config) { c.CAFile = filepath.Join(t.TempDir(), "none.pem") },
		"ca_pem":                  func(c *iotda.Config) { c.CAPEM = []byte{} },
		"add_ca_file":             func(c *iotda.Config) { c.ExtraCAFile = file },
		"add_ca_pem":              func(c *iotda.Config) { c.ExtraCAPEM = []byte("x") },
		"CAPEM":                   func(c *iotda.Config) { c.CAFile, c.CAPEM = file, []byte("x") },
		"client_certificate":      func(c *iotda.Config) { c.ClientCertPEM = []byte("x") },
		"proxy":                   func(c *iotda.Config) { c.Proxy = "ftp://x" },
		"Proxy":                   func(c *iotda.Config) { c.Proxy, c.ProxyFromEnvironment = "http://x:1", true },
	} {
		config := right
		change(&config)
		client, err := iotda.New(config)
		var failed *iotda.Error
		if client != nil || !errors.As(err, &failed) ||
			!(errors.Is(err, iotda.ErrConfig) || errors.Is(err, iotda.ErrInvalidArgument)) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not say %q", err, name)
		}
	}
	// A saved token that is damaged is no reason not to start: the client authenticates.
	right.Token = "no token"
	client, err := iotda.New(right)
	must(t, err)
	var closer io.Closer = client
	must(t, closer.Close())
}

func TestWhatIsTransientIsKept(t *testing.T) {
	for _, status := range statuses {
		verdict := status == iotda.ErrInvalidArgument || status == iotda.ErrTooLarge || status == iotda.ErrRejected ||
			status == iotda.ErrExpired
		if status.Transient() == verdict || (&iotda.Error{Status: status}).Transient() == verdict {
			t.Errorf("%s is transient: %v", status.Name(), status.Transient())
		}
	}
}

func TestWhetherAReportMayHaveArrived(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, once)
	must(t, client.Authenticate(t.Context()))
	for fault, arrived := range map[string]bool{
		`{"kind":"answer","code":"IOTDA.000006"}`:                     false,
		`{"kind":"response_cut","after":0}`:                           true,
		`{"kind":"delay","before":"header","on":"message","times":1}`: true,
	} {
		p.fault(t, fault)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		var failed *iotda.Error
		err := client.ReportMessage(ctx, []byte("x"))
		if !errors.As(err, &failed) || failed.MayHaveArrived != arrived {
			t.Errorf("%s: %+v", fault, failed)
		}
		cancel()
		p.withdraw(t)
	}
}

func TestAChildsErrorIsOne(t *testing.T) {
	var err error = iotda.ChildError{Index: 3, DeviceID: "meter", Status: iotda.ErrUnknownChild}
	if !errors.Is(err, iotda.ErrUnknownChild) || !strings.HasPrefix(err.Error(), "iotda: children[3] (meter): A child device") {
		t.Error(err)
	}
}
