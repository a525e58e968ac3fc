package redisstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// patient is a timeout that a busy test machine keeps.
const patient = 20 * time.Second

func open(t *testing.T, r *redistest.Redis, timeout time.Duration) *Store {
	t.Helper()
	s, err := New(Config{URL: r.Address(), Secret: secret, Timeout: timeout, Fresh: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// insist calls try until it succeeds: on a busy machine a connection may be given up at times,
// which is no fault.
func insist(t *testing.T, try func() (string, error)) (got string) {
	t.Helper()
	waitFor(t, "success", func() bool {
		var err error
		got, err = try()
		return err == nil
	})
	return got
}

// waitFor calls try until it is true.
func waitFor(t *testing.T, what string, try func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); time.Now().Before(end); <-tick.C {
		if try() {
			return
		}
	}
	t.Errorf("not within %v: %s", patient, what) // may not be the test's own goroutine
}

func TestRealBind(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t), patient)
	insist(t, func() (string, error) { return s.Lookup(t.Context(), "s") })
	testBind(t, s)
}

// race binds a session from 32 goroutines at two stores and returns what all of them were told.
func race(t *testing.T, stores [2]*Store, session, from, to string) string {
	t.Helper()
	told := make([]string, 32)
	var wg sync.WaitGroup
	for i := range told {
		wg.Go(func() {
			told[i] = insist(t, func() (string, error) {
				return stores[i%2].Bind(t.Context(), session, from, fmt.Sprint(to, i%5))
			})
		})
	}
	wg.Wait()
	for _, got := range told {
		if got != told[0] || got == from {
			t.Fatalf("%s: from %q to %q", session, from, told)
		}
	}
	return told[0]
}

func TestRealStoresAgree(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	stores := [2]*Store{open(t, r, patient), open(t, r, patient)}
	for i := range 20 {
		session := fmt.Sprint("s", i)
		first := race(t, stores, session, "", "b")
		if got := race(t, stores, session, "elsewhere", "c"); got != first {
			t.Errorf("%s: moved from %q to %q by who thought it elsewhere", session, first, got)
		}
		second := race(t, stores, session, first, "c")
		for _, s := range stores {
			if got := insist(t, func() (string, error) { return s.Lookup(t.Context(), session) }); got != second {
				t.Errorf("%s: bound to %q, told %q", session, got, second)
			}
		}
	}
}

func TestRealKillAndRestart(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s := open(t, r, patient)
	insist(t, func() (string, error) { return s.Bind(t.Context(), "s", "", "a") })
	r.Kill()
	waitFor(t, "down", func() bool { _, _ = s.Lookup(t.Context(), "s"); return s.Stats().Down })
	r.Restart()
	if got := insist(t, func() (string, error) { return s.Lookup(t.Context(), "s") }); got != "a" {
		t.Errorf("bound to %q, though it was known", got)
	}
	other := open(t, r, patient)
	waitFor(t, "known to others again", func() bool { got, _ := other.Lookup(t.Context(), "s"); return got == "a" })
}

func TestRealStartWhileDown(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	r.Kill()
	s := open(t, r, patient)
	if !s.Stats().Down {
		t.Error("not known to be down")
	}
	r.Restart()
	waitFor(t, "up", func() bool { got, err := s.Bind(t.Context(), "s", "", "a"); return err == nil && got == "a" })
}

func TestRealPause(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	const timeout = 30 * time.Millisecond
	s := open(t, r, timeout)
	waitFor(t, "first answer", func() bool { _, err := s.Lookup(t.Context(), "s"); return err == nil })
	r.Pause()
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			session := fmt.Sprint("s", i)
			if _, err := s.Lookup(t.Context(), session); err == nil {
				t.Error("a paused Redis answers")
			}
			s.Seen(session, "a")
			if got, err := s.Lookup(t.Context(), session); err != nil || got != "a" {
				t.Errorf("seen on a, found on %q, %v", got, err)
			}
			if n := s.Stats().InFlight; n > 256 {
				t.Errorf("%d in flight", n)
			}
		})
	}
	wg.Wait()
	if n := s.Stats(); n.Commands > 1000 || n.Refused == 0 {
		t.Errorf("%+v", n)
	}
	r.Resume()
	waitFor(t, "up again", func() bool { _, err := s.Lookup(t.Context(), "s"); return err == nil })
	waitFor(t, "redis to have heard of all", func() bool { return s.Stats().Dirty == 0 })
	other := open(t, r, patient)
	for i := range 2000 {
		session := fmt.Sprint("s", i)
		if got := insist(t, func() (string, error) { return other.Lookup(t.Context(), session) }); got != "a" {
			t.Fatalf("%s: others know %q", session, got)
		}
	}
}

func TestRealExpiry(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s, err := New(Config{URL: r.Address(), Secret: secret, Timeout: patient, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	insist(t, func() (string, error) { return s.Bind(t.Context(), "s", "", "a") })
	key := s.codec.key(id("s"))
	waitFor(t, "gone", func() bool { // read without prolonging it
		value, _, err := s.conn.Get(t.Context(), key)
		return err == nil && value == ""
	})
}
