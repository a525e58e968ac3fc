package budget

import (
	"sync"
	"sync/atomic"
	"testing"
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

// Whatever the order, no more is spent than there was: ten, and a fifth of what came.
func TestConcurrentSpendersShareOneReserve(t *testing.T) {
	const goroutines, requests = 8, 1000
	var b Budget
	var spent atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range requests {
				b.Earn()
				for range 3 {
					if b.Spend() {
						spent.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	if n := spent.Load(); n > 12+goroutines*requests/5 { // two for fifths that are put back by two at once
		t.Errorf("%d retries for %d requests", n, goroutines*requests)
	}
}
