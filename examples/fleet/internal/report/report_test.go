// Subjects, and bodies that are joined and picked apart.

package report_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/report"
)

var stored = time.Date(2026, 11, 26, 4, 5, 6, 789_999_999, time.FixedZone("", 3600))

func TestSubjects(t *testing.T) {
	for _, kind := range []report.Kind{report.Properties, report.Message, report.Batch} {
		device, parsed, err := report.ParseStored("15." + report.Subject("meter_1-a", kind))
		if err != nil || device != "meter_1-a" || parsed != kind {
			t.Errorf("%v: %q, %v, %v", kind, device, parsed, err)
		}
	}
	for _, wrong := range []string{"", "iotda.d.message", "x.iotda.d.message", "1.iotda.d.messages", "1.other.d.message",
		"1.iotda..message", "1.iotda.a b.message", "1.iotda.d.message.x", "1.iotda." + strings.Repeat("d", 129) + ".batch"} {
		if device, kind, err := report.ParseStored(wrong); err == nil {
			t.Errorf("%q is a %v of %q", wrong, kind, device)
		}
	}
}

func TestUnitsAreStarted4KB(t *testing.T) {
	for size, units := range map[int]int{0: 1, 1: 1, 4096: 1, 4097: 2, 8192: 2, 1_000_000: 245} {
		if got := report.Units(size); got != units {
			t.Errorf("%d bytes are %d units, not %d", size, got, units)
		}
	}
}

func TestEntriesKeepEveryByteAndGetTheirTime(t *testing.T) {
	const time = `"event_time":"2026-11-26T03:05:06.789Z"`
	for body, want := range map[string]string{
		`{"services":[{"service_id":"s","properties":{"a":1e400, "b":12345678901234567890123}}]}`: `{"service_id":"s","properties":{"a":1e400, "b":12345678901234567890123},` + time + `}`,
		` { "services" : [ {"service_id":"s","event_time":"x"} , {"service_id":"t"} ] } `:         `{"service_id":"s","event_time":"x"},{"service_id":"t",` + time + `}`,
		`{"services":[{"service_id":"s","properties":{"event_time":1}}]}`:                         `{"service_id":"s","properties":{"event_time":1},` + time + `}`,
		`{"services":[{}]}`: `{}`, // for the library to refuse
	} {
		got, err := report.Entries([]byte(body), stored)
		if err != nil || string(got) != want {
			t.Errorf("%s\nbecame %s (%v)\nnot    %s", body, got, err, want)
		}
	}
	for _, wrong := range []string{"", "{", "[]", `{"services":[]}`, `{"services":[1]}`, `{"services":[null]}{`,
		`{"services":[{}],"x":1}`, `{"services":{}}`, `{"services":[{"a":1}]} {}`, `{"devices":[]}`} {
		if got, err := report.Entries([]byte(wrong), stored); err == nil && !strings.Contains(wrong, "null") {
			t.Errorf("%s became %s", wrong, got)
		}
	}
}

func TestJoinedBodiesAreAsLongAsSaid(t *testing.T) {
	var entries [][]byte
	var sizes []int
	for range 50 {
		body := report.Join(entries...)
		if len(body) != report.Joined(sizes...) {
			t.Fatalf("%d entries: %d bytes, said to be %d", len(entries), len(body), report.Joined(sizes...))
		}
		if !json.Valid(body) {
			t.Fatalf("%s", body)
		}
		entry, err := report.Entries([]byte(`{"services":[{"service_id":"s","properties":{"a":1}}]}`), stored)
		if err != nil {
			t.Fatal(err)
		}
		entries, sizes = append(entries, entry), append(sizes, len(entry))
	}
}

func TestChildrenArePickedAsTheyAreWritten(t *testing.T) {
	body := []byte(`{"devices":[{"device_id":"a", "x":1e5},{"device_id":"b"},{"device_id":"c"}]}`)
	got, err := report.Children(body, []int{0, 2})
	if want := `{"devices":[{"device_id":"a", "x":1e5},{"device_id":"c"}]}`; err != nil || string(got) != want {
		t.Errorf("%s (%v)", got, err)
	}
	if _, err := report.Children(body, []int{3}); err == nil {
		t.Error("there is a fourth child")
	}
}
