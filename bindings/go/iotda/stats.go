// What takes no network: counters, the token, the platform's time, the version.

package iotda

/*
#include "iotda.h"

#cgo noescape iotda_stats
#cgo nocallback iotda_stats
#cgo nocallback iotda_version
*/
import "C"

import (
	"strings"
	"time"
)

// Stats are counters since the client was made, over all devices that share its connections.
type Stats struct {
	// Requests sent, authentications not counted.
	Requests uint64
	// Authentications sent.
	Authentications uint64
	// Retries are attempts that were made after a failure.
	Retries uint64
	// BodyBytesSent are bytes of request bodies.
	BodyBytesSent uint64
	// BytesSent and BytesReceived are bytes of the network, TLS included.
	BytesSent, BytesReceived uint64
	// HandshakesFull are TLS handshakes with a certificate, HandshakesResumed those that resumed a session.
	HandshakesFull, HandshakesResumed uint64
	// PacingWaits are reports that waited so as not to meet a rate limit.
	PacingWaits uint64
}

// Stats reads the counters. It never blocks. Of a client that is closed they are all zero.
func (c *Client) Stats() Stats {
	if !c.acquire() {
		return Stats{}
	}
	defer c.handle.release()
	stats := C.iotda_stats_t{struct_size: C.sizeof_iotda_stats_t}
	C.iotda_stats(c.handle.client, &stats)
	return Stats{
		Requests:          uint64(stats.requests),
		Authentications:   uint64(stats.authentications),
		Retries:           uint64(stats.retries),
		BodyBytesSent:     uint64(stats.body_bytes_sent),
		BytesSent:         uint64(stats.bytes_sent),
		BytesReceived:     uint64(stats.bytes_received),
		HandshakesFull:    uint64(stats.handshakes_full),
		HandshakesResumed: uint64(stats.handshakes_resumed),
		PacingWaits:       uint64(stats.pacing_waits),
	}
}

// Token returns the access token and its expiry as one text, for Config.Token or [Client.DeviceWithToken] after a restart,
// or for [Client.ImportToken] in another process; "" if there is no valid one. Keep it as secret as the device's secret. It
// never blocks.
func (c *Client) Token() (string, error) {
	if !c.acquire() {
		return "", ErrClosed
	}
	defer c.handle.release()
	// Enough for a token of the length that the platform documents; if it is not, C says how much is.
	out := make([]C.char, 512)
	call := newCall()
	for {
		var length C.size_t
		status := C.iotda_token_export(c.handle.client, &out[0], C.size_t(len(out)), &length, call)
		switch {
		case status == C.IOTDA_OK:
			return strings.Clone(fixedText(out)), nil
		case int(length) < len(out):
			return "", callError(Status(status), "token", c.deviceID, call)
		}
		out = make([]C.char, length+1)
	}
}

// TokenRemaining is how long the present access token is still valid, to the millisecond: for a program that keeps the
// token only as long. False if there is no valid token, or if the platform did not say how long it lasts. It never blocks.
func (c *Client) TokenRemaining() (time.Duration, bool) {
	if !c.acquire() {
		return 0, false
	}
	defer c.handle.release()
	ms := C.iotda_token_remaining_ms(c.handle.client)
	return time.Duration(ms) * time.Millisecond, ms != 0
}

// ImportToken puts an access token of this device to use that [Client.Token] returned or Config.OnToken was given, in this
// process or in another, instead of the present one. Calls that wait for an authentication go on with it; one that is under
// way goes on, and its token replaces this one.
//
// One that is damaged, expired, or of another device or endpoint is refused with [ErrInvalidArgument], and the present one
// stays. It never blocks.
func (c *Client) ImportToken(token string) error {
	if !c.acquire() {
		return ErrClosed
	}
	defer c.handle.release()
	call := newCall()
	status := C.iotda_token_import(c.handle.client, savedToken(token), call)
	if status != C.IOTDA_OK {
		return callError(Status(status), "import token", c.deviceID, call)
	}
	return nil
}

// ServerTime returns the platform's time, from its last answer and the time that has passed since; false if no answer
// had it yet. Its resolution is one second, and it is late by the time that the answer took. It never blocks.
func (c *Client) ServerTime() (time.Time, bool) {
	if !c.acquire() {
		return time.Time{}, false
	}
	defer c.handle.release()
	ms := C.iotda_server_time_ms(c.handle.client)
	return time.UnixMilli(int64(ms)).UTC(), ms != 0
}

// Version is the version of the library, such as "0.1.0".
func Version() string { return C.GoString(C.iotda_version()) }
