//go:build cgo

// What is reported arrives as it was given.

package iotda_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

var measured = time.Date(2021, 8, 13, 10, 10, 10, 555e6, time.UTC)

// wind is what a program of today reports.
type wind struct {
	Height int      `json:"Height"`
	Speed  float64  `json:"Speed"`
	Place  string   `json:"Place,omitempty"`
	Gusts  []uint64 `json:"Gusts,omitempty"`
	notes  string
}

func TestOneAuthenticationServesManyReports(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	must(t, client.Authenticate(t.Context()))
	must(t, client.Authenticate(t.Context()))
	must(t, client.ReportMessage(t.Context(), []byte("hello")))
	must(t, client.ReportProperties(t.Context(), iotda.Service{ID: "wind", Properties: wind{}}))
	if counted := p.counters(t); counted.Authentications != 1 || counted.Requests != 3 {
		t.Errorf("%+v", counted)
	}
}

func TestPropertiesArriveAsTheyAreEncoded(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	pointed := json.RawMessage(`{ "n" : 1.0}`)
	must(t, client.ReportProperties(t.Context(),
		iotda.Service{ID: "wind", Properties: wind{124, 23.24, "\"Büro\" <\n", []uint64{math.MaxUint64}, "kept"},
			EventTime: measured.In(time.FixedZone("east", 8*3600))},
		iotda.Service{ID: "a \"service\"", Properties: map[string]any{"b": nil, "a": true}},
		iotda.Service{ID: "raw", Properties: json.RawMessage(`{ "n" : 12345678901234567890.10 , "e":1e400}`)},
		iotda.Service{ID: "pointer", Properties: &pointed},
	))
	const want = `{"services":[` +
		`{"service_id":"wind","properties":{"Height":124,"Speed":23.24,"Place":"\"Büro\" <\n","Gusts":[18446744073709551615]},` +
		`"event_time":"2021-08-13T10:10:10.555Z"},` +
		`{"service_id":"a \"service\"","properties":{"a":true,"b":null}},` +
		`{"service_id":"raw","properties":{ "n" : 12345678901234567890.10 , "e":1e400}},` +
		`{"service_id":"pointer","properties":{ "n" : 1.0}}]}`
	if bodies := p.bodies(t, "properties/report"); len(bodies) != 1 || bodies[0] != want {
		t.Errorf("%q\ninstead of\n%q", bodies, want)
	}
}

func TestWholeBodiesAreSentAsTheyAre(t *testing.T) {
	p := newPlatform(t)
	client, gateway := p.client(t), p.client(t, gateway)
	const properties = `{ "services":[{"service_id":"s","properties":{"n":0.10000000000000000000001}} ] }`
	must(t, client.ReportPropertiesJSON(t.Context(), []byte(properties)))
	const batch = `{"devices":[{"device_id":"child","services":[{"service_id":"s","properties":{ "a":1}}]}]}`
	must(t, gateway.ReportBatchJSON(t.Context(), []byte(batch)))
	var requests []struct{ Body string }
	p.ask(t, "GET", "/requests", "", &requests)
	// Each authenticates first.
	if len(requests) != 4 || requests[1].Body != properties || requests[3].Body != batch {
		t.Errorf("%q", requests)
	}
}

func TestMessagesAreAnyBytes(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	must(t, client.ReportMessage(t.Context(), nil))
	must(t, client.ReportMessage(t.Context(), []byte{}))
	must(t, client.ReportMessage(t.Context(), []byte("a\x00b\xff")))
	// Bytes in an array that shares its memory with a pointer: cgo must not mistake them for more than bytes.
	mixed := &struct {
		bytes [4]byte
		next  *int
	}{[4]byte{'m', 'i', 'x', 'd'}, new(int)}
	must(t, client.ReportMessage(t.Context(), mixed.bytes[:]))
	reports := p.reports(t)
	if len(reports) != 4 || reports[0].Body != "" || reports[1].Body != "" || reports[2].BodyHex != "610062ff" ||
		reports[3].Body != "mixd" {
		t.Errorf("%+v", reports)
	}
}

func TestDevicesShareAConnection(t *testing.T) {
	p := newPlatform(t)
	first := p.client(t)
	second, err := first.Device(gatewayID, secret)
	must(t, err)
	if second.DeviceID() != gatewayID {
		t.Errorf("it is for %s", second.DeviceID())
	}
	must(t, first.ReportMessage(t.Context(), []byte("1")))
	must(t, first.Close())
	must(t, second.ReportMessage(t.Context(), []byte("2")))
	must(t, second.Close())
	if counted := p.counters(t); counted.Connections != 1 || counted.Authentications != 2 || counted.Messages != 2 {
		t.Errorf("%+v", counted)
	}
}

// defined is no RawMessage to encoding/json, which makes a string of it.
type defined json.RawMessage

// What could not arrive as it was meant is refused, and nothing is sent.
func TestWrongArgumentsAreRefused(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t)
	empty := json.RawMessage("{}")
	properties := func(services ...iotda.Service) error { return client.ReportProperties(t.Context(), services...) }
	batch := func(children ...iotda.Child) error { return client.ReportBatch(t.Context(), children) }
	services := []iotda.Service{{ID: "s", Properties: empty}}
	_, deviceWithZero := client.Device("a\x00b", secret)
	_, deviceWithSpace := client.Device("a b", secret)
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"no service":         {properties(), "service"},
		"no id":              {properties(iotda.Service{Properties: empty}), "services[0].ID"},
		"zero in id":         {properties(iotda.Service{ID: "a\x00", Properties: empty}), "services[0].ID"},
		"id not UTF-8":       {properties(iotda.Service{ID: "\xff", Properties: empty}), "UTF-8"},
		"no properties":      {properties(iotda.Service{ID: "s"}), "object"},
		"no object":          {properties(iotda.Service{ID: "s", Properties: []int{1}}), "object"},
		"NaN":                {properties(iotda.Service{ID: "s", Properties: map[string]float64{"x": math.NaN()}}), "NaN"},
		"text":               {properties(iotda.Service{ID: "s", Properties: "{}"}), "json.RawMessage: services[0].Properties is a string"},
		"bytes":              {properties(iotda.Service{ID: "s", Properties: []byte("{}")}), "json.RawMessage: services[0].Properties is a []uint8"},
		"a defined raw":      {properties(iotda.Service{ID: "s", Properties: defined("{}")}), "json.RawMessage: services[0].Properties is a iotda_test.defined"},
		"no raw":             {properties(iotda.Service{ID: "s", Properties: (*json.RawMessage)(nil)}), "JSON"},
		"a past second":      {properties(iotda.Service{ID: "s", Properties: empty, EventTime: time.Date(1999, 12, 31, 23, 59, 59, 999, time.UTC)}), "services[0].EventTime"},
		"no JSON":            {properties(iotda.Service{ID: "s", Properties: json.RawMessage("{")}), "JSON"},
		"no raw JSON":        {properties(iotda.Service{ID: "s", Properties: json.RawMessage(nil)}), "JSON"},
		"zero in JSON":       {properties(iotda.Service{ID: "s", Properties: json.RawMessage("{}\x00")}), "zero byte"},
		"more than JSON":     {properties(iotda.Service{ID: "s", Properties: json.RawMessage(`{}},{"service_id":"t","properties":{}`)}), "JSON"},
		"the year 0":         {properties(iotda.Service{ID: "s", Properties: empty, EventTime: time.Time{}.Add(1)}), "services[0].EventTime is 0001-"},
		"the year 10000":     {properties(iotda.Service{ID: "s", Properties: empty, EventTime: measured.AddDate(8000, 0, 0)}), "services[0].EventTime is 10021-"},
		"the epoch":          {properties(iotda.Service{ID: "s", Properties: empty, EventTime: time.Unix(0, 0).UTC()}), "services[0].EventTime is 1970-01-01T00:00:00Z"},
		"no child":           {batch(), "child"},
		"no service of one":  {batch(iotda.Child{DeviceID: "c"}), "service"},
		"no id of one":       {batch(iotda.Child{Services: services}), "children[0].DeviceID"},
		"zero in id of one":  {batch(iotda.Child{DeviceID: "c\x00", Services: services}), "children[0].DeviceID"},
		"NaN of the second":  {batch(iotda.Child{DeviceID: "c d", Services: services}, iotda.Child{DeviceID: "d", Services: []iotda.Service{{ID: "s", Properties: math.NaN()}}}), "children[0].DeviceID"},
		"no body":            {client.ReportPropertiesJSON(t.Context(), nil), "JSON"},
		"a body of a batch":  {client.ReportPropertiesJSON(t.Context(), []byte(`{"devices":[]}`)), "devices"},
		"an event time":      {client.ReportPropertiesJSON(t.Context(), []byte(`{"services":[{"service_id":"s","properties":{},"event_time":"noon"}]}`)), "event_time"},
		"a device with zero": {deviceWithZero, "zero byte"},
		"a device id":        {deviceWithSpace, "device_id"},
	} {
		var failed *iotda.Error
		if !errors.Is(test.err, iotda.ErrInvalidArgument) || !errors.As(test.err, &failed) {
			t.Errorf("%s: %v", name, test.err)
		} else if !strings.Contains(failed.Error(), test.says) {
			t.Errorf("%s: %q does not say %q", name, failed, test.says)
		}
	}
	var cause *json.UnsupportedValueError
	if err := properties(iotda.Service{ID: "s", Properties: math.Inf(1)}); !errors.As(err, &cause) {
		t.Errorf("what encoding/json found is not in the error: %v", err)
	}
	if counted := p.counters(t); counted.Connections != 0 {
		t.Errorf("something was sent: %+v", counted)
	}
}

func TestATokenSurvivesARestart(t *testing.T) {
	p := newPlatform(t)
	before := p.client(t)
	if token, err := before.Token(); token != "" || err != nil {
		t.Errorf("there is a token before there is one: %v", err)
	}
	must(t, before.Authenticate(t.Context()))
	token, err := before.Token()
	must(t, err)
	after := p.client(t, func(config *iotda.Config) { config.Token = token })
	must(t, after.ReportMessage(t.Context(), []byte("awake")))
	if counted := p.counters(t); counted.Authentications != 1 || counted.Messages != 1 {
		t.Errorf("%+v", counted)
	}
}

func TestCountersAndTime(t *testing.T) {
	p := newPlatform(t)
	p.ask(t, "PUT", "/clock", `{"now_ms":1893456000000}`, nil) // 2030
	client := p.client(t)
	if _, known := client.ServerTime(); known {
		t.Error("the platform's time is known before it has said anything")
	}
	must(t, client.ReportMessage(context.Background(), []byte("12345")))
	stats := client.Stats()
	if stats.Requests != 1 || stats.Authentications != 1 || stats.HandshakesFull != 1 || stats.Retries != 0 ||
		stats.BodyBytesSent <= 5 || stats.BytesSent <= stats.BodyBytesSent || stats.BytesReceived == 0 {
		t.Errorf("%+v", stats)
	}
	if now, known := client.ServerTime(); !known || now.Year() != 2030 {
		t.Errorf("the platform's time: %v", now)
	}
	if iotda.Version() == "" {
		t.Error("no version")
	}
}

// The platform documents 256 bytes; nothing says that it keeps to that.
func TestALongTokenIsExported(t *testing.T) {
	p := newPlatform(t)
	token := strings.Repeat("t", 500)
	p.fault(t, `{"kind":"answer","status":200,"on":"auth","body":"{\"access_token\":\"`+token+`\",\"expires_in\":3600}"}`)
	client := p.client(t, once)
	must(t, client.Authenticate(t.Context()))
	saved, err := client.Token()
	must(t, err)
	if len(saved) <= 512 || !strings.Contains(saved, token) {
		t.Errorf("%d bytes: %q", len(saved), saved)
	}
}
