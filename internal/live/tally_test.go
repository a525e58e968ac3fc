package live

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// However many enter, answer, fail and are refused at once, and however often the counts wrap around,
// in the end nobody is waited for, and answers are counted.
func TestTally(t *testing.T) {
	for _, at := range []uint64{0, 1<<32 - 1000, 1<<63 - 1, 1<<63 + 5} { // entered
		var l Load
		l.places.Store(at << 32)
		l.ended.Store(at & (1<<32 - 1))
		before, _, _ := l.Tally()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 1000 {
					if !l.Enter(5) {
						continue
					}
					entered, ended, _ := l.Tally()
					if n := int32(entered - ended); n > 5+8 { // fewer than none, when some came and went meanwhile
						t.Errorf("%d waited for", n)
					}
					switch i % 4 {
					case 0:
						l.Heard()
						l.Leave()
					case 1:
						l.Ignored()
						l.Leave()
					case 2:
						l.Ignored()
						l.HeardMore()
						l.Leave()
					default:
						l.Withdraw()
					}
				}
			})
		}
		wg.Wait()
		entered, ended, answers := l.Tally()
		if entered != ended || entered-before > 6000 || entered == before || answers == 0 || answers > 4001 || l.InFlight() != 0 {
			t.Errorf("from %d: %d entered, %d ended, %d answers, %d in flight", at, entered-before, ended, answers, l.InFlight())
		}
	}
}

// A backwards clock does not make the present generation last until it has caught up.
func TestQuantileClockBack(t *testing.T) {
	var l Load
	l.Track()
	now := time.Unix(1e9, 0)
	for range 1000 {
		l.Answered(now, time.Second)
	}
	now = now.Add(-time.Hour)
	for range 3 {
		now = now.Add(span + 1)
		for range 200 {
			l.Answered(now, time.Millisecond)
		}
	}
	if d, n := l.Recent(now, 0.99); d > 2*time.Millisecond || n != 400 {
		t.Errorf("%v of %d answers", d, n)
	}
	now = now.Add(24 * 365 * time.Hour)
	if d, n := l.Recent(now, 0.99); d != 0 || n != 0 {
		t.Errorf("a year later: %v of %d answers", d, n)
	}
}

// With few answers the highest quantile is the slowest of them.
func TestRecentOfFew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 100; n++ {
		var l Load
		l.Track()
		slowest := time.Duration(0)
		for range n {
			d := time.Duration(rng.Int64N(int64(time.Second)))
			slowest = max(slowest, d)
			l.Answered(time.Unix(1e9, 0), d)
		}
		d, got := l.Recent(time.Unix(1e9, 0), 0.99)
		if got != uint64(n) || d < slowest || d > slowest*9/8+2*time.Microsecond {
			t.Errorf("of %d: %v of %d, want %v", n, d, got, slowest)
		}
	}
}
