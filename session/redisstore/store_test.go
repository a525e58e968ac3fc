package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// A cluster's client of rueidis leaves a goroutine that sleeps, for five seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

var (
	_ lb.SessionStore                            = (*Store)(nil)
	_ interface{ Seen(session, backend string) } = (*Store)(nil)
)

var secret = []byte(strings.Repeat("s", 32))

// inBubble runs a test of a store on an in-process Redis, on virtual time.
func inBubble(t *testing.T, test func(*testing.T, *miniredis.Miniredis, *Store)) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		m.ClockTTL(true)
		s, err := New(configFor(m))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		test(t, m, s)
	})
}

func configFor(m *miniredis.Miniredis) Config {
	return Config{URL: "redis:6379", Secret: secret, TTL: time.Minute, dial: func(context.Context, string) (net.Conn, error) { return m.Dial() }}
}

func lookup(t testing.TB, s *Store, session string) string {
	t.Helper()
	backend, err := s.Lookup(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func bind(t testing.TB, s *Store, session, from, to string) string {
	t.Helper()
	backend, err := s.Bind(t.Context(), session, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

// forgetHere has a store know nothing of a session that Redis may know.
func (s *Store) forgetHere(session string) {
	p := s.known.Lock(id(session))
	defer p.Unlock()
	p.Remove()
}

// testBind is what both Redises must do: compare and swap, for each state and each call.
func testBind(t *testing.T, s *Store) {
	for _, known := range []string{"", "a", "b", "c"} {
		for _, from := range []string{"", "a", "b", "c"} {
			for _, to := range []string{"a", "b", "c"} {
				if err := s.Forget(t.Context(), "s"); err != nil {
					t.Fatal(err)
				}
				if known != "" {
					bind(t, s, "s", "", known)
				}
				want := known
				if known == "" || known == from {
					want = to
				}
				if got := bind(t, s, "s", from, to); got != want {
					t.Errorf("bound to %q, Bind from %q to %q: %q, want %q", known, from, to, got, want)
				}
				if got := lookup(t, s, "s"); got != want {
					t.Errorf("bound to %q, Bind from %q to %q: looked up %q, want %q", known, from, to, got, want)
				}
				if got := lookup(t, s, "other"); got != "" {
					t.Errorf("another session is bound to %q", got)
				}
			}
		}
	}
}

func TestBindIsCompareAndSwap(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *miniredis.Miniredis, s *Store) { testBind(t, s) })
}

func TestUsesProlong(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		key := s.codec.key(id("s"))
		bind(t, s, "s", "", "a")
		for name, use := range map[string]func(){
			"Lookup": func() { lookup(t, s, "s") },
			"Seen":   func() { s.Seen("s", "a") },
			"Bind":   func() { bind(t, s, "s", "x", "b") },
		} {
			for range 5 {
				time.Sleep(31 * time.Second)
				use()
				synctest.Wait()
				if left := m.TTL(key); left != time.Minute {
					t.Errorf("%s: %v are left", name, left)
				}
			}
		}
		time.Sleep(time.Minute - time.Second)
		if !m.Exists(key) {
			t.Error("gone before its time")
		}
		time.Sleep(2 * time.Second)
		if got := lookup(t, s, "s"); got != "" {
			t.Errorf("still bound to %q", got)
		}
		if n := len(m.Keys()); n != 0 {
			t.Errorf("keys %q are left", m.Keys())
		}
	})
}

func TestSeenTellsOnceInHalfTheTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		sent := func() uint64 { synctest.Wait(); return s.Stats().Commands }
		for i := range 100 {
			for range 100 {
				s.Seen(fmt.Sprint("s", i), "a")
			}
		}
		if n := sent(); n < 100 || n > 102 { // two may have met in a place of the table
			t.Errorf("%d commands for 100 sessions", n)
		}
		if got := lookup(t, s, "s7"); got != "a" {
			t.Errorf("bound to %q", got)
		}
		before := sent()
		time.Sleep(29 * time.Second)
		s.Seen("s7", "a")
		if n := sent() - before; n != 0 {
			t.Errorf("%d commands within half of the TTL", n)
		}
		time.Sleep(2 * time.Second)
		s.Seen("s7", "a")
		s.Seen("s7", "a")
		if n := sent() - before; n != 1 {
			t.Errorf("%d commands after half of the TTL", n)
		}
		s.Seen("s7", "b") // what is bound stays
		if got := lookup(t, s, "s7"); got != "a" {
			t.Errorf("bound to %q", got)
		}
		synctest.Wait() // Lookup has prolonged it
		if err := s.Forget(t.Context(), "s7"); err != nil {
			t.Fatal(err)
		}
		s.Seen("s7", "a")
		synctest.Wait()
		if got := lookup(t, s, "s7"); got != "a" {
			t.Errorf("forgotten and seen again: bound to %q", got)
		}
	})
}

func TestSeenIsToldAgainAfterAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		m.SetError("OOM")
		s.Seen("s", "a")
		synctest.Wait()
		m.SetError("")
		s.Seen("s", "a")
		synctest.Wait()
		if got := lookup(t, s, "s"); got != "a" {
			t.Errorf("bound to %q", got)
		}
	})
}

func TestSeenIsToldAgainAfterAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		s.Seen("early", "a")
		synctest.Wait()
		m.FlushAll()
		m.SetError("LOADING")
		for range 10 {
			_, _ = s.Lookup(t.Context(), "x")
		}
		if !s.Stats().Down {
			t.Fatal("not down")
		}
		s.Seen("during", "a")
		synctest.Wait()
		m.SetError("")
		time.Sleep(time.Second)
		lookup(t, s, "x")
		for _, name := range []string{"early", "during"} {
			s.Seen(name, "a")
			synctest.Wait()
			if got := lookup(t, s, name); got != "a" {
				t.Errorf("%s: bound to %q", name, got)
			}
		}
	})
}

// Whatever stands in Redis, only what we wrote for this session counts.
func TestHostileValues(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		key := s.codec.key(id("s"))
		good := s.codec.seal(key, "a")
		other, err := New(func() Config { c := configFor(m); c.Secret = []byte(strings.Repeat("x", 32)); return c }())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		hostile := map[string]string{
			"empty":              "",
			"a plain ID":         "a",
			"another session's":  s.codec.seal(s.codec.key(id("t")), "a"),
			"another secret's":   other.codec.seal(key, "a"),
			"another version":    "v2" + good[2:],
			"no backend":         s.codec.seal(key, ""),
			"a longer backend":   good + "b",
			"too long":           s.codec.seal(key, strings.Repeat("a", redisconn.MaxValue)),
			"a megabyte":         strings.Repeat("v1", 1<<19),
			"line ends":          good + "\r\n",
			"zero bytes":         "\x00" + good,
			"a cut value":        good[:20],
			"the MAC alone":      good[:2+macLen],
			"text for a script":  "'; redis.call('FLUSHALL') --",
			"a number for a MAC": "v1" + strings.Repeat("0", macLen) + "a",
		}
		for i := range good {
			hostile[fmt.Sprint("flipped byte ", i)] = good[:i] + string([]byte{good[i] ^ 1}) + good[i+1:]
		}
		for name, value := range hostile {
			if err := m.Set(key, value); err != nil {
				t.Fatal(err)
			}
			s.forgetHere("s")
			if got := lookup(t, s, "s"); got != "" {
				t.Errorf("%s: bound to %q", name, got)
			}
			if got := bind(t, s, "s", "", "b"); got != "b" {
				t.Errorf("%s: bound to %q in its place", name, got)
			}
			if got := lookup(t, s, "s"); got != "b" {
				t.Errorf("%s: bound to %q afterwards", name, got)
			}
		}
		m.Del(key)
		s.forgetHere("s")
		if _, err := m.Lpush(key, "a"); err != nil {
			t.Fatal(err)
		}
		if got := lookup(t, s, "s") + bind(t, s, "s", "a", "b") + lookup(t, s, "s"); got != "bb" {
			t.Errorf("a list: %q", got)
		}
		if n := s.Stats().Rejected; n < uint64(len(hostile)-2) {
			t.Errorf("%d values were rejected", n)
		}
	})
}

// Whoever reads Redis learns no session, and no session can choose its key.
func TestKeysAndValues(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		for _, session := range []string{"alice", "", "{x}", "a b\r\nFLUSHALL", strings.Repeat("x", 1<<16)} {
			bind(t, s, session, "", "a")
			if got := lookup(t, s, session); got != "a" {
				t.Errorf("%.20q is bound to %q", session, got)
			}
		}
		if n := len(m.Keys()); n != 5 {
			t.Errorf("%d keys", n)
		}
		for _, key := range m.Keys() {
			value, _ := m.Get(key)
			if len(key) != len("lb:s:")+22 || !strings.HasPrefix(key, "lb:s:") || strings.ContainsAny(key, "{} \r\n") ||
				strings.Contains(key+value, "alice") || len(value) > redisconn.MaxValue {
				t.Errorf("%q: %q", key, value)
			}
		}
	})
}

func TestOutageReturnsErrorsAtOnce(t *testing.T) {
	var states []string
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		cfg := configFor(m)
		cfg.dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") }
		cfg.OnState = func(reachable bool, err error) { states = append(states, fmt.Sprint(reachable, " ", err)) }
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if len(states) != 1 || !strings.Contains(states[0], "refused") {
			t.Errorf("told %q", states)
		}
		synctest.Wait() // the first probe
		before, began := s.Stats(), time.Now()
		for range 1000 {
			s.Seen("s", "a")
			if got := lookup(t, s, "s"); got != "a" {
				t.Fatalf("seen on a, found on %q", got)
			}
			if got := bind(t, s, "s", "b", "c"); got != "a" {
				t.Fatalf("seen on a, bound to %q", got)
			}
			_, err1 := s.Lookup(t.Context(), "nobody has seen it")
			for _, err := range []error{err1, s.Forget(t.Context(), "s")} {
				if !errors.Is(err, redisconn.ErrDown) || !strings.HasPrefix(err.Error(), "redisstore: ") {
					t.Fatal(err)
				}
			}
		}
		after := s.Stats()
		if after.Commands != before.Commands || after.Errors-before.Errors != 2000 || after.HitsUnverified != 2000 || time.Since(began) != 0 {
			t.Errorf("%+v after %+v", after, before)
		}
	})
}

func TestFaults(t *testing.T) {
	_, err := New(Config{URL: "redis", MaxSessions: -1, Secret: []byte("short"), Prefix: "{x}", TTL: time.Millisecond, Timeout: -1})
	for _, want := range []string{
		`redisstore: Config.URL "redis"`, "redisstore: Config.MaxSessions -1", "redisstore: Config.Secret has 5 bytes",
		`redisstore: Config.Prefix "{x}"`, "redisstore: Config.TTL 1ms", "redisstore: Config.Timeout -1ns",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the secret is shown")
	}
}

func FuzzOpen(f *testing.F) {
	c := newCodec(secret, "lb:")
	key := c.key(id("s"))
	f.Add(c.seal(key, "a"))
	f.Add("")
	f.Add("v1")
	f.Add("v1" + strings.Repeat("A", macLen+1))
	f.Fuzz(func(t *testing.T, value string) {
		if backend, says := c.open(key, value); (says == bound || says == forgotten) && c.seal(key, backend) != value {
			t.Errorf("%q was believed to be %q", value, backend)
		}
	})
}
