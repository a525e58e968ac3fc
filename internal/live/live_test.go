package live

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A script of observations, and what is believed after each.
func TestBeliefs(t *testing.T) {
	var l Load
	start := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		after   time.Duration // since the start
		latency time.Duration // of a good answer; 0 for a failure
		want    time.Duration // latency
		rate    float64
	}{
		{0, 100 * time.Millisecond, 100 * time.Millisecond, 0},
		{0, 300 * time.Millisecond, 300 * time.Millisecond, 0}, // peaks are believed at once
		{Tau, 100 * time.Millisecond, 173576 * time.Microsecond, 0},
		{Tau, 0, 173576 * time.Microsecond, 0.1},
		{Tau, 0, 173576 * time.Microsecond, 0.19},
		{Tau, 173576 * time.Microsecond, 173576 * time.Microsecond, 0.171},
		{2 * Tau, 0, 173576 * time.Microsecond, 0.171/math.E*0.9 + 0.1},
		{Tau, 200 * time.Millisecond, 200 * time.Millisecond, (0.171/math.E*0.9 + 0.1) * 0.9}, // the clock went back
	} {
		now := start.Add(step.after)
		if step.latency > 0 {
			l.Answered(now, step.latency)
		}
		l.Judged(now, step.latency == 0)
		if d := l.Latency() - step.want; d > time.Microsecond || d < -time.Microsecond || math.Abs(l.ErrorRate()-step.rate) > 1e-9 {
			t.Fatalf("%+v: latency %v, error rate %v", step, l.Latency(), l.ErrorRate())
		}
		if failing := l.Failing() != 0; failing != (step.latency == 0) {
			t.Fatalf("%+v: failing %v", step, failing)
		}
	}
	later := start.Add(20 * Tau)
	if l.LatencyAt(later) > time.Microsecond || l.ErrorRateAt(later) > 1e-6 {
		t.Errorf("long after: %v and %v", l.LatencyAt(later), l.ErrorRateAt(later))
	}
}

// However many come at once, no more are in than the limit says, and all leave again.
func TestEnter(t *testing.T) {
	var l Load
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if l.Enter(3) {
					if n := l.InFlight(); n < 1 || n > 3+8 { // refused ones count for a moment
						t.Errorf("%d in flight", n)
					}
					l.Leave()
				}
			}
		})
	}
	wg.Wait()
	if l.InFlight() != 0 || !l.Enter(1) || l.Enter(1) || !l.Enter(0) {
		t.Errorf("%d in flight at the end", l.InFlight())
	}
}

// Whatever is observed, in whatever order of time, beliefs stay within what was seen.
func TestBeliefsStayInBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l Load
	for range 10_000 {
		now := time.Unix(0, r.Int64N(int64(time.Minute)))
		l.Answered(now, 1+time.Duration(r.Int64N(int64(time.Second))))
		l.Judged(now, r.IntN(3) == 0)
		if l.Latency() < 1 || l.Latency() > time.Second || l.ErrorRate() < 0 || l.ErrorRate() > 1 {
			t.Fatalf("latency %v, error rate %v", l.Latency(), l.ErrorRate())
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var l Load
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		l.Enter(9)
		l.Answered(now, time.Millisecond)
		l.Judged(now, true)
		l.LatencyAt(now)
		l.ErrorRateAt(now)
		l.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The short way to fade meets the long one.
func TestFadeIsExponential(t *testing.T) {
	for dt := time.Duration(1); dt < 100*Tau; dt += dt/50 + 1 {
		if got, want := fade(int64(dt), 0), math.Exp(-float64(dt)/float64(Tau)); math.Abs(got-want) > 3e-9*want {
			t.Fatalf("after %v: %v, want %v", dt, got, want)
		}
	}
}
