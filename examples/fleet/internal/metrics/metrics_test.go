// The text that Prometheus reads.

package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/metrics"
)

func TestTheTextIsPrometheus(t *testing.T) {
	var set metrics.Set
	delivered := set.Counter("fleet_delivered_total", "Reports.")
	failures := set.Counters("fleet_failures_total", "Failures.", "kind")
	set.Gauge("fleet_lease_seconds", "Left.", func() float64 { return 1.25 })
	requests := set.Histogram("fleet_request_seconds", "Requests.")
	delivered.Add(3)
	failures.Add("time\"out", 1)
	failures.Add("server", 2)
	failures.Add("server", 2)
	requests.Observe(5 * time.Millisecond) // a bound belongs to its bucket
	requests.Observe(20 * time.Millisecond)
	requests.Observe(time.Minute)
	var text strings.Builder
	if err := set.Write(&text); err != nil {
		t.Fatal(err)
	}
	want := `# HELP fleet_delivered_total Reports.
# TYPE fleet_delivered_total counter
fleet_delivered_total 3
# HELP fleet_failures_total Failures.
# TYPE fleet_failures_total counter
fleet_failures_total{kind="server"} 4
fleet_failures_total{kind="time\"out"} 1
# HELP fleet_lease_seconds Left.
# TYPE fleet_lease_seconds gauge
fleet_lease_seconds 1.25
# HELP fleet_request_seconds Requests.
# TYPE fleet_request_seconds histogram
fleet_request_seconds_bucket{le="0.005"} 1
fleet_request_seconds_bucket{le="0.01"} 1
fleet_request_seconds_bucket{le="0.025"} 2
fleet_request_seconds_bucket{le="0.05"} 2
fleet_request_seconds_bucket{le="0.1"} 2
fleet_request_seconds_bucket{le="0.25"} 2
fleet_request_seconds_bucket{le="0.5"} 2
fleet_request_seconds_bucket{le="1"} 2
fleet_request_seconds_bucket{le="2.5"} 2
fleet_request_seconds_bucket{le="5"} 2
fleet_request_seconds_bucket{le="10"} 2
fleet_request_seconds_bucket{le="+Inf"} 3
fleet_request_seconds_sum 60.025
fleet_request_seconds_count 3
`
	if text.String() != want {
		t.Errorf("%s", text.String())
	}
}
