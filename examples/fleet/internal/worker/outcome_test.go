// What becomes of reports that the platform refuses, or cannot take at the moment.

package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/report"
	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
	"github.com/libiotda/libiotda/examples/fleet/publish"
)

// A device that cannot be delivered holds nobody back, fills only itself, and loses nothing.
func TestAHeldDeviceHoldsNobodyBack(t *testing.T) {
	f := newFleet(t, setup{devices: 30, layout: func(l *broker.Layout) { l.Partitions, l.PerSubject = 1, 20 }})
	f.fault(fmt.Sprintf(`{"kind":"answer","status":503,"device":%q}`, f.devices[7]))
	f.start("a")
	full := 0
	for range 50 {
		for _, device := range f.devices {
			err := f.publish.Publish(t.Context(), device, report.Properties, number(f.expected[device]))
			switch {
			case err == nil:
				f.expected[device]++
			case errors.Is(err, publish.ErrFull) && device == f.devices[7]:
				full++
			case errors.Is(err, publish.ErrFull): // the worker is slower than the test
				f.eventually("a device that is delivered has room", func() bool {
					return f.publish.Publish(t.Context(), device, report.Properties, number(f.expected[device])) == nil
				})
				f.expected[device]++
			default:
				t.Fatal(err)
			}
		}
	}
	f.eventually("the others are delivered", func() bool { return f.waiting() == 20 })
	if full != 30 {
		t.Errorf("%d were refused", full)
	}
	if arrived := f.arrived(); len(arrived[f.devices[7]]) != 0 || len(arrived[f.devices[8]]) != 50 {
		t.Errorf("%v", arrived)
	}
	f.withdraw()
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

const strict = `
[[product]]
id = "p"
[[product.service]]
id = "s"
properties = { n = "int" }

[[gateway]]
id = "gateway"
secret = "secret-of-gateway"
children = ["child_1", "child_2"]

[[device]]
id = "modelled"
secret = "secret-of-modelled"
product = "p"
`

// Of reports that are refused together, the bad one becomes a dead letter, and the others arrive in order and once.
func TestABadReportIsFoundAndKept(t *testing.T) {
	f := newFleet(t, setup{registry: strict, args: []string{"--strict-model"}})
	f.devices = []string{"modelled"}
	f.must(appendSecret(f, "modelled"))
	bad := []byte(`{"services":[{"service_id":"s","properties":{"n":"no number"}}]}`)
	for i := range 30 {
		if i%10 == 5 {
			f.must(f.publish.Publish(t.Context(), "modelled", report.Properties, bad))
		}
		f.report(1)
	}
	f.start("a")
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	letters := f.deadLetters()
	if len(letters) != 3 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for i, letter := range letters {
		header := letter.Headers()
		if string(letter.Data()) != string(bad) || header.Get(worker.HeaderCode) != "IOTDA.000006" ||
			header.Get(worker.HeaderStatus) != "400" || header.Get(worker.HeaderReason) == "" ||
			header.Get(worker.HeaderSequence) != fmt.Sprint(6+11*i) || letter.Subject() != "iotda_dlq.modelled.properties" {
			t.Errorf("%s: %s %v", letter.Subject(), letter.Data(), header)
		}
	}
}

// What the library itself refuses is never sent, and spoils no request of others.
func TestWhatIsNoReportIsNeverSent(t *testing.T) {
	f := newFleet(t, setup{})
	device := f.devices[0]
	wrong := []string{"", "{", `{"services":[]}`, `{"services":[{"service_id":"s","properties":{"n":1}}],"x":1}`,
		`{"services":[{"service_id":"s","properties":{"n":1},"event_time":"yesterday"}]}`}
	for _, body := range wrong {
		f.must(f.publish.Publish(t.Context(), device, report.Properties, []byte(body)))
		f.report(1)
	}
	f.start("a")
	f.drained()
	f.complete()
	if letters := f.deadLetters(); len(letters) != len(wrong) {
		t.Errorf("%d dead letters", len(letters))
	}
	if counted := f.counters(); counted.Refusals != 0 {
		t.Errorf("%d requests were refused by the platform", counted.Refusals)
	}
}

func TestMessagesAndBatches(t *testing.T) {
	f := newFleet(t, setup{registry: strict})
	f.must(appendSecret(f, "gateway"))
	f.must(f.publish.Publish(t.Context(), f.devices[0], report.Message, []byte("any \x00 bytes")))
	child := func(id string) string {
		return fmt.Sprintf(`{"device_id":%q,"services":[{"service_id":"s","properties":{"n":1}}]}`, id)
	}
	batch := `{"devices":[` + child("child_1") + "," + child("nobody") + "," + child("child_2") + `]}`
	f.must(f.publish.Publish(t.Context(), "gateway", report.Batch, []byte(batch)))
	f.start("a")
	f.drained()
	if counted := f.counters(); counted.Messages != 1 {
		t.Errorf("%+v", counted)
	}
	delivered := ""
	for _, request := range f.requests("batch") {
		delivered += request.Body
	}
	if strings.Count(delivered, "child_1") != 1 || strings.Count(delivered, "child_2") != 1 {
		t.Errorf("delivered: %s", delivered)
	}
	letters := f.deadLetters()
	if len(letters) != 1 || string(letters[0].Data()) != `{"devices":[`+child("nobody")+`]}` {
		t.Errorf("%d dead letters", len(letters))
	}
}

// What is not the platform's answer is no verdict on the data: the lane waits.
func TestAProxysRefusalHoldsTheLane(t *testing.T) {
	f := newFleet(t, setup{})
	f.fault(`{"kind":"answer","status":400,"body":"<html>Bad Request</html>","content_type":"text/html","on":"properties","times":3}`)
	f.start("a")
	f.report(5)
	f.drained()
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
	if letters := f.deadLetters(); len(letters) != 0 {
		t.Errorf("%d dead letters", len(letters))
	}
}

func TestAnUnknownSecretWaits(t *testing.T) {
	f := newFleet(t, setup{registry: strict, devices: 2})
	f.must(f.publish.Publish(t.Context(), "gateway", report.Message, []byte("waits")))
	a := f.start("a")
	f.report(3)
	f.eventually("the others are delivered", func() bool { return f.waiting() == 1 })
	f.eventually("it is counted", func() bool { return a.value(`fleet_failures_total{kind="secret"}`) != "" })
	f.eventually("its lane is held", func() bool { return a.value("fleet_held_lanes") == "1" })
}
