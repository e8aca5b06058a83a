//go:build cgo

// An outbox: what a program sees of it. How its calls reach the library is in outbox_cgo.go, what the library calls in
// outbox_callback.go, dead letters and counters in outbox_dead.go and outbox_stats.go.

package iotda

import (
	"context"
	"runtime"
	"time"
)

// An Outbox holds reports that outlive outages, restarts and power cuts: what is put here is kept on disk until the
// platform has taken it. [Client.OpenOutbox] opens one. Any number of goroutines may use it at the same time.
//
// Each pair of sending device and device reported for gets its entries at least once and in order, several in a request;
// between pairs, and between an outbox and the Report methods of a client, there is no order. Data that the platform
// refuses by a code of its own is found and becomes a dead letter, and the rest goes on; nothing else than such a code
// makes one. A service without an EventTime gets the time of the put, corrected if the clock was wrong.
//
// Threads of the library deliver; no goroutine of the program does, and none is blocked by it. The methods of a nil
// Outbox, of the zero Outbox and of a closed one return [ErrClosed]. It is used by its pointer; go vet finds copies.
type Outbox struct {
	_ noCopy
	*outboxState
}

// outboxState is an outbox, of which a copy of an Outbox, should there be one, is as good an owner.
type outboxState struct {
	handle *outboxHandle
	// Slots of its own for puts: calls that wait for the platform in an outage hold none up, and neither do flushes.
	puts, flushes *shared
	deviceID      string
	cleanup       runtime.Cleanup
}

// isNone reports whether there never was an outbox.
func (o *Outbox) isNone() bool { return o == nil || o.outboxState == nil }

// acquire keeps the C outbox until its release; false if it is closed, or there is none.
func (o *Outbox) acquire() bool { return !o.isNone() && o.handle.acquire() }

// WhenFull says what a put does while there is no room.
type WhenFull int32

const (
	// Refuse refuses what is put, with [ErrFull].
	Refuse WhenFull = 0
	// DropOldest drops the oldest entries, those of the same device first; Settled is called with [ErrFull] for each. A
	// device whose entries are being sent loses none meanwhile: what is put for it, or with no other to take from, can be
	// refused.
	DropOldest WhenFull = 1
)

// SyncEveryPut has each entry on disk when its put returns: for OutboxOptions.Sync.
const SyncEveryPut time.Duration = -1

// OutboxOptions says how an outbox is opened. Directory is required; the zero value of everything else is its default.
type OutboxOptions struct {
	// Directory is where the entries are kept; it is made, with mode 0700, if it is missing (its parent is not). One
	// outbox uses a directory at a time, and for one platform: the same device ids elsewhere would be sent its entries.
	// Local storage: on tmpfs nothing survives a restart of the machine, and network file systems are not supported.
	Directory string
	// MaxBytes is the most that all its files take together, at least 256 KiB. Default: 16 MiB.
	MaxBytes int64
	// MaxAge is the age beyond which entries are dropped, rounded up to the second. 0: none are. One whose age cannot be
	// known is kept.
	MaxAge time.Duration
	// Sync is how soon after its put an entry is on disk at the latest; what is delivered before is never written. At most
	// 256 KiB wait; then a put waits. Default: 1 s; [SyncEveryPut], or anything negative: when the put returns.
	Sync time.Duration
	// CoalesceBytes is how large a request may become by sending entries together, in bytes. Default: 16,384; 1: each is
	// sent by itself.
	CoalesceBytes int
	// Linger is how long a first entry waits for company. Default: 0, not at all.
	Linger time.Duration
	// RequestsAtOnce is how many requests may be under way at the same time, of different devices, up to 64: each takes a
	// thread of the library. Default: 1.
	RequestsAtOnce int
	// WhenFull is Refuse or DropOldest.
	WhenFull WhenFull
	// PadCommits makes each write fill whole pages of 4,096 bytes, for storage that damages what lies beside a write when
	// power fails.
	PadCommits bool

	// Settled is called with what became of each entry. nil: nothing is called.
	//
	// It is called by a thread of the library that delivers, or inside a method, perhaps at the same time by several and
	// before OpenOutbox has returned, and before the outcome is on disk: after a crash it may come again. It holds delivery
	// up, and must not end the goroutine. It may put, and call Stats, Wake, Dead and ForgetDead; Sync, Flush, Discard and
	// Close return [ErrInvalidArgument] there, and must not be waited for. If it panics, the panic ends there and the outbox
	// goes on.
	Settled func(Settlement)
}

// A Settlement is what became of an entry.
type Settlement struct {
	// ID is what the put returned.
	ID uint64
	// DeviceID is the device that was reported for; "" if it is not known.
	DeviceID string
	// Status is 0 for an entry that was delivered. Otherwise it is why it was not: [ErrRejected] or [ErrUnknownChild] (it is
	// a dead letter), [ErrExpired], [ErrFull] (dropped for newer ones), [ErrStorage] (damaged on disk) or [ErrCancelled]
	// (by Discard).
	Status Status
	// Message is what the platform said about it; often "".
	Message string
}

// Delivered reports whether the platform has taken the entry.
func (s Settlement) Delivered() bool { return s.Status == 0 }

// Err is nil for an entry that was delivered, and otherwise the status, which errors.Is compares.
func (s Settlement) Err() error {
	if s.Delivered() {
		return nil
	}
	return s.Status
}

// OpenOutbox opens an outbox in a directory and attaches the client to it. What an earlier process put there is delivered.
// The client's settings (timeouts, rates, log) hold for the outbox; it may be closed before the outbox is.
//
// It blocks for as long as the storage does: the directory is read. The error is an [*Error] ([ErrInvalidArgument],
// [ErrStorage]: the directory cannot be written or locked, another outbox has it, or a newer version wrote it), or
// [ErrClosed]. Close it when it is no longer needed.
func (c *Client) OpenOutbox(options OutboxOptions) (*Outbox, error) {
	if !c.acquire() {
		return nil, ErrClosed
	}
	defer c.handle.release()
	opened, err := options.open(c)
	if err != nil {
		return nil, err
	}
	slots := func() chan struct{} { return make(chan struct{}, cap(c.shared.slots)) }
	state := &outboxState{
		handle: opened, puts: &shared{slots(), c.shared.timeout}, flushes: &shared{slots(), longest}, deviceID: c.deviceID,
	}
	id := c.deviceID
	state.cleanup = runtime.AddCleanup(state, func(handle *outboxHandle) { go handle.close(id) }, opened)
	return &Outbox{outboxState: state}, nil
}

// Attach has what waits for this client's device delivered through it from now on, and at once. A put attaches its device
// as well; after a restart, entries of devices that are not attached wait. The outbox keeps the device, with its secret,
// until it is closed, also when the client is closed before; another client of the same id replaces it. It does not wait
// for the network.
func (o *Outbox) Attach(device *Client) error {
	w := takeWork()
	defer w.done()
	if err := w.beginPut(context.Background(), o, device, "attach to the outbox"); err != nil {
		return err
	}
	return orNil(w.endPut(o, device, w.attach(o, device)))
}

// PutProperties puts properties of a device: one service or several. It returns the entry's id. The data is checked as by
// [Client.ReportProperties].
//
// It returns at once unless 256 KiB wait to be written, or with [SyncEveryPut]; then it blocks a thread for as long as the
// storage does, at most for Config.Timeout and until the context's deadline. That the context is cancelled is looked at
// before it begins. After a failure this process does not deliver the entry; if it crashes then, the entry may be
// delivered.
//
// The error is an [*Error] ([ErrInvalidArgument]; [ErrTooLarge]: 1 MB, or a quarter of MaxBytes; [ErrFull]; [ErrStorage]: a
// full disk, a fault, read-only, which the message says; [ErrTimeout]; [ErrCancelled]), or [ErrClosed].
func (o *Outbox) PutProperties(ctx context.Context, device *Client, services ...Service) (id uint64, err error) {
	const op = "put properties"
	if o.isNone() || device.isNone() {
		return 0, ErrClosed
	}
	w := takeWork()
	defer w.done()
	if err := w.addServices(services, -1); err != nil {
		return 0, err.of(device, op)
	}
	if err := w.beginPut(ctx, o, device, op); err != nil {
		return 0, err
	}
	return w.put(o, device, w.putServices(o, device))
}

// PutPropertiesJSON puts properties by a request body that the program made itself: see [Client.ReportPropertiesJSON].
//
// Otherwise it is as PutProperties.
func (o *Outbox) PutPropertiesJSON(ctx context.Context, device *Client, body []byte) (id uint64, err error) {
	w := takeWork()
	defer w.done()
	if err := w.beginPut(ctx, o, device, "put properties"); err != nil {
		return 0, err
	}
	return w.put(o, device, w.putPropertiesJSON(o, device, body))
}

// PutMessage puts a message: any bytes, also none.
//
// Otherwise it is as PutProperties.
func (o *Outbox) PutMessage(ctx context.Context, device *Client, data []byte) (id uint64, err error) {
	w := takeWork()
	defer w.done()
	if err := w.beginPut(ctx, o, device, "put message"); err != nil {
		return 0, err
	}
	return w.put(o, device, w.putMessage(o, device, data))
}

// PutBatch puts properties of child devices of a gateway, all or none, up to 10,000 in a call. It returns the id of the
// first child's entry; those of the others follow it in order. They are delivered in batches; a child that the platform
// does not know holds back no other. A child that is wrong in itself refuses all, which the message names.
//
// Otherwise it is as PutProperties. Above 256 KiB in all it blocks until they are written.
func (o *Outbox) PutBatch(ctx context.Context, gateway *Client, children []Child) (firstID uint64, err error) {
	w := takeWork()
	defer w.done()
	w.setChildren(children)
	w.statuses = w.statuses[:0] // All or none: no child has a status of its own.
	if err := w.beginPut(ctx, o, gateway, "put batch"); err != nil {
		return 0, err
	}
	return w.put(o, gateway, w.putBatch(o, gateway))
}

// PutBatchJSON puts a batch by a request body that the program made itself: see [Client.ReportBatchJSON].
//
// Otherwise it is as PutBatch.
func (o *Outbox) PutBatchJSON(ctx context.Context, gateway *Client, body []byte) (firstID uint64, err error) {
	w := takeWork()
	defer w.done()
	if err := w.beginPut(ctx, o, gateway, "put batch"); err != nil {
		return 0, err
	}
	w.body = body
	return w.put(o, gateway, w.putBatchJSON(o, gateway, body))
}

// Sync returns when all that was put is on disk.
//
// It blocks a thread for as long as the storage does, at most for Config.Timeout and until the context's deadline. The
// error is an [*Error] ([ErrStorage], [ErrTimeout], [ErrCancelled] before it began), or [ErrClosed].
func (o *Outbox) Sync(ctx context.Context) error {
	if o.isNone() {
		return ErrClosed
	}
	w := takeWork()
	defer w.done()
	if err := w.beginOutbox(ctx, o, o.puts, "sync the outbox"); err != nil {
		return err
	}
	return orNil(w.endOutbox(o, w.sync(o)))
}

// Flush waits until all that was put before is settled, or until the context ends; Config.Timeout does not bound it. It
// does not send any faster: in an outage it waits for its end. What is for a device that is not attached is never settled.
//
// It blocks a thread. The error is an [*Error] ([ErrTimeout] or [ErrCancelled], and the context's; what was put goes on
// waiting in the outbox), or [ErrClosed], also when the outbox is closed meanwhile.
func (o *Outbox) Flush(ctx context.Context) error {
	if o.isNone() {
		return ErrClosed
	}
	ctx, cancel := o.handle.untilClosed(ctx)
	defer cancel()
	w := takeWork()
	defer w.done()
	if err := w.beginOutbox(ctx, o, o.flushes, "flush the outbox"); err != nil {
		return orClosed(ctx, err)
	}
	w.call.cancel = w.watcher.watch(ctx)
	status := w.flush(o)
	w.unwatch()
	return orClosed(ctx, orNil(w.endOutbox(o, status)))
}

// orClosed makes an error ErrClosed that is about a context which the end of the outbox has ended.
func orClosed(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == ErrClosed {
		return ErrClosed
	}
	return err
}

// Wake says that the network is back: what waits for a pause is tried within a second, instead of up to five minutes
// later. It does not wait for the network.
func (o *Outbox) Wake() {
	if o.acquire() {
		defer o.handle.release()
		o.handle.wake()
	}
}

// Discard gives up what waits for a device, as the one that sends or the one reported for, without delivering it, and
// returns how many entries that were. It is for a device that was removed. A request that is under way may still arrive.
//
// It blocks a thread for as long as the storage does; that the context has ended is looked at before it begins. The error
// is an [*Error] ([ErrInvalidArgument], [ErrStorage], [ErrTimeout] and [ErrCancelled] before it began), or [ErrClosed].
func (o *Outbox) Discard(ctx context.Context, deviceID string) (count uint64, err error) {
	const op = "discard"
	if o.isNone() {
		return 0, ErrClosed
	}
	if err := checkText(deviceID, func() string { return "the device's id" }); err != nil {
		err.Op, err.DeviceID = op, deviceID
		return 0, err
	}
	w := takeWork()
	defer w.done()
	if err := w.beginOutbox(ctx, o, o.puts, op); err != nil {
		return 0, err
	}
	if err := w.endOutbox(o, w.discard(o, deviceID)); err != nil {
		return 0, err
	}
	return w.id(), nil
}

// Close ends requests that are under way and the threads, waits for calls that run, and syncs. It delivers nothing: what
// was not delivered is delivered when the directory is opened again, which can be done as soon as Close has returned.
// Flushes that run return [ErrClosed]; so do calls that begin afterwards.
//
// The error says that what was put since the last sync may be lost ([ErrStorage]). It blocks for as long as the storage
// does. It may be called at any time, any number of times, with the same result, but not by Settled, where it returns
// [ErrInvalidArgument] and does nothing. A program that ends without it is a crash: what was put since the last sync may
// be lost. An outbox that is forgotten is closed by the garbage collector, unless its Settled refers to it.
func (o *Outbox) Close() error {
	if o.isNone() {
		return nil
	}
	if isInSettled() {
		return &Error{Status: ErrInvalidArgument, Op: "close the outbox", DeviceID: o.deviceID,
			Message: "close the outbox elsewhere: its Settled cannot, since the thread that calls it is to end first"}
	}
	o.cleanup.Stop()
	return orNil(o.handle.close(o.deviceID))
}
