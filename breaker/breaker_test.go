package breaker

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

const good, bad, neutral = lb.Success, lb.Failure, lb.Neutral

// admit expects that n requests are allowed, and ends the first of them as given.
func admit(t *testing.T, b *breaker, n int, ends ...lb.Outcome) []lb.Permit {
	t.Helper()
	ps := allowed(b, n)
	if len(ps) != n {
		t.Fatalf("%d of %d requests were allowed", len(ps), n)
	}
	for i, end := range ends {
		b.Done(ps[i], end)
	}
	return ps
}

func refuse(t *testing.T, b *breaker) {
	t.Helper()
	if n := len(allowed(b, 1)); n != 0 {
		t.Fatal("a request was allowed")
	}
}

func is(t *testing.T, b *breaker, want lb.BreakerState) {
	t.Helper()
	if got, _ := b.Status(); got != want {
		t.Fatalf("is %v, want %v", got, want)
	}
	if got := stateOf(b.circuit); got != want {
		t.Fatalf("its circuit is %v, want %v", got, want)
	}
}

// cool sleeps until the next trial, and sees that none is allowed before.
func cool(t *testing.T, b *breaker) {
	t.Helper()
	is(t, b, lb.Open)
	_, next := b.Status()
	time.Sleep(time.Until(next) - 1)
	refuse(t, b)
	time.Sleep(time.Nanosecond)
}

// half tries scripts on a breaker of which the cooldown is over; old is a permit from before.
type half func(t *testing.T, b *breaker, old lb.Permit)

func TestHalfOpen(t *testing.T) {
	cfg := Config{Consecutive: 3, Trials: 2}.withDefaults()
	for name, script := range map[string]half{
		"there are two trials at a time": func(t *testing.T, b *breaker, _ lb.Permit) {
			admit(t, b, 2, good)
			admit(t, b, 1)
			refuse(t, b)
			is(t, b, lb.HalfOpen)
		},
		"two good trials close": func(t *testing.T, b *breaker, _ lb.Permit) {
			admit(t, b, 2, good, good)
			is(t, b, lb.Closed)
			admit(t, b, 100, bad, bad, neutral, good, bad, bad)
			is(t, b, lb.Closed)
			admit(t, b, 1, bad)
			is(t, b, lb.Open)
		},
		"a bad trial opens again": func(t *testing.T, b *breaker, _ lb.Permit) {
			admit(t, b, 2, good, bad)
			cool(t, b)
			admit(t, b, 2, good, good)
			is(t, b, lb.Closed)
		},
		"neutral trials prove nothing": func(t *testing.T, b *breaker, _ lb.Permit) {
			for range 9 {
				admit(t, b, 2, neutral, neutral)
				is(t, b, lb.HalfOpen)
			}
			admit(t, b, 2)
			refuse(t, b)
		},
		"what began before the opening proves nothing": func(t *testing.T, b *breaker, old lb.Permit) {
			trials := admit(t, b, 2)
			for range 9 {
				b.Done(old, good)
				b.Done(old, bad)
				b.Done(old, neutral)
			}
			refuse(t, b)
			b.Done(trials[0], good)
			b.Done(trials[1], good)
			is(t, b, lb.Closed)
			for range 9 {
				b.Done(old, bad)
				b.Done(trials[0], bad)
			}
			is(t, b, lb.Closed)
		},
		"trials of an earlier half-open state prove nothing": func(t *testing.T, b *breaker, _ lb.Permit) {
			old := admit(t, b, 2, bad)
			b.Done(old[1], bad)
			cool(t, b)
			b.Done(old[1], good) // while open
			admit(t, b, 1)
			b.Done(old[1], bad)
			b.Done(old[1], good)
			is(t, b, lb.HalfOpen)
			admit(t, b, 1)
			refuse(t, b)
		},
		"trials that do not end are replaced, once": func(t *testing.T, b *breaker, _ lb.Permit) {
			lost := admit(t, b, 2)
			time.Sleep(cfg.Patience - 1)
			refuse(t, b)
			time.Sleep(time.Nanosecond)
			admit(t, b, 2)
			b.Done(lost[0], neutral)
			refuse(t, b) // it had no place to leave
			b.Done(lost[1], good)
			refuse(t, b)
			is(t, b, lb.HalfOpen)
		},
		"a backend slower than patience closes in the end": func(t *testing.T, b *breaker, _ lb.Permit) {
			slow := admit(t, b, 2)
			time.Sleep(cfg.Patience)
			admit(t, b, 2)
			b.Done(slow[0], good)
			b.Done(slow[1], good)
			is(t, b, lb.Closed)
		},
		"a late failure opens again": func(t *testing.T, b *breaker, _ lb.Permit) {
			slow := admit(t, b, 2)
			time.Sleep(cfg.Patience)
			admit(t, b, 2)
			b.Done(slow[0], bad)
			is(t, b, lb.Open)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(cfg)
				old := admit(t, b, 4, bad, bad, bad)[3]
				cool(t, b)
				script(t, b, old)
			})
		})
	}
}

func TestFailuresInARow(t *testing.T) {
	for row := 1; row < 8; row++ {
		for name, cfg := range map[string]Config{
			"with a rate":    {Consecutive: row, Requests: 1000},
			"without a rate": {Consecutive: row, FailureRate: -1},
		} {
			b := newBreaker(cfg.withDefaults())
			for range 20 {
				for range row - 1 {
					admit(t, b, 1, bad)
				}
				admit(t, b, 2, neutral, good)
			}
			is(t, b, lb.Closed)
			for i := range row {
				is(t, b, lb.Closed)
				admit(t, b, i+2, bad, neutral)
			}
			if s, _ := b.Status(); s != lb.Open {
				t.Errorf("%s: %v after %d failures in a row", name, s, row)
			}
		}
	}
}

func TestFailureRate(t *testing.T) {
	cfg := Config{FailureRate: 0.3, Requests: 10, Window: time.Second, Consecutive: -1}.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(cfg)
		admit(t, b, 9, bad, bad, bad, bad, bad, bad, bad, bad, bad)
		is(t, b, lb.Closed) // too few requests
		time.Sleep(cfg.Window)
		for range 100 {
			admit(t, b, 10, good, good, good, good, bad, good, bad, good, good, good)
			time.Sleep(cfg.Window / 20)
		}
		is(t, b, lb.Closed) // two of ten
		for i := range 50 {
			if s, _ := b.Status(); s == lb.Open {
				return
			}
			admit(t, b, 10, bad, bad, bad, bad, good, good, good, good, good, good)
			time.Sleep(time.Duration(i) % 2 * cfg.Window / 20)
		}
		t.Error("closed when four of ten failed")
	})
}

// Cooldowns are spread over a fifth to both sides, and end when Status has said.
func TestCooldown(t *testing.T) {
	cfg := Config{Consecutive: 1, Trials: 1}.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(cfg)
		shortest, longest := time.Hour, time.Duration(0)
		for range 500 {
			admit(t, b, 1, bad)
			_, next := b.Status()
			shortest, longest = min(shortest, time.Until(next)), max(longest, time.Until(next))
			cool(t, b)
			admit(t, b, 1, good)
			is(t, b, lb.Closed)
		}
		if shortest < 200*time.Millisecond || shortest > 205*time.Millisecond || longest > 300*time.Millisecond || longest < 295*time.Millisecond {
			t.Errorf("first cooldowns from %v to %v, want about 200ms to 300ms", shortest, longest)
		}
	})
}

// While trials fail, each wait is a quarter of the time that the breaker has been open, from the
// soonest to the cooldown: whoever is back waits for no longer than that.
func TestCooldownGrows(t *testing.T) {
	for _, cfg := range []Config{{}, {Cooldown: time.Minute}, {Cooldown: time.Second, Soonest: time.Second}} {
		cfg.Consecutive, cfg.Trials = 1, 1
		cfg = cfg.withDefaults()
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(cfg)
			admit(t, b, 1, bad)
			opened, rounds := time.Now(), 0
			for time.Since(opened) < 2*cfg.Cooldown+time.Minute {
				_, next := b.Status()
				want := min(max(time.Since(opened)/4, cfg.Soonest), cfg.Cooldown)
				if got := time.Until(next); got < want*79/100 || got > want*121/100 {
					t.Fatalf("after %v: %v to wait, want about %v", time.Since(opened), got, want)
				}
				cool(t, b)
				admit(t, b, 1, bad)
				rounds++
			}
			if cfg.Cooldown == 5*time.Second && rounds > 40 {
				t.Errorf("%d trials in %v", rounds, time.Since(opened))
			}
		})
	}
}

func TestStatusHasNoSideEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(Config{Consecutive: 1}.withDefaults())
		admit(t, b, 1, bad)
		time.Sleep(time.Hour)
		for range 10 {
			if s, next := b.Status(); s != lb.Open || next.After(time.Now()) {
				t.Fatalf("%v until %v, want open with a trial due", s, next)
			}
		}
		admit(t, b, 3)
		refuse(t, b)
	})
}

// Whatever happens, no round has more trials at a time than it may, the state is what the
// circuit's is, and the breaker closes in the end.
func TestChaos(t *testing.T) {
	cfg := Config{Requests: 6, Window: time.Second, Cooldown: 20 * time.Millisecond, Patience: 15 * time.Millisecond}.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(cfg)
		var mu sync.Mutex
		running := map[lb.Permit]int{}
		count := func(p lb.Permit, by int) {
			mu.Lock()
			defer mu.Unlock()
			if running[p] += by; running[p] > cfg.Trials && state(uint64(p)) == lb.HalfOpen {
				t.Errorf("%d trials at a time", running[p])
			}
		}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 300 {
					if p, ok := b.Allow(); ok {
						count(p, 1)
						time.Sleep(rand.N(20 * time.Millisecond))
						count(p, -1)
						b.Done(p, lb.Outcome(rand.IntN(3)))
					}
					b.Status()
					time.Sleep(rand.N(5 * time.Millisecond))
				}
			})
		}
		wg.Wait()
		if episodes := b.word.Load() >> stateBits; episodes < 10 {
			t.Errorf("%d episodes, want many", episodes)
		}
		is(t, b, state(b.word.Load()))
		time.Sleep(2 * time.Second) // the window is empty, every cooldown and all patience over
		if state(b.word.Load()) != lb.Closed {
			admit(t, b, 3, good, good, good)
		}
		is(t, b, lb.Closed)
	})
}

func TestNothingIsAllocated(t *testing.T) {
	for _, o := range []lb.Outcome{good, bad, neutral} {
		b := newBreaker(Config{Consecutive: -1, Requests: 1 << 30}.withDefaults())
		if n := testing.AllocsPerRun(1000, func() { p, _ := b.Allow(); b.Done(p, o); b.Status() }); n != 0 {
			t.Errorf("%v: %v allocations while closed", o, n)
		}
	}
	b := newBreaker(Config{Consecutive: 1}.withDefaults())
	admit(t, b, 1, bad)
	if n := testing.AllocsPerRun(1000, func() { b.Allow(); b.Status() }); n != 0 {
		t.Errorf("%v allocations while open", n)
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{FailureRate: 1.5, Requests: -1, Window: time.Millisecond, Cooldown: -1, Trials: -1, Patience: -1})
	for _, field := range []string{"FailureRate 1.5", "Requests", "Window", "Cooldown", "Trials", "Patience"} {
		if err == nil || !strings.Contains(err.Error(), "breaker: Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	if _, err := New(Config{FailureRate: -1, Consecutive: -1}); err == nil {
		t.Error("a breaker that never opens was made")
	}
	for _, cfg := range []Config{{}, {FailureRate: -1}, {Consecutive: -1}, {FailureRate: 0.01}, {FailureRate: 1}} {
		if _, err := New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func BenchmarkClosed(b *testing.B) {
	br := newBreaker(Config{}.withDefaults())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, _ := br.Allow()
			br.Done(p, good)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	br := newBreaker(Config{Consecutive: 1, Cooldown: 24 * time.Hour}.withDefaults())
	p, _ := br.Allow()
	br.Done(p, bad)
	b.ReportAllocs()
	for b.Loop() {
		br.Allow()
	}
}
