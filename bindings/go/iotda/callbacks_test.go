//go:build cgo

// The log and the clock: functions of Go that the library calls.

package iotda_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// onLine is a log handler that is called with each line of warnings and errors.
type onLine func(slog.Record)

func (f onLine) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (f onLine) Handle(_ context.Context, line slog.Record) error { f(line); return nil }
func (f onLine) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f onLine) WithGroup(string) slog.Handler                    { return f }

// lines is a log handler that keeps what is logged from a level on.
type lines struct {
	from  slog.Level
	also  func(slog.Record)
	mutex sync.Mutex
	kept  []slog.Record
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.from }
func (l *lines) Handle(_ context.Context, line slog.Record) error {
	if l.also != nil {
		l.also(line)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.kept = append(l.kept, line)
	return nil
}
func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lines) WithGroup(string) slog.Handler      { return l }

func TestTheLogSaysWhatHappens(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, `{"kind":"answer","status":503,"on":"message","times":2}`)
	levels := func(from slog.Level) map[slog.Level]int {
		log := &lines{from: from}
		client := p.client(t, func(config *iotda.Config) {
			config.Logger = slog.New(log)
			config.Retry = iotda.Retry{MaxAttempts: 2, BaseDelay: time.Millisecond}
		})
		client.ReportMessage(t.Context(), []byte("x")) // it fails when both attempts meet the fault
		must(t, client.ReportMessage(t.Context(), []byte("x")))
		counted := map[slog.Level]int{}
		for _, line := range log.kept {
			counted[line.Level]++
			if line.Message == "" || strings.Contains(line.Message, secret) || line.PC != 0 || line.Time.IsZero() {
				t.Errorf("%+v", line)
			}
		}
		return counted
	}
	all := levels(slog.LevelDebug)
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if all[level] == 0 {
			t.Errorf("nothing of level %v: %v", level, all)
		}
	}
	if quiet := levels(slog.LevelWarn); len(quiet) != 0 {
		t.Errorf("a call without a failure logs warnings: %v", quiet)
	}
}

// key is of what a context is asked for.
type key struct{}

// inContext is a log handler that is called with the context of each line of warnings and errors.
type inContext func(of any, message string)

func (f inContext) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (f inContext) Handle(ctx context.Context, line slog.Record) error {
	f(ctx.Value(key{}), line.Message)
	return nil
}
func (f inContext) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f inContext) WithGroup(string) slog.Handler      { return f }

// Each line comes with the context of its call, also of calls that run at the same time, and of one in a handler.
func TestTheHandlerIsGivenTheCallsContext(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, `{"kind":"answer","status":503,"on":"message"}`)
	inner := p.client(t, once, func(config *iotda.Config) {
		config.Logger = slog.New(inContext(func(of any, message string) {
			if of != "inner" {
				t.Errorf("%v: %s", of, message)
			}
		}))
	})
	var mutex sync.Mutex
	lines := map[any]int{}
	client := p.client(t, func(config *iotda.Config) {
		config.Retry = iotda.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond}
		config.Logger = slog.New(inContext(func(of any, message string) {
			inner.ReportMessage(context.WithValue(context.Background(), key{}, "inner"), nil)
			mutex.Lock()
			defer mutex.Unlock()
			lines[of]++
		}))
	})
	const calls = 8
	var running sync.WaitGroup
	for call := range calls {
		running.Add(1)
		go func() {
			defer running.Done()
			client.ReportMessage(context.WithValue(t.Context(), key{}, call), nil)
		}()
	}
	running.Wait()
	for call := range calls {
		if lines[call] < 3 { // three attempts
			t.Errorf("%v", lines)
		}
	}
	if len(lines) != calls {
		t.Errorf("%v", lines)
	}
}

func TestAHandlerThatPanicsHurtsNobody(t *testing.T) {
	p := newPlatform(t)
	panics := 0
	client := p.client(t, once, func(config *iotda.Config) {
		config.Logger = slog.New(onLine(func(slog.Record) { panics++; panic("in the handler") }))
		config.Clock = func() time.Time { panics++; panic("in the clock") }
	})
	p.fault(t, `{"kind":"answer","status":503,"times":1}`)
	is(t, client.ReportMessage(t.Context(), nil), iotda.ErrServer)
	must(t, client.ReportMessage(t.Context(), nil))
	if panics < 2 {
		t.Errorf("%d panics", panics)
	}
}

// The stack of a goroutine grows, and so moves, while C holds pointers of the call.
func TestAHandlerWithADeepStack(t *testing.T) {
	var deep func(n int) int
	deep = func(n int) int {
		var room [256]byte
		if n == 0 {
			return 0
		}
		room[n%256] = 1
		return deep(n-1) + int(room[n%256])
	}
	p := newPlatform(t)
	calls := 0
	client := p.client(t, func(config *iotda.Config) {
		config.Clock = func() time.Time {
			calls++
			if deep(2000) != 2000 {
				panic("the stack is spoilt")
			}
			return time.Now()
		}
	})
	ended := make(chan error)
	go func() {
		data := [5]byte{'h', 'e', 'l', 'l', 'o'}
		ended <- client.ReportMessage(context.Background(), data[:])
	}()
	must(t, <-ended)
	if reports := p.reports(t); calls == 0 || len(reports) != 1 || reports[0].Body != "hello" {
		t.Errorf("%d calls, %+v", calls, reports)
	}
}

func TestTheClockIsTheProgramsOwn(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, once, func(config *iotda.Config) {
		config.Clock = func() time.Time { return time.Unix(1e6, 0) }
	})
	is(t, client.Authenticate(t.Context()), iotda.ErrClock)
	// The platform compares the time of an authentication with its own for sign type 1 alone.
	p.ask(t, "PUT", "/clock", `{"now_ms":1893456000000}`, nil) // 2030
	for _, year := range []int{2029, 2030} {
		client := p.client(t, once, func(config *iotda.Config) {
			config.SignType = 1
			config.Clock = func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		})
		if err := client.Authenticate(t.Context()); (err == nil) != (year == 2030) {
			t.Errorf("%d: %v", year, err)
		}
	}
}
