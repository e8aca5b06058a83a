//go:build cgo

// Batches of a gateway: any number of children, each with an outcome of its own.

package iotda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func children(n int) []iotda.Child {
	children := make([]iotda.Child, n)
	for i := range children {
		children[i] = iotda.Child{DeviceID: fmt.Sprintf("child_%04d", i), Services: []iotda.Service{
			{ID: "wind", Properties: wind{Height: i}},
			{ID: "place", Properties: map[string]string{"Name": fmt.Sprint(i)}, EventTime: measured},
		}}
	}
	return children
}

func TestABatchOfAnySize(t *testing.T) {
	p := newPlatform(t)
	client := p.client(t, gateway)
	const count = 5000
	must(t, client.ReportBatch(t.Context(), children(count)))
	if batches := p.counters(t).Batches; batches != count/50 {
		t.Errorf("%d requests", batches)
	}
	reports := p.reports(t)
	if len(reports) != count {
		t.Fatalf("%d children arrived", len(reports))
	}
	for i, report := range reports {
		wind, place := fmt.Sprintf(`{"Height":%d,"Speed":0}`, i), fmt.Sprintf(`{"Name":"%d"}`, i)
		if report.Kind != "batch" || report.DeviceID != fmt.Sprintf("child_%04d", i) || len(report.Services) != 2 ||
			report.Services[0].ID != "wind" || string(report.Services[0].Properties) != wind ||
			report.Services[0].EventTime != nil || string(report.Services[1].Properties) != place ||
			*report.Services[1].EventTime != "2021-08-13T10:10:10.555Z" {
			t.Fatalf("the child %d: %+v", i, report)
		}
	}
}

// withChildren is a platform whose gateway has the children child_0000 and so on, but for those that are left out.
func withChildren(t *testing.T, count int, without map[int]bool) *platform {
	t.Helper()
	registry := fmt.Sprintf("[[gateway]]\nid = %q\nsecret = %q\nchildren = [", gatewayID, secret)
	for i := range count {
		if !without[i] {
			registry += fmt.Sprintf("\"child_%04d\",", i)
		}
	}
	file := filepath.Join(t.TempDir(), "registry.toml")
	must(t, os.WriteFile(file, []byte(registry+"]\n"), 0o600))
	return newPlatform(t, "--registry", file)
}

func TestUnknownChildrenHoldNobodyBack(t *testing.T) {
	unknown := map[int]bool{3: true, 77: true, 119: true}
	p := withChildren(t, 120, unknown)
	client := p.client(t, gateway)
	err := is(t, client.ReportBatch(t.Context(), children(120)), iotda.ErrPartial)
	want := []iotda.ChildError{
		{Index: 3, DeviceID: "child_0003", Status: iotda.ErrUnknownChild},
		{Index: 77, DeviceID: "child_0077", Status: iotda.ErrUnknownChild},
		{Index: 119, DeviceID: "child_0119", Status: iotda.ErrUnknownChild},
	}
	if !reflect.DeepEqual(err.Children, want) {
		t.Errorf("%+v", err.Children)
	}
	delivered := map[string]int{}
	for _, report := range p.reports(t) {
		delivered[report.DeviceID]++
	}
	for i := range 120 {
		id := fmt.Sprintf("child_%04d", i)
		if times := delivered[id]; (times == 1) == unknown[i] {
			t.Errorf("%s was delivered %d times", id, times)
		}
	}
	// The memory of a call is used again: nothing of the last one may be left in it.
	must(t, client.ReportBatch(t.Context(), children(2)))
}

func TestABatchOfWhichNothingIsDelivered(t *testing.T) {
	p := withChildren(t, 0, nil)
	client := p.client(t, gateway, once)
	err := is(t, client.ReportBatch(t.Context(), children(2)), iotda.ErrUnknownChild)
	if len(err.Children) != 2 || err.Children[1].Status != iotda.ErrUnknownChild {
		t.Errorf("%+v", err.Children)
	}
	p.fault(t, `{"kind":"answer","status":503}`)
	err = is(t, client.ReportBatch(t.Context(), children(60)), iotda.ErrServer)
	if len(err.Children) != 60 || err.Children[59].Status != iotda.ErrServer {
		t.Errorf("%+v", err.Children)
	}
	// ... nor even sent.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wrong := children(3)
	for i := range wrong {
		wrong[i].DeviceID = "a b"
	}
	worse := children(3)
	for i := range worse {
		worse[i].Services[0].Properties = math.NaN()
	}
	for _, test := range []struct {
		err    error
		status iotda.Status
	}{
		{client.ReportBatch(ended, children(3)), iotda.ErrCancelled},
		{client.ReportBatch(t.Context(), wrong), iotda.ErrInvalidArgument},
		{client.ReportBatch(t.Context(), worse), iotda.ErrInvalidArgument},
	} {
		failed := is(t, test.err, test.status)
		if len(failed.Children) != 3 || failed.Children[2].Index != 2 || failed.Children[2].Status != test.status {
			t.Errorf("%v: %+v", test.err, failed.Children)
		}
	}
}

func TestAChildThatIsWrongHoldsNobodyBack(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*iotda.Child)
		says  string
		cause any
	}{
		"id":      {func(c *iotda.Child) { c.DeviceID = "a b" }, "children[1].DeviceID", nil},
		"zero":    {func(c *iotda.Child) { c.DeviceID = "a\x00b" }, "remove the zero byte from children[1].DeviceID", nil},
		"none":    {func(c *iotda.Child) { c.Services = nil }, "children[1].Services", nil},
		"service": {func(c *iotda.Child) { c.Services[1].ID = "" }, "children[1].Services[1].ID", nil},
		"time": {func(c *iotda.Child) { c.Services[1].EventTime = time.Unix(1628849410, 0).AddDate(-30, 0, 0) },
			"in the years 2000 to 9999, or none: children[1].Services[1].EventTime is 1991-", nil},
		"NaN": {func(c *iotda.Child) { c.Services[0].Properties = math.NaN() },
			"children[1].Services[0].Properties", new(*json.UnsupportedValueError)},
		"raw": {func(c *iotda.Child) { c.Services[0].Properties = json.RawMessage(`{"a":}`) },
			"children[1].Services[0].Properties", nil},
		"text": {func(c *iotda.Child) { c.Services[0].Properties = `{"a":1}` },
			"json.RawMessage: children[1].Services[0].Properties is a string", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			client := p.client(t, gateway)
			given := children(3)
			test.spoil(&given[1])
			err := is(t, client.ReportBatch(t.Context(), given), iotda.ErrPartial)
			if !strings.Contains(err.Message, test.says) {
				t.Errorf("%q does not say %q", err.Message, test.says)
			}
			want := []iotda.ChildError{{Index: 1, DeviceID: given[1].DeviceID, Status: iotda.ErrInvalidArgument}}
			if !reflect.DeepEqual(err.Children, want) || !errors.Is(err.Children[0], iotda.ErrInvalidArgument) ||
				err.Children[0].Transient() || err.MayHaveArrived {
				t.Errorf("%+v", err)
			}
			if test.cause != nil && !errors.As(err, test.cause) {
				t.Errorf("%v is no %T", err, test.cause)
			}
			reports := p.reports(t)
			if len(reports) != 2 || reports[0].DeviceID != "child_0000" || reports[1].DeviceID != "child_0002" {
				t.Errorf("%+v", reports)
			}
			must(t, client.ReportBatch(t.Context(), children(3)))
		})
	}
}

func TestTheChildrenOfABodyHaveTheirStatuses(t *testing.T) {
	p := withChildren(t, 3, nil)
	client := p.client(t, gateway)
	service := `"services":[{"service_id":"s","properties":{}}]`
	// The number of children is not that of ids.
	body := `{"devices":[{"device_id":"child_0000",` + service + `},{},7,{"device_id":"child_0077",` + service +
		`},{"device\u005fid":"child_0002",` + service + `}]}`
	err := is(t, client.ReportBatchJSON(t.Context(), []byte(body)), iotda.ErrPartial)
	want := []iotda.ChildError{
		{Index: 1, Status: iotda.ErrInvalidArgument},
		{Index: 2, Status: iotda.ErrInvalidArgument},
		{Index: 3, DeviceID: "child_0077", Status: iotda.ErrUnknownChild},
	}
	if len(err.Children) < 3 || !reflect.DeepEqual(err.Children[:3], want) {
		t.Errorf("%+v", err.Children)
	}
	err = is(t, client.ReportBatchJSON(t.Context(), []byte(`{"devices":[1,2]}`)), iotda.ErrInvalidArgument)
	if len(err.Children) != 2 {
		t.Errorf("%+v", err.Children)
	}
	for _, none := range []string{"", "{", `{"devices":[]}`} {
		if err := is(t, client.ReportBatchJSON(t.Context(), []byte(none)), iotda.ErrInvalidArgument); err.Children != nil {
			t.Errorf("%q: %+v", none, err.Children)
		}
	}
}
