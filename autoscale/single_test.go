package autoscale

import "testing"

// single skips a long test of one goroutine under the race detector, which has nothing to see there.
func single(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("a long test of one goroutine")
	}
}
