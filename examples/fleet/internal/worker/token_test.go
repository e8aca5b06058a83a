// Access tokens that move with the partitions.

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/worker"
)

// A partition that moves is no reason to authenticate, one that died neither; a token that the platform no longer takes is
// replaced, once.
func TestTokensAreSharedAndReplaced(t *testing.T) {
	f := newFleet(t, setup{devices: 20})
	a := f.start("a")
	f.report(1)
	f.drained()
	f.start("b")
	f.served("a", "b")
	f.report(1)
	f.drained()
	a.stop()
	f.report(1)
	f.drained()
	if counted := f.counters(); counted.Authentications != 20 {
		t.Errorf("%d authentications of 20 devices", counted.Authentications)
	}
	f.must(f.standin.Ask("POST", "/tokens/expire", "", nil))
	f.report(1)
	f.drained()
	if counted := f.counters(); counted.Authentications != 40 {
		t.Errorf("%d authentications when each of 20 devices lost its token once", counted.Authentications)
	}
	if duplicates := f.complete(); duplicates != 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

// A secret that the platform refuses holds its device alone, and is asked for anew until it is right.
func TestAWrongSecretHoldsItsDevice(t *testing.T) {
	f := newFleet(t, setup{devices: 3})
	f.must(f.standin.Ask("PUT", "/devices/"+f.devices[1], `{"secret":"changed at the platform"}`, nil))
	a := f.start("a", func(c *worker.Config) { c.SecretPause = time.Second })
	f.report(2)
	f.eventually("the others are delivered", func() bool { return f.waiting() == 2 })
	f.eventually("it is held", func() bool { return a.value(`fleet_failures_total{kind="authentication_auth_failed"}`) != "" })
	f.must(f.standin.Ask("PUT", "/devices/"+f.devices[1], fmt.Sprintf(`{"secret":"secret-of-%s"}`, f.devices[1]), nil))
	f.drained()
	f.complete()
}
