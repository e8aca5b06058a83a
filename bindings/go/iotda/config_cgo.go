// How a Config becomes a client of the C library.

package iotda

/*
#include "current_call.h"

_Thread_local iotda_call_t *iotda_go_call;

// Exported by callbacks.go.
extern void goIotdaLog(uintptr_t handle, iotda_call_t *call, int32_t level, char *message);
extern int64_t goIotdaClock(uintptr_t handle);
extern void goIotdaToken(uintptr_t handle, char *device_id, char *token);
extern void goIotdaRelease(uintptr_t handle);

static void log_line(void *user_data, int32_t level, const char *message) {
    goIotdaLog((uintptr_t)user_data, iotda_go_call, level, (char *)message);
}

static int64_t unix_ms(void *user_data) {
    return goIotdaClock((uintptr_t)user_data);
}

static void issued(void *user_data, const char *device_id, const char *token) {
    goIotdaToken((uintptr_t)user_data, (char *)device_id, (char *)token);
}

static void release(void *user_data) {
    goIotdaRelease((uintptr_t)user_data);
}

static void set_log(iotda_config_t *config, int32_t level, uintptr_t handle) {
    iotda_config_set_log(config, level, log_line, (void *)handle, release);
}

static void set_clock(iotda_config_t *config, uintptr_t handle) {
    iotda_config_set_clock(config, unix_ms, (void *)handle, release);
}

static void set_token_callback(iotda_config_t *config, uintptr_t handle) {
    iotda_config_set_token_callback(config, issued, (void *)handle, release);
}

// Bytes that Go passes as what they are, and not as an unknown pointer, which cgo would look through for others.
static void set_device(iotda_config_t *config, const char *id, const char *secret, size_t secret_len) {
    iotda_config_set_device(config, id, secret, secret_len);
}

static void set_ca_pem(iotda_config_t *config, const char *pem, size_t len) {
    iotda_config_set_ca_pem(config, pem, len);
}

static void add_ca_pem(iotda_config_t *config, const char *pem, size_t len) {
    iotda_config_add_ca_pem(config, pem, len);
}

static void set_client_certificate(iotda_config_t *config, const char *chain, size_t chain_len, const char *key,
                                   size_t key_len) {
    iotda_config_set_client_certificate(config, chain, chain_len, key, key_len);
}

static void add_pinned_key(iotda_config_t *config, const unsigned char *sha256, size_t len) {
    iotda_config_add_pinned_key(config, sha256, len);
}
*/
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime/cgo"
	"strings"
	"time"
	"unsafe"
)

// build makes the C client. What is wrong with a setting is remembered by the C config and reported by iotda_init.
func (c *Config) build() (*C.iotda_client_t, error) {
	if version := C.iotda_abi_version(); version != C.IOTDA_ABI_VERSION {
		return nil, configError("the libiotda that was found has binary interface %d; this package needs %d",
			version, C.IOTDA_ABI_VERSION)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	config := C.iotda_config_new()
	if config == nil {
		return nil, &Error{Status: ErrInternal, Op: "new", Message: "there is no config to be had from libiotda"}
	}
	defer C.iotda_config_free(config)
	c.setIdentity(config)
	c.setTimes(config)
	c.setTrust(config)
	c.setWay(config)
	c.setCallbacks(config)

	var client *C.iotda_client_t
	call := newCall()
	if status := C.iotda_init(config, &client, call); status != C.IOTDA_OK {
		return nil, callError(Status(status), "new", c.DeviceID, call)
	}
	return client, nil
}

// check finds what has no form in C.
func (c *Config) check() error {
	for _, text := range []struct{ name, value string }{
		{"Endpoint", c.Endpoint}, {"DeviceID", c.DeviceID},
		{"CAFile", c.CAFile}, {"ExtraCAFile", c.ExtraCAFile}, {"Proxy", c.Proxy},
	} {
		if strings.IndexByte(text.value, 0) >= 0 {
			return configError("%s holds a zero byte", text.name)
		}
	}
	for _, duration := range []struct {
		name  string
		value time.Duration
	}{
		{"Timeout", c.Timeout}, {"ConnectTimeout", c.ConnectTimeout}, {"AttemptTimeout", c.AttemptTimeout},
		{"Retry.BaseDelay", c.Retry.BaseDelay}, {"Retry.MaxDelay", c.Retry.MaxDelay},
		{"IdleConnTimeout", c.IdleConnTimeout}, {"KeepAlive", c.KeepAlive},
	} {
		if duration.value < 0 {
			return configError("%s is negative", duration.name)
		}
	}
	switch {
	case c.Retry.MaxAttempts < 0:
		return configError("Retry.MaxAttempts is negative")
	case c.MaxConcurrentCalls < 0:
		return configError("MaxConcurrentCalls is negative")
	case c.CAFile != "" && c.CAPEM != nil:
		return configError("CAFile and CAPEM are both given")
	case c.Proxy != "" && c.ProxyFromEnvironment:
		return configError("Proxy and ProxyFromEnvironment are both given")
	case int(C.int32_t(c.SignType)) != c.SignType:
		return configError("SignType is %d: it is 0 or 1", c.SignType)
	}
	return nil
}

func configError(format string, args ...any) error {
	return &Error{Status: ErrConfig, Op: "new", Message: fmt.Sprintf(format, args...)}
}

func (c *Config) setIdentity(config *C.iotda_config_t) {
	// What is empty is left out: iotda_init then says that it is missing.
	if c.Endpoint != "" {
		C.iotda_config_set_endpoint(config, terminated(c.Endpoint))
	}
	if c.DeviceID != "" || c.Secret != "" {
		C.set_device(config, terminated(c.DeviceID), text(c.Secret), C.size_t(len(c.Secret)))
	}
	if c.Token != "" {
		C.iotda_config_set_token(config, savedToken(c.Token))
	}
	if c.AuthenticateWhenAsked {
		C.iotda_config_set_authentication(config, C.IOTDA_AUTHENTICATE_WHEN_ASKED)
	}
	C.iotda_config_set_sign_type(config, C.int32_t(c.SignType))
}

func (c *Config) setTimes(config *C.iotda_config_t) {
	C.iotda_config_set_timeout_ms(config, milliseconds(c.timeout()))
	if c.ConnectTimeout != 0 {
		C.iotda_config_set_connect_timeout_ms(config, milliseconds(c.ConnectTimeout))
	}
	if c.AttemptTimeout != 0 {
		C.iotda_config_set_attempt_timeout_ms(config, milliseconds(c.AttemptTimeout))
	}
	if c.Retry != (Retry{}) {
		C.iotda_config_set_retry(config, count(orDefault(c.Retry.MaxAttempts, defaultAttempts)),
			milliseconds(orDefault(c.Retry.BaseDelay, defaultBaseDelay)),
			milliseconds(orDefault(c.Retry.MaxDelay, defaultMaxDelay)))
	}
	C.iotda_config_set_rates(config, C.double(c.DeviceRate), C.double(c.TenantRate))
}

func (c *Config) setTrust(config *C.iotda_config_t) {
	if c.CAFile != "" {
		C.iotda_config_set_ca_file(config, terminated(c.CAFile))
	}
	if c.CAPEM != nil {
		C.set_ca_pem(config, view(c.CAPEM), C.size_t(len(c.CAPEM)))
	}
	if c.ExtraCAFile != "" {
		C.iotda_config_add_ca_file(config, terminated(c.ExtraCAFile))
	}
	if c.ExtraCAPEM != nil {
		C.add_ca_pem(config, view(c.ExtraCAPEM), C.size_t(len(c.ExtraCAPEM)))
	}
	if c.ClientCertPEM != nil || c.ClientKeyPEM != nil {
		C.set_client_certificate(config, view(c.ClientCertPEM), C.size_t(len(c.ClientCertPEM)),
			view(c.ClientKeyPEM), C.size_t(len(c.ClientKeyPEM)))
	}
	for i := range c.PinnedKeys {
		key := &c.PinnedKeys[i]
		C.add_pinned_key(config, (*C.uchar)(&key[0]), C.size_t(len(key)))
	}
	C.iotda_config_set_tls_1_3(config, C.bool(c.TLS13))
}

func (c *Config) setWay(config *C.iotda_config_t) {
	if c.MaxIdleConns != 0 || c.IdleConnTimeout != 0 {
		kept := C.uint32_t(C.IOTDA_POOL_AS_USED)
		if c.MaxIdleConns != 0 {
			kept = count(max(c.MaxIdleConns, 0))
		}
		C.iotda_config_set_pool(config, kept, milliseconds(orDefault(c.IdleConnTimeout, defaultIdleConnTimeout)))
	}
	C.iotda_config_set_max_connections(config, count(orDefault(c.MaxConcurrentCalls, defaultConcurrentCalls)))
	if c.KeepAlive != 0 {
		seconds := (milliseconds(c.KeepAlive)-1)/1000 + 1
		C.iotda_config_set_tcp_keepalive_s(config, seconds)
	}
	if c.Proxy != "" {
		C.iotda_config_set_proxy(config, terminated(c.Proxy))
	}
	if c.ProxyFromEnvironment {
		C.iotda_config_set_proxy_from_environment(config)
	}
}

func (c *Config) setCallbacks(config *C.iotda_config_t) {
	if c.Clock != nil {
		C.set_clock(config, C.uintptr_t(cgo.NewHandle(c.Clock)))
	}
	if c.OnToken != nil {
		C.set_token_callback(config, C.uintptr_t(cgo.NewHandle(c.OnToken)))
	}
	if c.Logger == nil {
		return
	}
	handler := c.Logger.Handler()
	for level := C.int32_t(C.IOTDA_LOG_DEBUG); level >= C.IOTDA_LOG_ERROR; level-- {
		// A higher number is of less weight.
		if handler.Enabled(context.Background(), slogLevelOf(int32(level))) {
			C.set_log(config, level, C.uintptr_t(cgo.NewHandle(handler)))
			return
		}
	}
}

func slogLevelOf(level int32) slog.Level {
	switch level {
	case C.IOTDA_LOG_ERROR:
		return slog.LevelError
	case C.IOTDA_LOG_WARNING:
		return slog.LevelWarn
	case C.IOTDA_LOG_INFO:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

func (c *Config) timeout() time.Duration { return orDefault(c.Timeout, defaultTimeout) }

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// milliseconds ends at what C can express: 49 days.
func milliseconds(d time.Duration) C.uint32_t { return roundedUp(d, time.Millisecond) }

// roundedUp is a duration in a unit, rounded up so that what is not zero stays so, and at most what C can express.
func roundedUp(d, unit time.Duration) C.uint32_t {
	count := d / unit
	if d%unit > 0 {
		count++
	}
	return C.uint32_t(min(count, math.MaxUint32))
}

func count(n int) C.uint32_t { return C.uint32_t(min(int64(n), math.MaxUint32)) }

// terminated is a copy with the zero byte that C wants at the end.
func terminated(s string) *C.char {
	bytes := make([]byte, len(s)+1)
	copy(bytes, s)
	return view(bytes)
}

// savedToken is a saved token as C takes it. One with a zero byte was damaged, and is not cut there: C says that it is none.
func savedToken(s string) *C.char {
	if strings.IndexByte(s, 0) >= 0 {
		return terminated("damaged")
	}
	return terminated(s)
}

// text and view show C the bytes where they are, for the time of a call; NULL or not if there are none.
func text(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

func view(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }
