package live

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A quantile is not below the true one, and at most an eighth and a microsecond above.
func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1000, 0)
	for _, top := range []float64{10e3, 1e6, 50e6, 5e9} {
		var l Load
		l.Track()
		var all []time.Duration
		for i := range 5000 {
			d := time.Duration(rng.Float64() * rng.Float64() * top)
			all = append(all, d)
			l.Answered(now.Add(time.Duration(i)*time.Microsecond), d)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99} {
			got, ok := l.Quantile(now, q)
			want := all[int(q*float64(len(all)))]
			if !ok || got < want || float64(got) > float64(want)*1.126+2e3 {
				t.Errorf("up to %v: quantile %v is %v, %v, want %v", time.Duration(top), q, got, ok, want)
			}
		}
	}
}

// Old answers are forgotten after two spans, and few say nothing.
func TestQuantileForgets(t *testing.T) {
	var l Load
	now := time.Unix(1000, 0)
	if _, ok := l.Quantile(now, 0.5); ok {
		t.Error("known without Track")
	}
	l.Track()
	l.Track()
	for range least {
		if _, ok := l.Quantile(now, 0.5); ok {
			t.Fatal("known too early")
		}
		l.Answered(now, time.Second)
	}
	for _, later := range []time.Duration{0, span - 1, span, 2*span - 1} {
		if d, ok := l.Quantile(now.Add(later), 0.5); !ok || d < time.Second {
			t.Errorf("after %v: %v, %v", later, d, ok)
		}
	}
	now = now.Add(3*span + 1)
	for range 2 * least {
		l.Answered(now, time.Millisecond)
	}
	if d, ok := l.Quantile(now, 0.99); !ok || d > 2*time.Millisecond {
		t.Errorf("old ones count: %v, %v", d, ok)
	}
}

// Every latency counts in a bucket whose limit is above it, and buckets are in order.
func TestBuckets(t *testing.T) {
	last := -1
	for us := time.Duration(0); us < 300_000; us++ {
		d := us * time.Microsecond
		i := bucketOf(d)
		if i < last || limitOf(i) <= d || i > 0 && limitOf(i-1) > max(d, 8*time.Microsecond) {
			t.Fatalf("%v is in bucket %d, up to %v", d, i, limitOf(i))
		}
		last = i
	}
	if i := bucketOf(time.Hour); i != buckets-1 {
		t.Errorf("an hour is in bucket %d", i)
	}
}
