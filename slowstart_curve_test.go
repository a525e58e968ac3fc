package lb

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The curve, with the values that Envoy's documentation gives, and its laws whatever is configured: it
// never falls, and stays from the least to the whole.
func TestSlowStartCurve(t *testing.T) {
	minute := func(aggression float64) SlowStart {
		return SlowStart{Window: time.Minute, Aggression: aggression}.defaults()
	}
	for _, c := range []struct {
		age  time.Duration
		s    SlowStart
		want float64
	}{
		{12 * time.Second, minute(1), 0.2}, {12 * time.Second, minute(2), 0.447}, {12 * time.Second, minute(0), 0.2},
		{30 * time.Second, minute(1), 0.5}, {30 * time.Second, minute(2), 0.707},
		{0, minute(1), 0.1}, {-time.Hour, minute(2), 0.1}, {3 * time.Second, minute(1), 0.1}, {time.Minute, minute(1), 1},
		{time.Hour, minute(0.5), 1}, {30 * time.Second, minute(0.5), 0.25},
		{time.Second, SlowStart{Window: time.Minute, Least: 0.3}.defaults(), 0.3},
	} {
		if got := c.s.factor(c.age); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("%+v after %v: %v, want %v", c.s, c.age, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := SlowStart{
			Window:     time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "Window")),
			Aggression: rapid.Float64Min(0).Draw(t, "Aggression"), Least: rapid.Float64Range(0, 1).Draw(t, "Least"),
		}
		if err := s.faults(); err != nil {
			t.Skip(err)
		}
		s = s.defaults()
		at := rapid.Int64Range(-int64(time.Hour), 2*int64(s.Window))
		early, late := time.Duration(at.Draw(t, "age")), time.Duration(at.Draw(t, "another"))
		early, late = min(early, late), max(early, late)
		if f, g := s.factor(early), s.factor(late); !(f >= s.Least && f <= g && g <= 1) || late >= s.Window && g != 1 {
			t.Errorf("%+v: %v after %v, %v after %v", s, f, early, g, late)
		}
	})
}
