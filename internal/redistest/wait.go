package redistest

import (
	"testing"
	"time"
)

const patience = 40 * time.Second

// eventually waits for a condition, and ends the test after a time that decides nothing else.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if holds() {
			return
		}
	}
	t.Fatalf("redistest: never: %s", what)
}
