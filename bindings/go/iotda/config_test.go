//go:build cgo

// Every setting does what it says.

package iotda_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func TestTrust(t *testing.T) {
	p := newPlatform(t)
	authority, err := os.ReadFile(p.caFile)
	must(t, err)
	connection, err := tls.Dial("tcp", strings.TrimPrefix(p.endpoint, "https://"), &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	defer connection.Close()
	key := sha256.Sum256(connection.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	for name, test := range map[string]struct {
		change func(*iotda.Config)
		trusts bool
	}{
		"CAFile":      {func(*iotda.Config) {}, true},
		"CAPEM":       {func(c *iotda.Config) { c.CAFile, c.CAPEM = "", authority }, true},
		"ExtraCAFile": {func(c *iotda.Config) { c.CAFile, c.ExtraCAFile = "", p.caFile }, true},
		"ExtraCAPEM":  {func(c *iotda.Config) { c.CAFile, c.ExtraCAPEM = "", authority }, true},
		"none":        {func(c *iotda.Config) { c.CAFile = "" }, false},
		"pinned":      {func(c *iotda.Config) { c.PinnedKeys = [][32]byte{{}, key} }, true},
		"not pinned":  {func(c *iotda.Config) { c.PinnedKeys = [][32]byte{{1}, {2}} }, false},
	} {
		err := p.client(t, once, test.change).Authenticate(t.Context())
		if (err == nil) != test.trusts {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			is(t, err, iotda.ErrTLS)
		}
	}
}

// tlsServer sends how the handshake of each connection went.
func tlsServer(t *testing.T, config *tls.Config) (endpoint string, authority []byte, handshakes chan tls.ConnectionState) {
	t.Helper()
	certificate, leaf := selfSigned(t)
	config.Certificates = []tls.Certificate{certificate}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	handshakes = make(chan tls.ConnectionState, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if connection.(*tls.Conn).Handshake() == nil {
				handshakes <- connection.(*tls.Conn).ConnectionState()
			}
			connection.Close()
		}
	}()
	return "https://" + listener.Addr().String(), leaf, handshakes
}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestHandshakes(t *testing.T) {
	mine, minePEM := selfSigned(t)
	der, err := x509.MarshalPKCS8PrivateKey(mine.PrivateKey)
	must(t, err)
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, test := range map[string]struct {
		change func(*iotda.Config)
		right  func(tls.ConnectionState) bool
	}{
		"TLS 1.2": {func(*iotda.Config) {}, func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS12 }},
		"TLS 1.3": {func(c *iotda.Config) { c.TLS13 = true }, func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS13 }},
		"nobody":  {func(*iotda.Config) {}, func(s tls.ConnectionState) bool { return len(s.PeerCertificates) == 0 }},
		"client": {func(c *iotda.Config) { c.ClientCertPEM, c.ClientKeyPEM = minePEM, keyPEM }, func(s tls.ConnectionState) bool {
			return len(s.PeerCertificates) == 1 && bytes.Equal(s.PeerCertificates[0].Raw, mine.Certificate[0])
		}},
	} {
		endpoint, authority, handshakes := tlsServer(t, &tls.Config{ClientAuth: tls.RequestClientCert})
		config := iotda.Config{Endpoint: endpoint, DeviceID: "d", Secret: "s", CAPEM: authority,
			Retry: iotda.Retry{MaxAttempts: 1}}
		test.change(&config)
		client, err := iotda.New(config)
		must(t, err)
		// The server closes after the handshake.
		is(t, client.Authenticate(t.Context()), iotda.ErrConnect)
		client.Close()
		if state := <-handshakes; !test.right(state) {
			t.Errorf("%s: version %x, %d certificates", name, state.Version, len(state.PeerCertificates))
		}
	}
}

// proxy is an HTTP proxy that records what it is asked for.
func proxy(t *testing.T) (address string, asked *atomic.Value, count *atomic.Int32) {
	t.Helper()
	asked, count = &atomic.Value{}, &atomic.Int32{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		asked.Store(r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization"))
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			there.Close()
			return
		}
		go func() {
			io.Copy(there, buffered)
			there.Close()
		}()
		io.Copy(here, there)
		here.Close()
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), asked, count
}

func TestProxies(t *testing.T) {
	p := newPlatform(t)
	host := strings.TrimPrefix(p.endpoint, "https://")
	address, asked, count := proxy(t)
	client := p.client(t, func(c *iotda.Config) { c.Proxy = "http://me:p%40ss@" + address })
	must(t, client.ReportMessage(t.Context(), nil))
	if want := "CONNECT " + host + " Basic bWU6cEBzcw=="; asked.Load() != want {
		t.Errorf("%q instead of %q", asked.Load(), want)
	}
	client.Close()

	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "") // to have it restored
		os.Unsetenv(name)
	}
	t.Setenv("HTTPS_PROXY", "http://"+address)
	for i, fromEnvironment := range []bool{false, true} {
		client := p.client(t, func(c *iotda.Config) { c.ProxyFromEnvironment = fromEnvironment })
		must(t, client.ReportMessage(t.Context(), nil))
		client.Close()
		if count.Load() != int32(1+i) {
			t.Errorf("the proxy was asked %d times", count.Load())
		}
	}
}

func TestTimeoutsOfOneAttempt(t *testing.T) {
	p := newPlatform(t)
	for name, test := range map[string]struct {
		fault  string
		change func(*iotda.Config)
	}{
		"ConnectTimeout": {`{"kind":"handshake_stall","after":"client_hello","times":1}`, func(c *iotda.Config) { c.ConnectTimeout = 50 * time.Millisecond }},
		"AttemptTimeout": {`{"kind":"delay","before":"header","times":1}`, func(c *iotda.Config) { c.AttemptTimeout = 50 * time.Millisecond }},
	} {
		client := p.client(t, test.change, func(c *iotda.Config) {
			// Less than the defaults of both, with which the call would therefore fail.
			c.Timeout = 5 * time.Second
			c.Retry = iotda.Retry{MaxAttempts: 2, BaseDelay: time.Millisecond}
		})
		p.fault(t, test.fault)
		if err := client.ReportMessage(t.Context(), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
	if done := p.faultsDone(t); done != 2 {
		t.Errorf("%d faults", done)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	for name, test := range map[string]struct {
		conns, want int
	}{"by default": {0, 1}, "MaxIdleConns": {-1, 4}} {
		p := newPlatform(t)
		client := p.client(t, func(c *iotda.Config) { c.MaxIdleConns = test.conns })
		for range 3 {
			must(t, client.ReportMessage(t.Context(), nil))
		}
		// The authentication and three messages.
		if connections := p.counters(t).Connections; connections != test.want {
			t.Errorf("%s: %d connections", name, connections)
		}
	}
	p := newPlatform(t)
	client := p.client(t, func(c *iotda.Config) { c.IdleConnTimeout = time.Nanosecond })
	for p.counters(t).Connections < 3 {
		must(t, client.ReportMessage(t.Context(), nil))
	}
}

// As many connections as calls run at the same time, and no more are opened when the next calls come.
func TestManyCallsUseFewConnections(t *testing.T) {
	const goroutines, rounds = 64, 5
	for name, test := range map[string]struct {
		calls, want int
	}{"by default": {0, goroutines}, "MaxConcurrentCalls": {4, 4}} {
		p := newPlatform(t)
		client := p.client(t, func(c *iotda.Config) { c.MaxConcurrentCalls = test.calls })
		for range rounds {
			var group sync.WaitGroup
			for range goroutines {
				group.Add(1)
				go func() {
					defer group.Done()
					if err := client.ReportMessage(t.Context(), nil); err != nil {
						t.Error(err)
					}
				}()
			}
			group.Wait()
		}
		stats := client.Stats()
		if handshakes := stats.HandshakesFull + stats.HandshakesResumed; handshakes > uint64(test.want) {
			t.Errorf("%s: %d handshakes for %d requests", name, handshakes, stats.Requests)
		}
	}
}

func TestKnownRatesArePaced(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, func(c *iotda.Config) { c.DeviceRate, c.TenantRate = 50, 50 })
	for range 60 {
		must(t, client.ReportMessage(t.Context(), nil))
	}
	if waits := client.Stats().PacingWaits; waits == 0 {
		t.Error("no report has waited")
	}
}

// The system says of each connection which of its timers runs; 2 is that of the keep-alive.
func TestKeepAlive(t *testing.T) {
	for _, keepAlive := range []time.Duration{0, 1500 * time.Millisecond} {
		p := newPlatform(t)
		client := p.client(t, func(c *iotda.Config) { c.KeepAlive = keepAlive })
		must(t, client.ReportMessage(t.Context(), nil))
		_, port, err := net.SplitHostPort(strings.TrimPrefix(p.endpoint, "https://"))
		must(t, err)
		number, err := strconv.Atoi(port)
		must(t, err)
		connections, err := os.ReadFile("/proc/self/net/tcp")
		must(t, err)
		found := false
		for _, line := range strings.Split(string(connections), "\n") {
			fields := strings.Fields(line) // sl local remote state queues timer ...
			if len(fields) < 6 || !strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", number)) || fields[3] != "01" {
				continue
			}
			found = true
			if timer := fields[5][:2]; (timer == "02") != (keepAlive != 0) {
				t.Errorf("a keep-alive of %v, and the timer %s", keepAlive, timer)
			}
		}
		if !found {
			t.Errorf("no connection to %s:\n%s", p.endpoint, connections)
		}
	}
}

func TestASecretIsAnyBytes(t *testing.T) {
	p := newPlatform(t)
	// The platform's command line can name text alone: what is sent for other bytes is refused as wrong, not as malformed.
	client := p.client(t, once, func(c *iotda.Config) { c.Secret = "a\x00\xff" })
	is(t, client.Authenticate(context.Background()), iotda.ErrAuthFailed)
}

func TestAConfigIsPrintedWithoutItsSecrets(t *testing.T) {
	config := iotda.Config{Endpoint: "https://example.com", DeviceID: "d", Secret: "hidden", Token: "hidden",
		Proxy: "http://me:hidden@proxy", ClientKeyPEM: []byte("hidden")}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("start", "config", config)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("start", "config", config)
	for _, text := range []string{fmt.Sprint(config), fmt.Sprintf("%v %+v %#v %s", config, config, config, config), logged.String()} {
		if strings.Contains(text, "hidden") || strings.Contains(text, "104 105 100") || !strings.Contains(text, "example.com") {
			t.Error(text)
		}
	}
}
