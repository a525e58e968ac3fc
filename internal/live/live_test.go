package live

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
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
	rapid.Check(t, func(t *rapid.T) {
		var l Load
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		at := rapid.Int64Range(0, int64(time.Minute))
		t.Repeat(map[string]func(*rapid.T){
			"answered": func(t *rapid.T) {
				d := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "latency"))
				least, most = min(least, d), max(most, d)
				l.Answered(time.Unix(0, at.Draw(t, "now")), d)
				if l.Latency() < d {
					t.Errorf("a slower answer of %v is not believed: %v", d, l.Latency())
				}
			},
			"judged": func(t *rapid.T) { l.Judged(time.Unix(0, at.Draw(t, "now")), rapid.Bool().Draw(t, "failed")) },
			"": func(t *rapid.T) {
				now := time.Unix(0, at.Draw(t, "now"))
				if most > 0 && (l.Latency() < least || l.Latency() > most) || l.LatencyAt(now) < 0 || l.LatencyAt(now) > l.Latency() {
					t.Errorf("latency %v, then %v, after %v to %v", l.Latency(), l.LatencyAt(now), least, most)
				}
				if l.ErrorRate() < 0 || l.ErrorRate() > 1 || l.ErrorRateAt(now) < 0 || l.ErrorRateAt(now) > l.ErrorRate() {
					t.Errorf("error rate %v, then %v", l.ErrorRate(), l.ErrorRateAt(now))
				}
			},
		})
	})
}

// Whatever requests do in whatever order, wherever the counts stood: in flight is who has entered and not
// left, never more than the limit, never below zero, and nobody is waited for at rest.
func TestCountsAreThoseOfAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Load
		at := rapid.SampledFrom([]uint64{0, 1<<32 - 2, 1<<31 - 1, 12345}).Draw(t, "begun before")
		l.places.Store(at << 32)
		l.ended.Store(at & (1<<32 - 1))
		var open []bool // requests in flight, and whether they are waited for
		waited, answers := 0, uint32(0)
		take := func(t *rapid.T) bool {
			if len(open) == 0 {
				t.Skip("nobody is there")
			}
			i := rapid.IntRange(0, len(open)-1).Draw(t, "who")
			was := open[i]
			open = append(open[:i], open[i+1:]...)
			return was
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				limit := rapid.IntRange(0, 6).Draw(t, "limit")
				if in := l.Enter(limit); in != (limit == 0 || len(open) < limit) {
					t.Fatalf("with %d of %d it said %v", len(open), limit, in)
				} else if in {
					open, waited = append(open, true), waited+1
				}
			},
			"withdraw": func(t *rapid.T) {
				if l.Enter(0) {
					l.Withdraw()
				}
			},
			"hear": func(t *rapid.T) {
				waits := take(t)
				answers++
				if waits {
					l.Heard()
					waited--
				} else {
					l.HeardMore()
				}
				open = append(open, false)
			},
			"ignore": func(t *rapid.T) {
				if take(t) {
					l.Ignored()
					waited--
				}
				open = append(open, false)
			},
			"leave": func(t *rapid.T) {
				if take(t) {
					l.Ignored()
					waited--
				}
				l.Leave()
			},
			"": func(t *rapid.T) {
				begun, ended, heard := l.Tally()
				if heard == answers+1 && ended < uint32(at) {
					heard-- // see Tally
				}
				if l.InFlight() != int64(len(open)) || int(int32(begun-ended)) != waited || heard != answers {
					t.Errorf("%d in flight, %d waited for, %d answers; want %d, %d, %d", l.InFlight(), int32(begun-ended), heard, len(open), waited, answers)
				}
			},
		})
	})
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
