//go:build cgo

package iotda

import (
	"testing"
	"time"
)

func TestOthersHaveTheirTurnNowAndThen(t *testing.T) {
	var w work
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		due   bool
	}{
		{0, true}, // the first call ever
		{0, false},
		{yieldAfter - 1, false},
		{1, true},
		{yieldAfter - 1, false},
		{time.Hour, true},
	} {
		now = now.Add(step.after)
		if due := w.isYieldDue(now); due != step.due {
			t.Errorf("%v later: due is %v", step.after, due)
		}
	}
}
