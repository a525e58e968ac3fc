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
	s, err := New(Config{Address: r.Address(), Secret: secret, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
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
	t.Fatalf("not within %v: %s", patient, what)
}

func TestRealBind(t *testing.T) {
	testBind(t, open(t, redistest.Start(t), patient))
}

func TestRealStoresAgree(t *testing.T) {
	r := redistest.Start(t)
	stores := []*Store{open(t, r, patient), open(t, r, patient)}
	race := func(session, from string) string {
		t.Helper()
		got := make([]string, 32)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = stores[i%2].Bind(t.Context(), session, from, fmt.Sprint("b", i%5)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, g := range got {
			if g != got[0] || g == from {
				t.Fatalf("%s: from %q to %q", session, from, got)
			}
		}
		return got[0]
	}
	for i := range 20 {
		session := fmt.Sprint("s", i)
		first := race(session, "")
		if got := race(session, "gone"); got != first { // somebody else has moved it
			t.Errorf("%s: moved from %q to %q by who thought it elsewhere", session, first, got)
		}
		// A move away from first: one of those that do not lead back to it wins.
		to := make([]string, 32)
		var wg sync.WaitGroup
		for j := range to {
			wg.Go(func() { to[j], _ = stores[j%2].Bind(t.Context(), session, first, fmt.Sprint("c", j%5)) })
		}
		wg.Wait()
		for _, s := range stores {
			if got := lookup(t, s, session); got != to[0] || got == first {
				t.Errorf("%s: bound to %q, told %q", session, got, to)
			}
		}
		for _, g := range to {
			if g != to[0] {
				t.Fatalf("%s: moved more than once: %q", session, to)
			}
		}
	}
}

func TestRealKillAndRestart(t *testing.T) {
	r := redistest.Start(t)
	s := open(t, r, patient)
	bind(t, s, "s", "", "a")
	r.Kill()
	waitFor(t, "down", func() bool { _, _ = s.Lookup(t.Context(), "s"); return s.Stats().Down })
	r.Restart()
	waitFor(t, "up again", func() bool { _, err := s.Lookup(t.Context(), "s"); return err == nil })
	if got := lookup(t, s, "s"); got != "" {
		t.Errorf("an empty Redis knows %q", got)
	}
	s.Seen("s", "a") // as the request of a client with a cookie does
	waitFor(t, "bound again", func() bool { return lookup(t, s, "s") == "a" })
}

func TestRealStartWhileDown(t *testing.T) {
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
	r := redistest.Start(t)
	const timeout = 30 * time.Millisecond
	s := open(t, r, timeout)
	waitFor(t, "first answer", func() bool { _, err := s.Lookup(t.Context(), "s"); return err == nil })
	r.Pause()
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			session := fmt.Sprint("s", i)
			s.Seen(session, "a")
			if _, err := s.Lookup(t.Context(), session); err == nil {
				t.Error("a paused Redis answers")
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
}

func TestRealExpiry(t *testing.T) {
	r := redistest.Start(t)
	s, err := New(Config{Address: r.Address(), Secret: secret, Timeout: patient, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	bind(t, s, "s", "", "a")
	key := s.codec.key("s")
	waitFor(t, "gone", func() bool { // read without prolonging it
		value, err := s.conn.Get(t.Context(), key)
		return err == nil && value == ""
	})
}
