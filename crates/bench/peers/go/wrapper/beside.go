// The same report from Go and from C, in one process and by turns: what Go adds.

package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../../../../include
#include <iotda.h>
#include <stdlib.h>
#include <string.h>

// A client as the one of Go.
static iotda_client_t *new_client(const char *endpoint, const char *id, const char *secret, const char *ca_file,
                                  uint32_t timeout_ms) {
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, id, secret, strlen(secret));
    iotda_config_set_ca_file(config, ca_file);
    iotda_config_set_timeout_ms(config, timeout_ms);
    iotda_client_t *client = NULL;
    iotda_init(config, &client, NULL);
    iotda_config_free(config);
    return client;
}

// Each makes so many reports, and returns how many failed.

static long messages(iotda_client_t *client, const char *data, size_t len, long count) {
    long failed = 0;
    for (long i = 0; i < count; i++) {
        iotda_call_t call = IOTDA_CALL_INIT;
        failed += iotda_report_message(client, data, len, &call) != IOTDA_OK;
    }
    return failed;
}

static long objects(iotda_client_t *client, const char *object, int64_t time_ms, iotda_cancel_t *cancel,
                    long count) {
    long failed = 0;
    for (long i = 0; i < count; i++) {
        iotda_call_t call = IOTDA_CALL_INIT;
        call.cancel = cancel;
        iotda_service_t service = {"serviceId", object, time_ms};
        failed += iotda_report_props(client, &service, 1, &call) != IOTDA_OK;
    }
    return failed;
}

static long values(iotda_client_t *client, int64_t height, double speed, int64_t time_ms, iotda_cancel_t *cancel,
                   long count) {
    long failed = 0;
    iotda_props_t *props = iotda_props_new();
    for (long i = 0; i < count; i++) {
        iotda_props_clear(props);
        iotda_props_add_integer(props, "Height", height);
        iotda_props_add_double(props, "Speed", speed);
        failed += objects(client, iotda_props_json(props), time_ms, cancel, 1);
    }
    iotda_props_free(props);
    return failed;
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libiotda/libiotda/bindings/go/iotda"
	"github.com/libiotda/libiotda/crates/bench/peers/go/cost"
)

// How many reports are one turn, and how many before it go uncounted, so that the other's turn has no part in it.
const (
	turn      = 200
	uncounted = 100
)

// A pair is one report in both languages.
type pair struct {
	name     string
	fromC    func(count C.long) C.long
	fromGo   func() error
	measured measured
}

// measured are µs of each report: of processor time from C, from Go and the difference, and of time the difference.
type measured struct{ c, goes, more, moreWall []float64 }

// beside reports so many times each way.
func beside(client *iotda.Client, count int) error {
	c := C.new_client(text("IOTDA_ENDPOINT"), text("IOTDA_DEVICE_ID"), text("IOTDA_DEVICE_SECRET"),
		text("IOTDA_CA_FILE"), C.uint32_t(timeout.Milliseconds()))
	if c == nil {
		return fmt.Errorf("no client from C")
	}
	defer C.iotda_close(c)
	canEnd, end := context.WithCancel(context.Background())
	defer end()
	cancel := C.iotda_cancel_new()
	defer C.iotda_cancel_free(cancel)
	pairs := pairs(client, c, canEnd, cancel)
	for range max(count/turn, 1) {
		for i := range pairs {
			if err := pairs[i].measure(); err != nil {
				return fmt.Errorf("%s: %w", pairs[i].name, err)
			}
		}
	}
	var words []string
	for _, pair := range pairs {
		for _, figure := range []struct {
			name   string
			values []float64
		}{
			{"c_us", pair.measured.c},
			{"go_us", pair.measured.goes},
			{"more_us", pair.measured.more},
			{"more_wall_us", pair.measured.moreWall},
		} {
			slices.Sort(figure.values)
			last := len(figure.values) - 1
			for part, at := range map[string]int{"": last / 2, "_low": last / 4, "_high": last * 3 / 4} {
				words = append(words, fmt.Sprintf("%s_%s%s=%.3f", pair.name, figure.name, part, figure.values[at]))
			}
		}
	}
	fmt.Println(strings.Join(words, " "))
	return nil
}

func pairs(client *iotda.Client, c *C.iotda_client_t, canEnd context.Context, cancel *C.iotda_cancel_t) []pair {
	ctx := context.Background()
	object := json.RawMessage(`{"Height":124,"Speed":23.24}`)
	body, objectForC, bodyForC := []byte(cost.Text), C.CString(string(object)), C.CString(cost.Text)
	given := properties{124, 23.24}
	report := func(ctx context.Context, properties any) func() error {
		return func() error {
			at := time.UnixMilli(cost.TimeMS)
			return client.ReportProperties(ctx, iotda.Service{ID: "serviceId", Properties: properties, EventTime: at})
		}
	}
	values := func(cancel *C.iotda_cancel_t) func(count C.long) C.long {
		return func(count C.long) C.long { return C.values(c, 124, 23.24, cost.TimeMS, cancel, count) }
	}
	return []pair{
		{name: "message",
			fromC:  func(count C.long) C.long { return C.messages(c, bodyForC, C.size_t(len(body)), count) },
			fromGo: func() error { return client.ReportMessage(ctx, body) }},
		{name: "object",
			fromC:  func(count C.long) C.long { return C.objects(c, objectForC, cost.TimeMS, nil, count) },
			fromGo: report(ctx, object)},
		{name: "values", fromC: values(nil), fromGo: report(ctx, &given)},
		{name: "can_end", fromC: values(cancel), fromGo: report(canEnd, &given)},
	}
}

// measure has a turn of each.
func (p *pair) measure() error {
	c, err := turnOf(func(count int) error {
		if failed := p.fromC(C.long(count)); failed > 0 {
			return fmt.Errorf("%d reports from C failed", failed)
		}
		return nil
	})
	if err != nil {
		return err
	}
	goes, err := turnOf(func(count int) error {
		for range count {
			if err := p.fromGo(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m := &p.measured
	m.c, m.goes = append(m.c, c.CPU), append(m.goes, goes.CPU)
	m.more, m.moreWall = append(m.more, goes.CPU-c.CPU), append(m.moreWall, goes.Wall-c.Wall)
	return nil
}

func turnOf(reports func(count int) error) (cost.Each, error) {
	if err := reports(uncounted); err != nil {
		return cost.Each{}, err
	}
	return cost.OfEach(func() error { return reports(turn) }, turn)
}

// text is a setting as C reads it, kept until the program ends.
func text(setting string) *C.char { return C.CString(cost.Setting(setting)) }
