//go:build cgo

// Access tokens: given to the program, handed from one client to another, asked for by the program alone.

package iotda_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

// tokens keeps each token that is issued, by its device.
type tokens struct {
	mutex  sync.Mutex
	issued map[string][]string
}

func (k *tokens) of(config *iotda.Config) {
	k.issued = map[string][]string{}
	config.OnToken = func(deviceID, token string) {
		k.mutex.Lock()
		defer k.mutex.Unlock()
		k.issued[deviceID] = append(k.issued[deviceID], token)
	}
}

func tokenOf(t *testing.T, client *iotda.Client) string {
	t.Helper()
	token, err := client.Token()
	must(t, err)
	return token
}

func whenAsked(config *iotda.Config) { config.AuthenticateWhenAsked = true }

func TestEachTokenIsGivenToTheProgram(t *testing.T) {
	p := newPlatform(t)
	var kept tokens
	client := p.client(t, kept.of)
	must(t, client.ReportMessage(t.Context(), nil))
	gateway, err := client.Device(gatewayID, secret)
	must(t, err)
	defer gateway.Close()
	must(t, gateway.Authenticate(t.Context()))
	must(t, gateway.ImportToken(tokenOf(t, gateway)))
	must(t, client.ReportMessage(t.Context(), nil))
	for id, client := range map[string]*iotda.Client{deviceID: client, gatewayID: gateway} {
		if issued := kept.issued[id]; len(issued) != 1 || issued[0] != tokenOf(t, client) || issued[0] == "" {
			t.Errorf("%s: %d tokens", id, len(issued))
		}
	}
}

func TestAReceiverOfTokensThatPanicsHurtsNobody(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, func(config *iotda.Config) {
		config.OnToken = func(string, string) { panic("in the receiver") }
	})
	must(t, client.ReportMessage(t.Context(), nil))
}

func TestATokenIsHandedToAnotherClient(t *testing.T) {
	p := newPlatform(t)
	second := p.client(t, whenAsked)
	first := p.client(t, func(config *iotda.Config) {
		config.OnToken = func(_, token string) { must(t, second.ImportToken(token)) }
	})
	must(t, first.Authenticate(t.Context()))
	must(t, second.ReportMessage(t.Context(), nil))
	token := tokenOf(t, first)
	device, err := second.DeviceWithToken(deviceID, secret, token)
	must(t, err)
	defer device.Close()
	must(t, device.ReportMessage(t.Context(), nil))
	if counted := p.counters(t); counted.Authentications != 1 || counted.Messages != 2 {
		t.Errorf("%+v", counted)
	}

	gateway, err := first.Device(gatewayID, secret)
	must(t, err)
	defer gateway.Close()
	for name, wrong := range map[string]string{
		"none": "", "another text": "x", "zero": token + "\x00", "damaged": token[1:], "not UTF-8": "\xff", "of another": "of another",
	} {
		client := second
		if name == "of another" {
			client, wrong = gateway, token
		}
		err := client.ImportToken(wrong)
		is(t, err, iotda.ErrInvalidArgument)
		if strings.Contains(err.Error(), token[strings.LastIndex(token, " "):]) {
			t.Errorf("%s: the token is shown: %v", name, err)
		}
	}
	if tokenOf(t, second) != token || tokenOf(t, gateway) != "" {
		t.Error("a token that was refused replaced another")
	}
	second.Close()
	if err := second.ImportToken(token); err != iotda.ErrClosed {
		t.Error(err)
	}
}

// How long a token is valid goes with it to another client; without a token there is nothing to say.
func TestHowLongATokenIsValid(t *testing.T) {
	p := newPlatform(t)
	first, second := p.client(t), p.client(t)
	if left, known := first.TokenRemaining(); known || left != 0 {
		t.Errorf("before it is issued: %v", left)
	}
	must(t, first.Authenticate(t.Context()))
	must(t, second.ImportToken(tokenOf(t, first)))
	for name, client := range map[string]*iotda.Client{"issued": first, "imported": second} {
		if left, known := client.TokenRemaining(); !known || left <= 23*time.Hour || left > 24*time.Hour {
			t.Errorf("%s: %v", name, left)
		}
	}
	must(t, second.Close())
	if left, known := second.TokenRemaining(); known || left != 0 {
		t.Errorf("of a closed client: %v", left)
	}
}

func TestADamagedTokenIsAWarningAndAnAuthentication(t *testing.T) {
	p := newPlatform(t)
	for _, token := range []string{"damaged", "\xff", "a\x00b"} {
		log := &lines{from: slog.LevelWarn}
		client := p.client(t, func(config *iotda.Config) { config.Token, config.Logger = token, slog.New(log) })
		device, err := client.DeviceWithToken(gatewayID, secret, token)
		must(t, err)
		must(t, client.ReportMessage(t.Context(), nil))
		must(t, device.ReportMessage(t.Context(), nil))
		device.Close()
		if len(log.kept) != 2 {
			t.Errorf("%q: %v", token, log.kept)
		}
	}
	if counted := p.counters(t); counted.Authentications != 6 {
		t.Errorf("%+v", counted)
	}
}

func TestOnlyTheProgramAuthenticates(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, whenAsked)
	err := client.ReportMessage(t.Context(), nil)
	is(t, err, iotda.ErrTokenRejected)
	var failed *iotda.Error
	if !errors.As(err, &failed) || failed.HTTPStatus != 0 || failed.Attempts != 0 || !failed.Transient() {
		t.Errorf("%+v", failed)
	}
	if counted := p.counters(t); counted.Requests != 0 {
		t.Errorf("something was sent: %+v", counted)
	}
	must(t, client.Authenticate(t.Context()))
	must(t, client.ReportMessage(t.Context(), nil))
	p.ask(t, "POST", "/tokens/expire", "", nil)
	err = client.ReportMessage(t.Context(), nil)
	is(t, err, iotda.ErrTokenRejected)
	if !errors.As(err, &failed) || failed.HTTPStatus == 0 || failed.Attempts != 1 {
		t.Errorf("%+v", failed)
	}
	is(t, client.ReportMessage(t.Context(), nil), iotda.ErrTokenRejected)
	if counted := p.counters(t); counted.Authentications != 1 {
		t.Errorf("%+v", counted)
	}
}

func TestReportsAreCheckedWithoutBeingSent(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	good := iotda.Service{ID: "s", Properties: map[string]int{"n": 1}}
	large := iotda.Service{ID: "s", Properties: map[string]string{"text": strings.Repeat("x", 1<<20)}}
	must(t, iotda.CheckProperties(good))
	must(t, iotda.CheckMessage(nil))
	must(t, iotda.CheckPropertiesJSON([]byte(`{"services":[{"service_id":"s","properties":{}}]}`)))
	must(t, iotda.CheckBatch([]iotda.Child{{DeviceID: "a", Services: []iotda.Service{good}}}))
	is(t, iotda.CheckProperties(large), iotda.ErrTooLarge)
	is(t, iotda.CheckMessage(make([]byte, 1<<20)), iotda.ErrTooLarge)
	is(t, iotda.CheckPropertiesJSON([]byte("{}")), iotda.ErrInvalidArgument)
	is(t, iotda.CheckBatch(nil), iotda.ErrInvalidArgument)
	for _, service := range []iotda.Service{
		{}, {ID: "s\x00"}, {ID: "s", Properties: "text"}, {ID: "s", Properties: func() {}}, {Properties: good.Properties},
	} {
		var check, report *iotda.Error
		if !errors.As(iotda.CheckProperties(good, service), &check) ||
			!errors.As(client.ReportProperties(t.Context(), good, service), &report) || check.Message != report.Message {
			t.Errorf("%+v: %v, and not %v", service, check, report)
		}
	}
	var failed *iotda.Error
	err := iotda.CheckBatch([]iotda.Child{
		{DeviceID: "a", Services: []iotda.Service{good}},
		{DeviceID: "b", Services: []iotda.Service{large}},
		{DeviceID: "c", Services: []iotda.Service{{ID: "s", Properties: 1}}},
	})
	if !errors.As(err, &failed) || len(failed.Children) != 2 || failed.Children[0].Status != iotda.ErrTooLarge ||
		failed.Children[1].DeviceID != "c" || failed.Children[1].Status != iotda.ErrInvalidArgument {
		t.Errorf("%+v", err)
	}
	if counted := p.counters(t); counted.Connections != 0 {
		t.Errorf("something was sent: %+v", counted)
	}
}
