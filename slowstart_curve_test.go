package lb

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
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
	r := rand.New(rand.NewPCG(5, 1))
	for range 1000 {
		s := SlowStart{Window: 1 + time.Duration(r.Int64N(int64(time.Hour))), Aggression: r.Float64() * 9, Least: r.Float64()}.defaults()
		last := 0.0
		for i := range 50 {
			f := s.factor(s.Window * time.Duration(i) / 40)
			if !(f >= last && f >= s.Least && f <= 1) || i >= 40 && f != 1 {
				t.Fatalf("%+v at %d of 40: %v after %v", s, i, f, last)
			}
			last = f
		}
	}
}
