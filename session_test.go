package lb_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// store is a session store that is a map.
type store map[string]string

func (s store) Lookup(_ context.Context, session string) (string, error) { return s[session], nil }

func (s store) Bind(_ context.Context, session, from, to string) (string, error) {
	if now := s[session]; now != "" && now != from {
		return now, nil
	}
	s[session] = to
	return to, nil
}

func (s store) Forget(_ context.Context, session string) error { delete(s, session); return nil }

// broken is a store that fails.
type broken struct{ store }

func (broken) Lookup(context.Context, string) (string, error) { return "", errors.New("away") }

func (broken) Bind(context.Context, string, string, string) (string, error) {
	return "", errors.New("away")
}

// key keeps session and backend in a header, unsigned.
type key struct{ remembers bool }

func (k key) Read(r *http.Request) (session, backend string) {
	session, backend, _ = strings.Cut(r.Header.Get("X-Key"), "@")
	if !k.remembers {
		backend = ""
	}
	return session, backend
}

func (k key) Write(h http.Header, r *http.Request, session, backend string) {
	if session == "" {
		session = "new"
	}
	if s, b := k.Read(r); s != session || k.remembers && b != backend {
		h.Set("X-Key", session+"@"+backend)
	}
}

func (key) Strip(h http.Header) { h.Del("X-Key") }

// visit sends one request of a browser that keeps what it is given.
func visit(b *lb.Balancer, jar *string) string {
	r := httptest.NewRequest("GET", "/", nil)
	if *jar != "" {
		r.Header.Set("X-Key", *jar)
	}
	resp := serve(b, r)
	if set := resp.Header.Get("X-Key"); set != "" {
		*jar = set
	}
	return resp.Header.Get("X-Backend")
}

// A session stays on its backend while that is fit, full, tripped or draining, and leaves it
// once when it is down, ejected, gone or out of reach; with a key that remembers and with one
// that does not.
func TestSessionsStick(t *testing.T) {
	const home = "http://a"
	for name, c := range map[string]struct {
		break_ func(*lb.DynamicPool, *gate, *string)
		mend   func(*lb.DynamicPool, *gate, *string)
		during string // whether the session is served at home while that is so
		after  string // and when it is over
	}{
		"fit":      {func(*lb.DynamicPool, *gate, *string) {}, func(*lb.DynamicPool, *gate, *string) {}, "home", "home"},
		"draining": {mark(home, lb.Draining), clearing(home, lb.Draining), "home", "home"},
		"tripped":  {func(_ *lb.DynamicPool, g *gate, _ *string) { g.deny.Store(true) }, func(_ *lb.DynamicPool, g *gate, _ *string) { g.deny.Store(false) }, "away", "home"},
		"down":     {mark(home, lb.Down), clearing(home, lb.Down), "away", "away"},
		"ejected":  {mark(home, lb.Ejected), clearing(home, lb.Ejected), "away", "away"},
		"suspect":  {mark(home, lb.Suspect), clearing(home, lb.Suspect), "away", "home"},
		"removed": {func(p *lb.DynamicPool, _ *gate, _ *string) { _ = p.Remove(t.Context(), home) },
			func(p *lb.DynamicPool, _ *gate, _ *string) { _ = p.Add(lb.URLs(home)...) }, "away", "away"},
		"dead": {func(_ *lb.DynamicPool, _ *gate, dead *string) { *dead = "a" }, func(_ *lb.DynamicPool, _ *gate, dead *string) { *dead = "" }, "away", "away"},
	} {
		for _, remembers := range []bool{true, false} {
			made, dead := gates{}, ""
			sessions := store{"s": home}
			b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("X-Key") != "" {
					t.Error("a backend saw the session key")
				}
				if r.URL.Host == dead {
					return nil, errDial
				}
				return ok(r)
			}, lb.Config{Breakers: made.make, SessionKey: key{remembers}, Sessions: sessions})
			jar := "s@" + home
			if got := visit(b, &jar); got != "a" {
				t.Fatalf("%s: a session of a was served by %s", name, got)
			}
			phase := func(want string) {
				seen := map[string]bool{}
				for range 20 {
					seen[visit(b, &jar)] = true
				}
				if got := slices.Collect(maps.Keys(seen)); len(got) != 1 || (got[0] == "a") != (want == "home") || got[0] == "" {
					t.Errorf("%s, key remembers %v: served by %v, want one, %s", name, remembers, got, want)
				}
			}
			c.break_(pool, made[home], &dead)
			phase(c.during)
			c.mend(pool, made[home], &dead)
			phase(c.after)
			mustBeIdle(t, b)
		}
	}
}

func mark(id string, f lb.Facts) func(*lb.DynamicPool, *gate, *string) {
	return func(p *lb.DynamicPool, _ *gate, _ *string) { p.Mark(id, f, "test") }
}

func clearing(id string, f lb.Facts) func(*lb.DynamicPool, *gate, *string) {
	return func(p *lb.DynamicPool, _ *gate, _ *string) { p.Clear(id, f, "test") }
}

// Who lost the race for moving a session goes to the winner's backend from then on.
func TestSessionsFollowWhoMovedThem(t *testing.T) {
	sessions := store{"s": "http://c"} // moved there by another balancer
	b, pool := balance(t, ok, lb.Config{SessionKey: key{true}, Sessions: sessions})
	pool.Mark("http://a", lb.Down, "test")
	jar := "s@http://a"
	if got := visit(b, &jar); got != "c" || jar != "s@http://c" {
		t.Errorf("served by %s and told %s, want c", got, jar)
	}
}

// A store that fails costs stickiness, never a request; and with a key that remembers, not even that.
func TestBrokenStore(t *testing.T) {
	b, pool := balance(t, ok, lb.Config{SessionKey: key{true}, Sessions: broken{}})
	jar := ""
	at := visit(b, &jar)
	for range 10 {
		if got := visit(b, &jar); got != at {
			t.Errorf("moved from %s to %s", at, got)
		}
	}
	pool.Mark("http://"+at, lb.Down, "test")
	to := visit(b, &jar)
	for range 10 {
		if got := visit(b, &jar); got != to || got == at || got == "" {
			t.Errorf("moved from %s to %s to %s", at, to, got)
		}
	}
}

// Requests without a key write nothing to the store, however many they are.
func TestFloodOfNewcomersIsNotStored(t *testing.T) {
	sessions := store{}
	b, _ := balance(t, ok, lb.Config{SessionKey: key{true}, Sessions: sessions})
	for range 100 {
		get(b)
	}
	if len(sessions) != 0 {
		t.Errorf("%d sessions were stored", len(sessions))
	}
}
