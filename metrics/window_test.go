package metrics

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBucketsAreCloseAndInOrder(t *testing.T) {
	last := -1
	for us := time.Duration(0); us < 67_000_000; us += 1 + us/50 {
		d := us * time.Microsecond
		i := bucketOf(d)
		if i < last || i > last+1 && last >= 0 {
			t.Fatalf("%v: bucket %d after %d", d, i, last)
		}
		last = i
		off := (middleOf(i) - d).Abs()
		if off > d/16+time.Microsecond {
			t.Fatalf("%v: bucket %d stands for %v", d, i, middleOf(i))
		}
	}
	if last != buckets-1 {
		t.Errorf("67 seconds are in bucket %d of %d", last, buckets)
	}
	for _, d := range []time.Duration{-1, -time.Hour, 1<<63 - 1} {
		if i := bucketOf(d); i < 0 || i >= buckets {
			t.Errorf("%v: bucket %d", d, i)
		}
	}
}

func TestQuantilesAreThoseOfTheSortedValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 3000; n += 1 + n/3 {
		var w window
		var all []time.Duration
		for range n {
			d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
			all = append(all, d)
			w.record(random.Uint32N(windowSlices), d)
		}
		slices.Sort(all)
		p50, p99 := w.quantiles(0.5, 0.99)
		for q, got := range map[float64]time.Duration{0.5: p50, 0.99: p99} {
			rank := int(q * float64(n))
			if float64(rank) == q*float64(n) {
				rank--
			}
			if want := all[rank]; (got - want).Abs() > want/15+time.Microsecond {
				t.Errorf("quantile %v of %d values: got %v, want %v", q, n, got, want)
			}
		}
	}
	var empty window
	if p, q := empty.quantiles(0.5, 0.99); p != 0 || q != 0 {
		t.Errorf("an empty window has quantiles %v and %v", p, q)
	}
}

func TestWindowForgetsAfterAMinute(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	r.join(b.ID())
	start := time.Unix(1_000_000, 0)
	r.turn(start)
	r.of(b).latency.record(r.slice.Load(), time.Second)
	seen := func() bool { p, _ := r.of(b).latency.quantiles(0.5, 0.99); return p > 0 }
	for s := range 60 {
		if r.turn(start.Add(time.Duration(s) * time.Second)); !seen() {
			t.Fatalf("forgotten after %d seconds", s)
		}
	}
	if r.turn(start.Add(time.Minute)); seen() {
		t.Error("remembered for more than a minute")
	}
	r.of(b).latency.record(r.slice.Load(), time.Second)
	if r.turn(start.Add(24 * time.Hour)); seen() {
		t.Error("remembered over a long pause")
	}
	r.of(b).latency.record(r.slice.Load(), time.Second)
	if r.turn(start); !seen() {
		t.Error("a clock that goes back makes it forget")
	}
}

func TestWindowCountsConcurrently(t *testing.T) {
	var w window
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				w.record(0, time.Millisecond)
			}
		})
	}
	for range 100 {
		w.quantiles(0.5, 0.99)
	}
	wg.Wait()
	if n := w.counts[0][bucketOf(time.Millisecond)].Load(); n != 4000 {
		t.Errorf("counted %d of 4000", n)
	}
}
