// A client: who reports, and how its end is brought together with the calls that still run.

package iotda

/*
#include "iotda.h"

static iotda_status_t open_device(iotda_client_t *client, const char *id, const char *secret, size_t secret_len,
                                  const char *token, iotda_client_t **device, iotda_call_t *call) {
    return iotda_open_device_with_token(client, id, secret, secret_len, token, device, call);
}
*/
import "C"

import (
	"runtime"
	"strings"
	"time"
)

// A Client reports for one device. Any number of goroutines may use it at the same time.
//
// New and Client.Device make one. The methods of a nil Client and of the zero Client return [ErrClosed]. It is used by its
// pointer; go vet finds copies.
type Client struct {
	_ noCopy
	*state
}

// state is a client, of which a copy of a Client, should there be one, is as good an owner.
type state struct {
	handle   *handle
	shared   *shared
	deviceID string
	cleanup  runtime.Cleanup
}

// noCopy is for go vet, which takes what has these methods for a lock.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// isNone reports whether there never was a client.
func (c *Client) isNone() bool { return c == nil || c.state == nil }

// acquire keeps the C client until its release; false if it is closed, or there is none.
func (c *Client) acquire() bool { return !c.isNone() && c.handle.acquire() }

// shared is what the clients that were opened from one another have in common on this side.
type shared struct {
	// Holds an element for each call that runs. A call blocks a thread of the system, and the Go runtime ends a
	// program that has 10,000 of them.
	slots   chan struct{}
	timeout time.Duration
}

// New makes a client. It uses no network and starts no goroutine; it fails if the config is wrong.
//
// Close it when it is no longer needed.
func New(config Config) (*Client, error) {
	pointer, err := config.build()
	if err != nil {
		return nil, err
	}
	calls := orDefault(config.MaxConcurrentCalls, defaultConcurrentCalls)
	return newClient(pointer, config.DeviceID, &shared{make(chan struct{}, calls), config.timeout()}), nil
}

// Device makes a client for another device, with a secret of its own. It shares connections, TLS sessions, pacing and
// settings with c; either may be closed first. It uses no network.
func (c *Client) Device(id, secret string) (*Client, error) { return c.DeviceWithToken(id, secret, "") }

// DeviceWithToken is Device with an access token of that device, which [Client.Token] or Config.OnToken gave, before a
// restart or in another process: it is used while it is valid, and spares an authentication. One that is damaged, expired, or
// of another device or endpoint is not used: a warning in the log. "": none.
func (c *Client) DeviceWithToken(id, secret, token string) (*Client, error) {
	const op = "open device"
	if strings.IndexByte(id, 0) >= 0 {
		return nil, &Error{Status: ErrInvalidArgument, Op: op, DeviceID: id, Message: "remove the zero byte from the id"}
	}
	if !c.acquire() {
		return nil, ErrClosed
	}
	defer c.handle.release()
	var device *C.iotda_client_t
	call := newCall()
	status := C.open_device(c.handle.client, terminated(id), text(secret), C.size_t(len(secret)), savedToken(token), &device,
		call)
	if status != C.IOTDA_OK {
		return nil, callError(Status(status), op, id, call)
	}
	return newClient(device, id, c.shared), nil
}

func newClient(pointer *C.iotda_client_t, id string, shared *shared) *Client {
	state := &state{handle: &handle{client: pointer}, shared: shared, deviceID: id}
	state.cleanup = runtime.AddCleanup(state, (*handle).close, state.handle)
	return &Client{state: state}
}

// DeviceID returns the id of the device that the client reports for.
func (c *Client) DeviceID() string {
	if c.isNone() {
		return ""
	}
	return c.deviceID
}

// Close ends the client: calls that begin afterwards return [ErrClosed]. Those that run come to their own end, and the
// last of them frees the device's secret and token; Close does not wait for them. With the last client that shares them
// the connections are closed.
//
// It may be called at any time, any number of times, and always returns nil. A client that is forgotten is closed by the
// garbage collector.
func (c *Client) Close() error {
	if c.isNone() {
		return nil
	}
	c.cleanup.Stop()
	c.handle.close()
	return nil
}

// handle is a client of the C library.
type handle struct {
	client *C.iotda_client_t
	uses   uses
}

// acquire keeps the C client until release; false if it is closed.
func (h *handle) acquire() bool { return h.uses.acquire() }

func (h *handle) release() {
	if h.uses.release() {
		h.free()
	}
}

func (h *handle) close() {
	if h.uses.close() {
		h.free()
	}
}

func (h *handle) free() { C.iotda_close(h.client) }
