package autoscale

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTally has instances report steady rates, each in a rhythm of its own, some of them late and
// twice: every interval has what all of them saw in it.
func TestTally(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 6))
	for round := range 200 {
		tl, n := tally{beat: time.Second}, 1+random.IntN(20)
		start, reports := instant, make(map[string]Report)
		rates, offsets, missed := make([]int64, n), make([]time.Duration, n), make([]int, n)
		var sum int64
		for i := range n {
			rates[i] = int64(10 * random.IntN(50)) // a second
			offsets[i] = time.Duration(random.IntN(1000)) * time.Millisecond
			sum += rates[i]
		}
		for beat := range 60 {
			now := start.Add(time.Duration(beat) * time.Second)
			for i := range n {
				if missed[i]++; missed[i] <= 2 && random.IntN(4) == 0 {
					continue // late
				}
				missed[i] = 0
				up := time.Duration(beat+1)*time.Second - offsets[i]
				count := int64(float64(rates[i])*up.Seconds() + 0.5)
				reports[fmt.Sprint(i)] = Report{Up: up, Answered: count, Begun: 2 * count, Busy: 3 * time.Duration(rates[i]) * up, InFlight: rates[i]}
			}
			tl.hear(now, reports)
			l := Load{Interval: 2 * time.Second}
			if tl.add(&l); beat < 10 || beat%2 == 1 {
				continue
			}
			if off := l.Requests - 2*sum; off < -int64(2*n) || off > int64(2*n) {
				t.Fatalf("round %d: %d requests of %d", round, l.Requests, 2*sum)
			}
			if off := l.Concurrency - 3*float64(sum); off < -1 || off > 1 || l.InFlight != sum {
				t.Fatalf("round %d: %v and %v in flight of %d", round, l.Concurrency, l.InFlight, sum)
			}
		}
	}
}

// TestTallySilence has one of two instances fall silent, and then nobody be heard for a while.
func TestTallySilence(t *testing.T) {
	tl, now := tally{beat: time.Second}, instant
	for beat := range 40 {
		now = now.Add(time.Second)
		up := time.Duration(beat+1) * time.Second
		reports := map[string]Report{"a": {Up: up, Answered: int64(10 * (beat + 1)), Generation: 2, Revision: 5}}
		reports["b"] = Report{Up: min(up, 20*time.Second), Answered: int64(10 * min(beat+1, 20)), Generation: 2, Revision: 4}
		if beat == 21 {
			now = now.Add(time.Hour) // Redis was away: that is not b's silence
		}
		tl.hear(now, reports)
		l := Load{Interval: time.Second}
		tl.add(&l)
		if want := int64(20); beat < 23 && l.Requests != want || beat > 23 && l.Requests != 10 {
			t.Errorf("beat %d: %d requests", beat, l.Requests)
		}
		if got := tl.clear("a", "m", 2, 5); got != (beat > 29) {
			t.Errorf("beat %d: clear %v", beat, got)
		}
	}
	for _, tt := range []struct {
		generation, revision uint64
		id                   string
		want                 bool
	}{{2, 5, "m", true}, {2, 6, "m", false}, {3, 5, "m", false}, {1, 1, "m", false}, {2, 4, "n", false}} {
		tl.hear(now, map[string]Report{"a": {Up: 1}, "c": {Generation: 2, Revision: 5, Draining: []string{"n"}}})
		if got := tl.clear("a", tt.id, tt.generation, tt.revision); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// TestFleetLoad has requests at all instances, and whoever leads plan for the sum of them.
func TestFleetLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 4, 1)
		defer c.quit()
		var mu sync.Mutex
		var last Load
		c.with(func() { c.seen = func(l Load) { mu.Lock(); defer mu.Unlock(); last = l } })
		c.wait(10500 * time.Millisecond)
		for range 30 {
			for i, x := range c.all {
				s := &set{Scaler: x.scaler}
				s.answer(10 + i)
				s.fail(1)
			}
			c.wait(time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		if last.Requests != 2*46 || last.Failed != 8 || last.Begun != 100 || last.Interval != 2*time.Second {
			t.Errorf("%+v", last)
		}
	})
}

// TestStateEdits has edits leave the State alone that they begin with.
func TestStateEdits(t *testing.T) {
	s := State{Revision: 3, Generation: 2, Backends: []Launched{{Key: "a", Phase: Serving}, {Key: "b", Phase: Starting}}}
	s.Backends[0].Spec.ID = "m1"
	before := fmt.Sprint(s)
	for name, next := range map[string]State{
		"claimed": s.claimed("x"), "wanting": s.wanting(4, "x", []string{"k"}, []string{"m1"}), "without": s.without("a"),
		"with": s.with(Launched{Key: "b", Phase: Serving}), "with another": s.with(Launched{Key: "c"}),
	} {
		if fmt.Sprint(s) != before {
			t.Fatalf("%s changed the State to %v", name, s)
		}
		if next.Revision != 4 || !s.before(next) || next.before(s) || s.before(s) {
			t.Errorf("%s: %+v", name, next)
		}
	}
	if next := s.wanting(4, "x", []string{"k"}, []string{"m1"}); next.Desired != 4 || next.Backends[0].Phase != Leaving || next.Backends[2].By != "x" {
		t.Errorf("%+v", next)
	}
	if p := []string{Starting.String(), Serving.String(), Leaving.String(), Phase(9).String()}; fmt.Sprint(p) != "[starting serving leaving unknown]" {
		t.Error(p)
	}
	later := State{Generation: 3}
	if !s.before(later) || later.before(s) {
		t.Error("a later term does not count for more")
	}
}
