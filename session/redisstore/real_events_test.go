package redisstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// say sends one command to Redis as an operator would, and returns the answer.
func say(t *testing.T, r *redistest.Redis, words ...string) string {
	t.Helper()
	answer, err := r.Do(words...)
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return fmt.Sprint(answer)
}

// settle binds sessions at one store and has another one know them for sure.
func settle(t *testing.T, s, other *Store, sessions int) {
	t.Helper()
	for i := range sessions {
		session := fmt.Sprint("s", i)
		insist(t, func() (string, error) { return s.Bind(t.Context(), session, "", fmt.Sprint("b", i%3)) })
		for _, x := range []*Store{s, other} {
			insist(t, func() (string, error) { return x.Lookup(t.Context(), session) })
		}
	}
}

// kept looks all sessions up at both stores and fails unless all are where they were.
func kept(t *testing.T, when string, sessions int, stores ...*Store) {
	t.Helper()
	for i := range sessions {
		for n, s := range stores {
			if got, err := s.Lookup(t.Context(), fmt.Sprint("s", i)); err != nil || got != fmt.Sprint("b", i%3) {
				t.Fatalf("%s: store %d has s%d on %q, %v", when, n, i, got, err)
			}
		}
	}
}

func TestRealChangesAreTold(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s, other := open(t, r, patient), open(t, r, patient)
	settle(t, s, other, 20)
	if !other.Stats().Tracking {
		t.Fatal("this Redis does not tell of changes")
	}
	waitFor(t, "all to be known for sure", func() bool { // what was bound here is not for long
		before := other.Stats().Commands
		kept(t, "at rest", 20, other)
		return other.Stats().Commands == before
	})
	for i := range 20 {
		session, from := fmt.Sprint("s", i), fmt.Sprint("b", i%3)
		if got := bind(t, s, session, from, "c"); got != "c" {
			t.Fatalf("moved to %q", got)
		}
		waitFor(t, "the other store to know", func() bool { return lookup(t, other, session) == "c" })
	}
	if n := other.Stats(); n.Invalidations < 20 || n.HitsMemory < 20 {
		t.Errorf("%+v", n)
	}
}

func TestRealRestartCostsNoSession(t *testing.T) {
	t.Parallel()
	const sessions = 300
	r := redistest.Start(t)
	s, other := open(t, r, patient), open(t, r, patient)
	settle(t, s, other, sessions)
	for range 2 {
		r.Kill()
		kept(t, "away", sessions, s, other)
		for i := range 50 { // decided alone, by one
			s.Seen(fmt.Sprint("s", sessions+i), fmt.Sprint("b", (sessions+i)%3))
		}
		kept(t, "away", sessions+50, s)
		r.Restart()
		waitFor(t, "back", func() bool { kept(t, "coming back", sessions+50, s); return !s.Stats().Down && s.Stats().Dirty == 0 })
		kept(t, "back", sessions+50, s)
		fresh := open(t, r, patient)
		waitFor(t, "redis to have all back", func() bool {
			got, err := fresh.Lookup(t.Context(), fmt.Sprint("s", sessions-1))
			return err == nil && got != ""
		})
		waitFor(t, "all", func() bool { return say(t, r, "DBSIZE") == fmt.Sprint(sessions+50) })
		kept(t, "for a newcomer", sessions+50, fresh)
		fresh.Close()
	}
}

func TestRealFlushCostsNoSession(t *testing.T) {
	t.Parallel()
	const sessions = 300
	r := redistest.Start(t)
	s, other := open(t, r, patient), open(t, r, patient)
	settle(t, s, other, sessions)
	say(t, r, "FLUSHALL")
	kept(t, "flushed", sessions, s, other)
	waitFor(t, "all to be given back", func() bool { return say(t, r, "DBSIZE") == fmt.Sprint(sessions) })
	kept(t, "given back", sessions, s, other, open(t, r, patient))

	say(t, r, "FLUSHALL") // and nobody asks
	waitFor(t, "all to be given back by itself", func() bool { return say(t, r, "DBSIZE") == fmt.Sprint(sessions) })
}

func TestRealWrongTypes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s, other := open(t, r, patient), open(t, r, patient)
	settle(t, s, other, 20)
	for i := range 20 {
		key := s.codec.key(id(fmt.Sprint("s", i)))
		say(t, r, "DEL", key)
		switch i % 4 {
		case 0:
			say(t, r, "RPUSH", key, "a")
		case 1:
			say(t, r, "HSET", key, "a", "b")
		case 2:
			say(t, r, "SET", key, strings.Repeat("x", 100_000))
		case 3:
			say(t, r, "SET", key, "b1")
		}
	}
	kept(t, "spoiled", 20, s, other)
	fresh := open(t, r, patient)
	waitFor(t, "all to be as they were", func() bool {
		kept(t, "being restored", 20, s, other)
		for i := range 20 {
			if got, err := fresh.Lookup(t.Context(), fmt.Sprint("s", i)); err != nil || got != fmt.Sprint("b", i%3) {
				return false
			}
		}
		return true
	})
}

func TestRealFullMemory(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s, other := open(t, r, patient), open(t, r, patient)
	settle(t, s, other, 100)
	say(t, r, "CONFIG", "SET", "maxmemory", "1")
	for i := 100; i < 200; i++ {
		if got, err := s.Bind(t.Context(), fmt.Sprint("s", i), "", fmt.Sprint("b", i%3)); err != nil || got != fmt.Sprint("b", i%3) {
			t.Fatalf("bound to %q, %v", got, err)
		}
	}
	kept(t, "full", 200, s)
	kept(t, "full", 100, other)
	if s.Stats().Dirty == 0 {
		t.Error("nothing to tell")
	}
	say(t, r, "CONFIG", "SET", "maxmemory", "0")
	waitFor(t, "redis to have heard of all", func() bool { return say(t, r, "DBSIZE") == "200" })
	kept(t, "with room again", 200, s, open(t, r, patient))
}

// Who always wants to ask is told of nothing, and never behind.
func TestRealAlwaysAsks(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s, err := New(Config{URL: r.Address(), Secret: secret, Timeout: patient, Fresh: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	other := open(t, r, patient)
	insist(t, func() (string, error) { return s.Bind(t.Context(), "s", "", "a") })
	for _, to := range []string{"b", "c", "a"} {
		for range 3 {
			lookup(t, s, "s")
		}
		bind(t, other, "s", lookup(t, s, "s"), to)
		if got := lookup(t, s, "s"); got != to {
			t.Errorf("moved to %q, and found on %q", to, got)
		}
	}
	if n := s.Stats(); n.Tracking || n.HitsMemory > 0 || n.Invalidations > 0 {
		t.Errorf("%+v", n)
	}
}

// Whatever happens on the way to Redis, no session moves, and Redis has heard of all in the end.
func TestRealFaultsOnTheWay(t *testing.T) {
	t.Parallel()
	const sessions = 100
	r := redistest.Start(t)
	p := redistest.StartProxy(t, r.Address())
	s, err := New(Config{URL: p.Address(), Secret: secret, Fresh: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	settle(t, s, s, sessions)
	known := sessions
	for name, fault := range map[string]func(){
		"slow": func() { p.Latency(500 * time.Millisecond) }, "silent": p.Blackhole, "refusing": p.Refuse, "cut": p.Cut, "reset": p.Reset,
	} {
		fault()
		for range 3 {
			kept(t, name, known, s)
			for range 10 {
				s.Seen(fmt.Sprint("s", known), fmt.Sprint("b", known%3))
				known++
			}
		}
		kept(t, name, known, s)
		p.Normal()
		waitFor(t, "redis to have heard of all after: "+name, func() bool {
			kept(t, "after "+name, known, s)
			return say(t, r, "DBSIZE") == fmt.Sprint(known)
		})
	}
	t.Logf("%d dials; %+v", p.Dials(), s.Stats())
}
