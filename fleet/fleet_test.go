package fleet

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// opener gives each instance its end of a hub.
func opener(h *hub) func(Config) (bus, error) {
	return func(Config) (bus, error) { return &wire{h}, nil }
}

// failures is what users see of a backend that goes bad before so many instances.
func failures(t *testing.T, instances, rate int, how string, breakers, fleet bool) (n int) {
	synctest.Test(t, func(t *testing.T) {
		var open func(Config) (bus, error)
		if fleet {
			open = opener(newHub())
		}
		w := newWorld(t, 10, instances, breakers, open)
		defer w.end()
		rnd := rand.New(rand.NewPCG(3, uint64(rate)))
		if n := w.serve(rate, 3*time.Second, rnd); n > 0 {
			t.Errorf("%d failed before anything was wrong", n)
		}
		w.bad.Store("b3", how)
		n = w.serve(rate, 8*time.Second, rnd)
	})
	return n
}

// Users see no more failures than with one instance and all of the traffic, and a second of that. On the
// whole it is a second of what the bad backend gets.
func TestEightAreAsGoodAsOne(t *testing.T) {
	for _, rate := range []int{100, 500} {
		seen, allowed := 0, 0
		for _, how := range []string{"errors", "hangs", "slow"} {
			for _, breakers := range []bool{false, true} {
				if how == "slow" && !breakers {
					continue // no reason to be left out
				}
				one := failures(t, 1, rate, how, breakers, false)
				alone := failures(t, 8, rate, how, breakers, false)
				together := failures(t, 8, rate, how, breakers, true)
				t.Logf("%d/s, %s, breakers %v: one %d, eight alone %d, a fleet of eight %d", rate, how, breakers, one, alone, together)
				if together > one+rate {
					t.Errorf("%d/s, %s, breakers %v: one %d, a fleet of eight %d", rate, how, breakers, one, together)
				}
				if how != "slow" {
					seen, allowed = seen+together, allowed+one+rate/10
				}
			}
		}
		if seen > allowed {
			t.Errorf("%d/s: %d failed, more than %d", rate, seen, allowed)
		}
	}
}

// With little traffic no instance sees enough. One alone would eject the backend twice within the time.
func TestRareFailuresArePooled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10, 8, false, opener(newHub()))
		defer w.end()
		rnd := rand.New(rand.NewPCG(5, 5))
		w.serve(8, 20*time.Second, rnd)
		w.bad.Store("b3", "errors")
		n := w.serve(8, 40*time.Second, rnd)
		t.Log(n, "failed")
		if n > 2*5+8 {
			t.Errorf("%d failed", n)
		}
	})
}

// Without Redis each goes on alone; with it again, all know within two seconds.
func TestRedisGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		w := newWorld(t, 10, 8, false, opener(h))
		defer w.end()
		rnd := rand.New(rand.NewPCG(5, 5))
		w.serve(400, 3*time.Second, rnd)
		w.bad.Store("b3", "errors")
		w.serve(400, 2*time.Second, rnd)
		if n := w.outAt("b3"); n != 8 {
			t.Errorf("it is out at %d", n)
		}
		h.set(true)
		w.serve(400, 15*time.Second, rnd)
		held := 0
		for _, f := range w.fleets {
			f.mu.Lock()
			for _, r := range *f.records.Load() {
				if r.held.why != stays && r.held.why != together {
					held++
				}
			}
			f.mu.Unlock()
			if s := f.Stats(); s.Instances != 1 || s.Claims != 0 {
				t.Errorf("after 15 s without a word: %+v", s)
			}
		}
		if held > 0 {
			t.Errorf("%d hold on to a word of nobody", held)
		}
		h.set(false)
		w.serve(400, 2*time.Second, rnd)
		for _, f := range w.fleets {
			if s := f.Stats(); s.Instances != 8 {
				t.Errorf("two seconds after: %+v", s)
			}
		}
	})
}

// Who joins learns at once, without a failure of its own.
func TestWhoJoinsLearnsOfThoseBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		w := newWorld(t, 10, 8, false, opener(h))
		defer w.end()
		rnd := rand.New(rand.NewPCG(5, 5))
		w.serve(400, 3*time.Second, rnd)
		w.bad.Store("b3", "errors")
		w.serve(400, 5*time.Second, rnd)
		w.join(opener(h))
		time.Sleep(100 * time.Millisecond)
		b := w.pools[8].Snapshot().Find("b3")
		if !b.Facts().Has(lb.Ejected) || !strings.HasPrefix(b.Cause(), "fleet: ") {
			t.Errorf("it is %v, %q", b.Facts(), b.Cause())
		}
		t.Log(b.Cause())
		for _, s := range w.fleets[8].Backends() {
			if s.ID == "b1" && (s.Well != 8 || s.Results == 0 || s.Latency < time.Millisecond) {
				t.Errorf("%+v", s)
			}
		}
		w.bad.Delete("b3")
		w.serve(400, 45*time.Second, rnd)
		if n := w.outAt("b3"); n != 0 {
			t.Errorf("it is out at %d after its time", n)
		}
	})
}

// lie has an instance say for three seconds, and too often, that all backends are bad.
func lie(h *hub) {
	c := newCodec(secret, "default")
	for i := range 3000 {
		m := message{from: from(7), sequence: uint64(i + 1), at: time.Now().UnixMilli()}
		for b := range 10 {
			w := word{standing: ejected, row: 9, began: time.Now(), last: time.Now()}
			m.lines = append(m.lines, line{fmt.Sprintf("b%d", b), w})
		}
		h.publish(m.from, string(c.seal(m, time.Now())), true, nil)
		time.Sleep(time.Millisecond)
	}
}

// A liar that says of all backends that they are bad has none ejected that work.
func TestALiarEjectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		w := newWorld(t, 10, 7, false, opener(h))
		defer w.end()
		rnd := rand.New(rand.NewPCG(5, 5))
		w.serve(400, 3*time.Second, rnd)
		w.done.Go(func() { lie(h) })
		n := w.serve(400, 4*time.Second, rnd)
		for _, f := range w.fleets {
			if s := f.Stats(); s.Ejections > 0 || s.Dropped.Flood < 2000 || s.Disagreements == 0 || n > 0 {
				t.Errorf("%d failed: %+v", n, s)
			}
		}
	})
}

// Where one request of twenty fails, each failure is a chance for a liar, and yet it gets no more than its
// share; without one, nothing is ejected.
func TestALiarAmongFlakyBackends(t *testing.T) {
	for _, liar := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub()
			w := newWorld(t, 10, 7, false, opener(h))
			defer w.end()
			for i := range 10 {
				w.bad.Store(fmt.Sprintf("b%d", i), "flaky")
			}
			if liar {
				w.done.Go(func() { lie(h) })
			}
			rnd := rand.New(rand.NewPCG(5, 5))
			for range 20 {
				w.serve(800, 200*time.Millisecond, rnd)
				for _, f := range w.fleets {
					if n := f.Stats().Ejected; n > 2 || n > 0 && !liar {
						t.Errorf("%d are ejected, with a liar: %v", n, liar)
					}
				}
			}
		})
	}
}

// Of the facts that others mark, none is taken back, and what others take back stays so.
func TestTheFactStaysWithWhoeverMarkedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		pool := lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c", "http://d")...))
		f := lb.Must(New(Config{Pool: pool, URL: "redis://127.0.0.1:1", Secret: secret}))
		f.open = opener(h)
		done := make(chan error, 1)
		ctx, cancel := contextOf(t)
		go func() { done <- f.Run(ctx) }()
		pool.Mark("http://a", lb.Ejected, "by hand")
		c := newCodec(secret, "default")
		for i := range 40 {
			for p := range 3 {
				m := message{from: from(p), sequence: uint64(i + 1), at: time.Now().UnixMilli()}
				for _, id := range []string{"http://a", "http://b"} {
					m.lines = append(m.lines, line{id, word{standing: down}})
				}
				h.publish(m.from, string(c.seal(m, time.Now())), false, nil)
			}
			time.Sleep(100 * time.Millisecond)
			if i == 20 {
				if !pool.Snapshot().Find("http://b").Facts().Has(lb.Ejected) {
					t.Error("three say so, and it is not out")
				}
				pool.Clear("http://b", lb.Ejected, "by hand")
			}
		}
		if pool.Snapshot().Find("http://b").Facts() != 0 {
			t.Error("what was taken back is marked again")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if pool.Snapshot().Find("http://a").Facts() != lb.Ejected {
			t.Error("somebody else's mark is gone")
		}
	})
}
