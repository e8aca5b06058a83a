//go:build cgo

package iotda

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
)

// listened is a context that counts who listens to it.
type listened struct {
	context.Context
	done             chan struct{}
	begun, abandoned atomic.Int32
}

func newListened() *listened {
	return &listened{Context: context.Background(), done: make(chan struct{})}
}

func (l *listened) Done() <-chan struct{} { return l.done }

// AfterFunc is what context.AfterFunc calls.
func (l *listened) AfterFunc(func()) (stop func() bool) {
	l.begun.Add(1)
	return func() bool {
		l.abandoned.Add(1)
		return true
	}
}

func (l *listened) is(t *testing.T, begun, abandoned int32) {
	t.Helper()
	if l.begun.Load() != begun || l.abandoned.Load() != abandoned {
		t.Errorf("listened to %d times and abandoned %d times, not %d and %d",
			l.begun.Load(), l.abandoned.Load(), begun, abandoned)
	}
}

func TestAContextIsListenedToForOneCallUntilItComesAgainAndAgain(t *testing.T) {
	var w watcher
	ctx, other := newListened(), newListened()
	for call := int32(1); call < keptAfter; call++ {
		w.watch(ctx)
		ctx.is(t, call, call-1)
		w.ended()
		ctx.is(t, call, call)
	}
	for range 100 {
		w.watch(ctx)
		ctx.is(t, keptAfter, keptAfter-1)
		w.ended()
	}
	if w.watch(context.Background()) != nil {
		t.Error("the end of a context is awaited that has none")
	}
	ctx.is(t, keptAfter, keptAfter-1)
	w.watch(other)
	ctx.is(t, keptAfter, keptAfter)
	w.ended()
	other.is(t, 1, 1)
	w.watch(ctx)
	w.ended()
	ctx.is(t, keptAfter+1, keptAfter+1)
}

func TestAHandleThatWasTriggeredIsForNoOtherContext(t *testing.T) {
	var w watcher
	ended, cancel := context.WithCancel(t.Context())
	other, cancelOther := context.WithCancel(t.Context())
	defer cancelOther()
	for range keptAfter {
		w.watch(ended)
		w.ended()
	}
	triggered := w.watch(ended)
	w.ended()
	cancel()
	if w.watch(other) == triggered {
		t.Error("the call would be cancelled at once")
	}
	w.ended()
	kept := w.watch(other)
	w.ended()
	w.watch(newListened())
	if w.canceller.pointer != kept {
		t.Error("a handle is wasted that was not triggered")
	}
}

func TestTheGarbageCollectorAbandonsContexts(t *testing.T) {
	ctx := newListened()
	func() {
		w := works.New().(*work)
		for range keptAfter {
			w.watcher.watch(ctx)
			w.watcher.ended()
		}
		ctx.is(t, keptAfter, keptAfter-1)
	}()
	for ctx.abandoned.Load() < keptAfter {
		runtime.GC()
	}
}
