package redisstore

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// inWorld runs a test of stores on a Redis that a test can do anything to, with and without tracking.
func inWorld(t *testing.T, test func(*testing.T, *world, func(edit ...func(*Config)) *Store)) {
	t.Helper()
	for _, tracks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 7)
			defer w.close()
			test(t, w, func(edit ...func(*Config)) *Store { return w.store(tracks, edit...) })
			if t.Failed() {
				t.Logf("tracking: %v", tracks)
			}
		})
	}
}

// Known sessions keep their backends while Redis is away, and waiting costs nothing once that is
// known.
func TestAnOutageCostsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		for i := range 100 {
			bind(t, s, fmt.Sprint("s", i), "", fmt.Sprint("b", i%3))
			s.Seen(fmt.Sprint("t", i), fmt.Sprint("b", i%3))
		}
		time.Sleep(10 * time.Second)
		w.set(true, false)
		began := time.Now()
		for range 3 {
			for i := range 100 {
				for _, session := range []string{fmt.Sprint("s", i), fmt.Sprint("t", i)} {
					if got := lookup(t, s, session); got != fmt.Sprint("b", i%3) {
						t.Fatalf("%s: bound to %q", session, got)
					}
				}
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		if got, err := s.Lookup(t.Context(), "nobody knows it"); got != "" || err == nil {
			t.Errorf("an unknown session: %q, %v", got, err)
		}
	})
}

// A Redis that has lost everything gets it back, from whoever knows, also of sessions that nobody uses
// meanwhile.
func TestRedisGetsBackWhatItLost(t *testing.T) {
	for _, how := range []string{"wiped", "restarted"} {
		inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
			s := open()
			for i := range 300 {
				bind(t, s, fmt.Sprint("s", i), "", fmt.Sprint("b", i%7))
				s.Seen(fmt.Sprint("t", i), fmt.Sprint("b", i%7))
			}
			time.Sleep(time.Second)
			tracks := w.lines[0].tracks
			if how == "wiped" {
				w.wipe()
			} else {
				w.set(true, false)
				w.wipe()
				time.Sleep(time.Second)
				w.set(false, false)
			}
			if how == "wiped" && !tracks { // nobody says so: it is found when it is asked
				time.Sleep(6 * time.Second)
				for i := range enough {
					lookup(t, s, fmt.Sprint("s", i))
				}
			}
			time.Sleep(3 * time.Second)
			for i := range 300 {
				for _, x := range []string{"s", "t"} {
					if got := w.has(fmt.Sprint(x, i)); got != fmt.Sprint("b", i%7) {
						t.Fatalf("%s: Redis has %q for %s%d", how, got, x, i)
					}
				}
			}
		})
	}
}

// A short loss of the connection, after which Redis knows everything, costs a few commands.
func TestALostConnectionCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		defer w.close()
		s := w.store(true)
		for i := range 1000 {
			bind(t, s, fmt.Sprint("s", i), "", "a")
		}
		time.Sleep(6 * time.Second)
		before := w.execs.Load()
		w.cut()
		time.Sleep(10 * time.Second)
		if n := w.execs.Load() - before; n > 2*sample {
			t.Errorf("%d commands", n)
		}
		before = w.execs.Load()
		lookup(t, s, "s1")
		time.Sleep(time.Second)
		after := w.execs.Load()
		lookup(t, s, "s1")
		if after-before > 2 || w.execs.Load() != after {
			t.Errorf("%d commands to find a session again, then %d", after-before, w.execs.Load()-after)
		}
	})
}

// One that was forgotten stays so, whoever remembers it, and is bound again by who sees it.
func TestTheForgottenStaySo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s, other := open(), open()
		bind(t, s, "s", "", "a")
		lookup(t, other, "s")
		if err := s.Forget(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		for _, x := range []*Store{s, other, open()} {
			if got := lookup(t, x, "s"); got != "" {
				t.Errorf("bound to %q", got)
			}
		}
		other.Seen("s", "b")
		time.Sleep(time.Second)
		if got := lookup(t, s, "s"); got != "b" {
			t.Errorf("seen again on b, bound to %q", got)
		}
	})
}

// Sessions end when nobody uses them, however long Redis is away, and not before.
func TestSessionsEndInAnOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		bind(t, s, "idle", "", "a")
		bind(t, s, "used", "", "a")
		w.set(true, false)
		for range 6 {
			time.Sleep(w.ttl / 2)
			lookup(t, s, "used")
		}
		if got, err := s.Lookup(t.Context(), "idle"); err == nil {
			t.Errorf("idle for 3 TTLs and bound to %q", got)
		}
		w.set(false, false)
		time.Sleep(2 * time.Second)
		if got := lookup(t, s, "used"); got != "a" {
			t.Errorf("used all the time and bound to %q", got)
		}
		if got := lookup(t, s, "idle"); got != "" {
			t.Errorf("idle for 3 TTLs and bound to %q", got)
		}
	})
}

// What was known for sure is not for longer than the session can last, whether or not Redis tells of
// its end.
func TestWhatIsKnownEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		bind(t, s, "s", "", "a")
		for range 3 {
			time.Sleep(6 * time.Second)
			lookup(t, s, "s")
		}
		time.Sleep(w.ttl + time.Second)
		if got := lookup(t, s, "s"); got != "" {
			t.Errorf("unused for longer than the TTL and bound to %q", got)
		}
	})
}

// A look-up is a use, also one that asks: what it found is known for the whole TTL in an outage.
func TestAskingIsUsing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open(func(c *Config) { c.Fresh = time.Millisecond })
		bind(t, s, "s", "", "a")
		for range 3 {
			time.Sleep(w.ttl/6 - time.Second)
			lookup(t, s, "s")
		}
		w.set(true, false)
		time.Sleep(w.ttl - time.Second)
		if got := lookup(t, s, "s"); got != "a" {
			t.Errorf("bound to %q", got)
		}
	})
}

// After a lost connection Redis is told of each session again when it is seen: it may have lost some,
// though not all.
func TestSeenTellsAgainAfterALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		defer w.close()
		s := w.store(true)
		for i := range 100 {
			s.Seen(fmt.Sprint("s", i), "a")
		}
		time.Sleep(time.Second)
		w.mu.Lock()
		delete(w.values, s.codec.key(id("s50"))) // one of sixteen that are asked for would be too few to worry
		w.mu.Unlock()
		w.cut()
		time.Sleep(time.Second)
		before := w.execs.Load()
		for range 5 {
			for i := range 100 {
				s.Seen(fmt.Sprint("s", i), "a")
			}
			time.Sleep(time.Second)
		}
		if n := w.execs.Load() - before; n < 100 || n > 100+sample {
			t.Errorf("%d commands for 100 sessions", n)
		}
		for i := range 100 {
			if got := w.has(fmt.Sprint("s", i)); got != "a" {
				t.Errorf("Redis has s%d on %q", i, got)
			}
		}
	})
}

// A session that is used all the time is prolonged at most twice in a TTL, whoever uses it, and never
// lost. A store may ask for that in vain, if another one was faster.
func TestTouchesAreFew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s, other := open(), open()
		bind(t, s, "s", "", "a")
		time.Sleep(time.Second)
		lookup(t, other, "s")
		time.Sleep(time.Second)
		const hours = 100
		prolonged, touched := w.prolonged.Load(), s.count.touches.Load()+other.count.touches.Load()
		for range hours * 60 {
			time.Sleep(w.ttl / 60)
			s.Seen("s", "a")
			if got := lookup(t, other, "s"); got != "a" {
				t.Fatalf("bound to %q", got)
			}
		}
		if n := w.prolonged.Load() - prolonged; n > 2*hours+1 {
			t.Errorf("prolonged %d times in %d TTLs", n, hours)
		}
		if n := s.count.touches.Load() + other.count.touches.Load() - touched; n > 2*4*hours {
			t.Errorf("%d touches in %d TTLs by two stores", n, hours)
		}
	})
}

// Close tells Redis what it has not heard of, if Redis can be reached, and does not wait if it cannot.
func TestCloseTellsWhatItCan(t *testing.T) {
	for _, away := range []bool{true, false} {
		inBubble(t, func(t *testing.T, m *miniredis.Miniredis, _ *Store) {
			s, err := New(configFor(m))
			if err != nil {
				t.Fatal(err)
			}
			m.SetError("LOADING")
			for i := range 20 {
				bind(t, s, fmt.Sprint("s", i), "", "a")
			}
			if !away {
				m.SetError("")
				time.Sleep(time.Second + firstMend/2) // a trial has passed, maybe, and not all were told
			}
			began := time.Now()
			s.Close()
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("closing took %v", d)
			}
			if n := len(m.Keys()); !away && n != 20 {
				t.Errorf("%d keys", n)
			}
			if _, err := s.Lookup(t.Context(), "s1"); away && err == nil {
				t.Error("found after Close, by a store that is not sure of it")
			}
			if _, err := s.Bind(t.Context(), "s1", "a", "b"); err == nil {
				t.Error("bound after Close")
			}
			s.Close()
		})
	}
}

// With a Redis that writes nothing, being full, sessions stay where they are.
func TestAFullRedisCostsNoSession(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		bind(t, s, "old", "", "a")
		m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
		for i := range 100 {
			bind(t, s, fmt.Sprint("s", i), "", "b")
		}
		time.Sleep(10 * time.Second)
		for i := range 100 {
			if got := lookup(t, s, fmt.Sprint("s", i)); got != "b" {
				t.Errorf("bound to %q", got)
			}
		}
		if got := lookup(t, s, "old"); got != "a" {
			t.Errorf("bound to %q", got)
		}
		m.SetError("")
		time.Sleep(3 * time.Second)
		if n := len(m.Keys()); n != 101 {
			t.Errorf("Redis has %d sessions", n)
		}
	})
}

// A session that has ended begins anew where it is seen, also in an outage.
func TestTheEndedBeginAnew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		bind(t, s, "s", "", "a")
		time.Sleep(2 * w.ttl)
		w.set(true, false)
		s.Seen("s", "b")
		if got := lookup(t, s, "s"); got != "b" {
			t.Errorf("seen on b, found on %q", got)
		}
	})
}

// A Redis that has to let some sessions go for want of memory has not lost all.
func TestSomeThatWereLostAreNotAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		for i := range 40 {
			bind(t, s, fmt.Sprint("s", i), "", "a")
		}
		time.Sleep(6 * time.Second)
		w.mu.Lock()
		for i := range 20 {
			delete(w.values, s.codec.key(id(fmt.Sprint("s", 2*i))))
		}
		w.mu.Unlock()
		for i := range 40 {
			if got := lookup(t, s, fmt.Sprint("s", i)); got != "a" {
				t.Errorf("bound to %q", got)
			}
		}
		if n, restored := s.count.epochs.Load(), s.count.restored.Load(); n != 0 || restored != 20 {
			t.Errorf("taken to have lost all %d times, with %d lost", n, restored)
		}
	})
}
