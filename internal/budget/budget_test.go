package budget

import (
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

func TestAReserveOfTenAndAFifth(t *testing.T) {
	var b Budget
	spent := func(tries int) (n int) {
		for range tries {
			if b.Spend() {
				n++
			}
		}
		return n
	}
	if n := spent(100); n != 10 {
		t.Errorf("a full budget gave %d retries, want 10", n)
	}
	for range 1000 {
		b.Earn()
		b.Spend()
	}
	if n := spent(1); n != 0 {
		t.Errorf("one that asks at each request has %d left, want none", n)
	}
	for range 25 {
		b.Earn()
	}
	if n := spent(100); n != 5 {
		t.Errorf("25 requests earned %d retries, want 5", n)
	}
	for range 10_000 {
		b.Earn()
	}
	if n := spent(100); n != 10 {
		t.Errorf("rich: %d retries, want no more than the reserve of 10", n)
	}
}

// Whatever 64 goroutines earn and spend at once: at all times no more was given than a reserve of ten and a
// fifth of what was earned, no credit is above the reserve afterwards, and none is lost.
func TestWhatManyGoroutinesSpend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const fifths, reserve = 5, 50
		var b Budget
		turns := rapid.SliceOfN(rapid.SliceOfN(rapid.Bool(), 0, 30), 1, 64)
		t.Repeat(map[string]func(*rapid.T){
			"all at once": func(t *rapid.T) {
				before := b.spent.Load()
				var earned, given atomic.Int64
				var all sync.WaitGroup
				for _, mine := range turns.Draw(t, "turns") {
					all.Go(func() {
						for _, earn := range mine {
							if earn {
								earned.Add(1)
								b.Earn()
							} else if b.Spend() {
								given.Add(1)
							}
							if n := given.Load(); fifths*n > reserve-before+earned.Load() {
								t.Errorf("%d retries were given, with %d fifths spent before and %d earned", n, before, earned.Load())
							}
						}
					})
				}
				all.Wait()
				after, least := b.spent.Load(), before+fifths*given.Load()-earned.Load()
				if after < max(0, least) || after > min(reserve, before+fifths*given.Load()) {
					t.Errorf("%d fifths are spent after %d, %d retries and %d earned", after, before, given.Load(), earned.Load())
				}
			},
			"the last fifth is earned by all": func(t *rapid.T) {
				b.spent.Store(1)
				var all sync.WaitGroup
				begin := make(chan bool)
				for range 64 {
					all.Go(func() { <-begin; b.Earn() })
				}
				close(begin)
				all.Wait()
				if n := b.spent.Load(); n != 0 {
					t.Errorf("%d fifths are spent", n)
				}
			},
			"one after the other": func(t *rapid.T) {
				left := reserve - b.spent.Load()
				for _, earn := range rapid.SliceOf(rapid.Bool()).Draw(t, "turns") {
					switch {
					case earn:
						b.Earn()
						left = min(reserve, left+1)
					case b.Spend() != (left >= fifths):
						t.Fatalf("with %d fifths left it said %v", left, left < fifths)
					case left >= fifths:
						left -= fifths
					}
				}
			},
		})
	})
}
