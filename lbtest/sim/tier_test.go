package sim_test

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// full reports whether the proof obligations are to be held by every seed within their own bounds,
// which takes minutes. Otherwise one seed has to hold wider ones, with fewer events.
func full() bool { return os.Getenv("LB_FULL") == "1" }

// seeds are those that have to hold.
func seeds() []uint64 {
	if full() {
		return []uint64{1, 2, 3, 4, 5}
	}
	return []uint64{1}
}

// either returns what is for the full tier, or what is for the quick one.
func either[T any](whole, quick T) T {
	if full() {
		return whole
	}
	return quick
}

// proof skips a proof obligation under the race detector, which has one goroutine to look at here,
// and in short runs.
func proof(t *testing.T) {
	t.Helper()
	if raced || testing.Short() {
		t.Skip("an obligation of one goroutine and many events")
	}
}

// shared gives all clients the same policy.
func shared(p lb.Policy) func(int) lb.Policy { return func(int) lb.Policy { return p } }

// near fails the test if got is more than a share of want away from it.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	t.Logf("%s: %.4f, want %.4f: %+.2f %%", what, got, want, 100*(got/want-1))
	if !(math.Abs(got-want) <= within*want) {
		t.Errorf("%s: got %.4f, want %.4f within %.1f %%", what, got, want, 100*within)
	}
}

// deviation returns how far got is from want, as a share of it.
func deviation(got, want float64) float64 { return math.Abs(got/want - 1) }

// run fails the test if the world does not end well.
func run(t *testing.T, c sim.Config) sim.Report {
	t.Helper()
	began := time.Now()
	r, err := sim.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d events of %d requests: %.2f us per request", r.Events, r.Requests, float64(took.Microseconds())/float64(max(1, r.Requests)))
	return r
}
