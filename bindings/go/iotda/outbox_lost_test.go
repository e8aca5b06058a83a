//go:build cgo

// What an outbox does not deliver: it is refused for good, too old, or in the way of what is newer.

package iotda_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func TestDeadLetters(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, once)
	var settled settlements
	outbox := openOutbox(t, client, t.TempDir(), settled.into)
	p.fault(t, `{"kind":"answer","code":"IOTDA.000006","on":"message","times":3}`)
	bodies := []string{"a", strings.Repeat("b", 100_000), ""}
	for _, body := range bodies {
		_, err := outbox.PutMessage(t.Context(), client, []byte(body))
		must(t, err)
		must(t, outbox.Flush(t.Context()))
	}
	putMessages(t, outbox, client, 1)
	must(t, outbox.Flush(t.Context()))
	if arrived := p.messages(t); !slices.Equal(arrived, []string{"0"}) {
		t.Errorf("%d messages arrived", len(arrived))
	}
	outcomes := settled.now()
	if len(outcomes) != 4 || !errors.Is(outcomes[0].Err(), iotda.ErrRejected) || outcomes[0].DeviceID != deviceID || !outcomes[3].Delivered() {
		t.Fatalf("%+v", outcomes)
	}
	var letters []iotda.DeadLetter
	for letter, err := range outbox.Dead() {
		must(t, err)
		letters = append(letters, letter)
	}
	for i, letter := range letters {
		if letter.Kind != iotda.EntryMessage || letter.ID != outcomes[i].ID || letter.DeviceID != deviceID || letter.GatewayID != "" ||
			letter.Status != iotda.ErrRejected || letter.PlatformCode != "IOTDA.000006" || string(letter.Body) != bodies[i] ||
			time.Since(letter.Time).Abs() > time.Hour {
			t.Errorf("%+v", letter.ID)
		}
	}
	if stats := outbox.Stats(); len(letters) != 3 || stats.Dead != 3 || stats.DeadKept != 3 {
		t.Fatalf("%d letters, %+v", len(letters), stats)
	}
	must(t, outbox.ForgetDead(letters[1].Number))
	next, stop := iter.Pull2(outbox.Dead())
	defer stop()
	if letter, err, more := next(); !more || err != nil || letter.Number != letters[2].Number {
		t.Errorf("%+v, %v", letter, err)
	}
	must(t, outbox.Close())
	if _, err, _ := next(); err != iotda.ErrClosed {
		t.Errorf("%v", err)
	}
}

// Age is to the second: this one takes as long.
func TestWhatIsTooOldIsDropped(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once)
	var settled settlements
	outbox := openOutbox(t, client, t.TempDir(), settled.into, func(options *iotda.OutboxOptions) { options.MaxAge = 1 })
	putMessages(t, outbox, client, 2)
	must(t, outbox.Flush(t.Context()))
	outcomes := settled.now()
	for _, settlement := range outcomes {
		if !errors.Is(settlement.Err(), iotda.ErrExpired) || settlement.DeviceID != deviceID {
			t.Errorf("%+v", settlement)
		}
	}
	if stats := outbox.Stats(); len(outcomes) != 2 || stats.Expired != 2 || stats.Delivered != 0 || stats.LastError == "" {
		t.Errorf("%+v", stats)
	}
}

func TestAFullOutbox(t *testing.T) {
	p := newPlatform(t)
	p.fault(t, outage)
	client := p.client(t, once)
	fill := func(when iotda.WhenFull, settled *settlements, until func(puts int, err error) bool) *iotda.Outbox {
		outbox := openOutbox(t, client, t.TempDir(), settled.into, func(options *iotda.OutboxOptions) {
			options.MaxBytes, options.WhenFull, options.Sync = 256<<10, when, 0
		})
		_, err := outbox.PutMessage(t.Context(), client, make([]byte, 70_000))
		is(t, err, iotda.ErrTooLarge)
		for puts := 1; ; puts++ {
			if _, err = outbox.PutMessage(t.Context(), client, make([]byte, 10_000)); until(puts, err) {
				return outbox
			}
			if puts == 100 {
				t.Fatalf("%s: not after a megabyte: %v", when, err)
			}
		}
	}
	var refused, dropped settlements
	fill(iotda.Refuse, &refused, func(puts int, err error) bool {
		if err == nil {
			return false
		}
		if is(t, err, iotda.ErrFull); puts < 10 || !err.(*iotda.Error).Transient() {
			t.Errorf("put %d: %v", puts, err)
		}
		return true
	})
	if outcomes := refused.now(); len(outcomes) != 0 {
		t.Errorf("%+v", outcomes)
	}
	outbox := fill(iotda.DropOldest, &dropped, func(_ int, err error) bool {
		must(t, err)
		return len(dropped.now()) > 0
	})
	if first := dropped.now()[0]; !errors.Is(first.Err(), iotda.ErrFull) || outbox.Stats().Dropped == 0 {
		t.Errorf("%+v, %+v", first, outbox.Stats())
	}
}
