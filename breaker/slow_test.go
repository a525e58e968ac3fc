package breaker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// take has n requests allowed, which end after so long.
func take(t *testing.T, b *breaker, n int, o lb.Outcome, after time.Duration) {
	t.Helper()
	for i := range n {
		p, ok := b.Allow()
		if !ok {
			t.Fatalf("request %d of %d was refused: %s", i+1, n, b.Cause())
		}
		b.DoneIn(p, o, after)
	}
}

// Slow answers open when their share is reached, whatever becomes of them otherwise, and not before
// there are enough results.
func TestSlowAnswersOpen(t *testing.T) {
	const slow, fast = 2*time.Second + 1, 2 * time.Second
	cfg := Config{Slow: fast, SlowRate: 0.3, Requests: 10, FailureRate: -1, Consecutive: -1}
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *breaker)
		want lb.BreakerState
		says string
	}{
		{"too few", func(t *testing.T, b *breaker) { take(t, b, 9, good, slow) }, lb.Closed, ""},
		{"fast", func(t *testing.T, b *breaker) { take(t, b, 100, good, fast) }, lb.Closed, ""},
		{"less than the share", func(t *testing.T, b *breaker) {
			take(t, b, 80, good, fast)
			take(t, b, 29, good, slow)
		}, lb.Closed, ""},
		{"the share", func(t *testing.T, b *breaker) {
			take(t, b, 7, good, fast)
			take(t, b, 3, good, slow)
		}, lb.Open, "3 of 10 answers within 10s took longer than 2s"},
		{"failures are answers, too", func(t *testing.T, b *breaker) {
			take(t, b, 7, bad, fast)
			take(t, b, 3, bad, slow)
		}, lb.Open, "3 of 10 answers within 10s took longer than 2s"},
		{"neutral ones are not", func(t *testing.T, b *breaker) { take(t, b, 100, neutral, slow) }, lb.Closed, ""},
		{"they leave the window", func(t *testing.T, b *breaker) {
			take(t, b, 9, good, slow)
			time.Sleep(11 * time.Second)
			take(t, b, 9, good, slow)
		}, lb.Closed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(cfg.withDefaults())
				tt.do(t, b)
				if is(t, b, tt.want); b.Cause() != tt.says {
					t.Errorf("says %q, want %q", b.Cause(), tt.says)
				}
			})
		})
	}
}

// A slow trial is a failed one; a breaker that has closed has forgotten the slow ones from before.
func TestSlowTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(Config{Slow: time.Second, Requests: 10, Trials: 2}.withDefaults())
		for range 3 {
			take(t, b, 10, good, 2*time.Second)
			cool(t, b)
			take(t, b, 1, good, 2*time.Second)
			if is(t, b, lb.Open); b.Cause() != "a trial took longer than 1s" {
				t.Errorf("says %q", b.Cause())
			}
			cool(t, b)
			take(t, b, 1, good, time.Second)
			if is(t, b, lb.HalfOpen); b.Cause() != "a trial took longer than 1s" {
				t.Errorf("half-open, says %q", b.Cause())
			}
			take(t, b, 1, good, time.Second)
			if is(t, b, lb.Closed); b.Cause() != "" {
				t.Errorf("closed, says %q", b.Cause())
			}
			take(t, b, 9, good, 2*time.Second)
			is(t, b, lb.Closed)
			time.Sleep(11 * time.Second)
		}
	})
}

// Each rule says why it has opened the breaker, in numbers.
func TestCauses(t *testing.T) {
	for want, of := range map[string]struct {
		cfg Config
		do  func(*testing.T, *breaker)
	}{
		"5 requests in a row failed": {Config{}, func(t *testing.T, b *breaker) { admit(t, b, 6, good, bad, bad, bad, bad, bad) }},
		"10 of 20 requests failed within 10s": {Config{}, func(t *testing.T, b *breaker) {
			for range 10 {
				admit(t, b, 2, good, bad)
			}
		}},
		"3 of 7 requests failed within 1m0s": {Config{FailureRate: 0.42, Requests: 7, Window: time.Minute}, func(t *testing.T, b *breaker) {
			admit(t, b, 7, bad, good, bad, good, bad, good, good)
		}},
		"a trial failed": {Config{Consecutive: 1}, func(t *testing.T, b *breaker) {
			admit(t, b, 1, bad)
			cool(t, b)
			admit(t, b, 1, bad)
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(of.cfg.withDefaults())
			if b.Cause() != "" {
				t.Errorf("at first %q", b.Cause())
			}
			of.do(t, b)
			if is(t, b, lb.Open); b.Cause() != want {
				t.Errorf("%q, want %q", b.Cause(), want)
			}
		})
	}
}

func TestSlowFaults(t *testing.T) {
	for _, cfg := range []Config{{Slow: -1}, {SlowRate: -1}, {SlowRate: 2}, {FailureRate: -1, Consecutive: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v passed", cfg)
		}
	}
	for _, cfg := range []Config{{Slow: 1, FailureRate: -1, Consecutive: -1}, {Slow: time.Hour, SlowRate: 0.01}} {
		if _, err := New(cfg); err != nil {
			t.Error(err)
		}
	}
}

// Judging by time costs no allocation, and breaks none of the laws.
func TestSlowBreakersAreBreakers(t *testing.T) {
	cfg := Config{Slow: time.Second, FailureRate: -1}
	synctest.Test(t, func(t *testing.T) {
		of := lb.Must(New(cfg))
		if err := lbtest.TestBreaker(func() lb.Breaker { return of(nil) }, lbtest.BreakerTraits{Trials: cfg.withDefaults().Trials}); err != nil {
			t.Error(err)
		}
	})
	b := newBreaker(Config{Slow: time.Second, Requests: 1 << 30, Consecutive: -1}.withDefaults())
	for _, after := range []time.Duration{1, time.Hour} {
		if n := testing.AllocsPerRun(1000, func() { p, _ := b.Allow(); b.DoneIn(p, good, after) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
