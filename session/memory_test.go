package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ lb.SessionStore                            = (*Memory)(nil)
	_ lb.Runner                                  = (*Memory)(nil)
	_ interface{ Seen(session, backend string) } = (*Memory)(nil)
)

func newMemory(t testing.TB, cfg MemoryConfig) *Memory {
	t.Helper()
	m, err := NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func lookup(t testing.TB, s lb.SessionStore, session string) string {
	t.Helper()
	backend, err := s.Lookup(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func bind(t testing.TB, s lb.SessionStore, session, from, to string) string {
	t.Helper()
	backend, err := s.Bind(t.Context(), session, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func TestBindIsCompareAndSwap(t *testing.T) {
	for _, known := range []string{"", "a", "b", "c"} {
		for _, from := range []string{"", "a", "b", "c"} {
			for _, to := range []string{"a", "b", "c"} {
				m := newMemory(t, MemoryConfig{})
				if known != "" {
					bind(t, m, "s", "", known)
				}
				want := known
				if known == "" || known == from {
					want = to
				}
				if got := bind(t, m, "s", from, to); got != want {
					t.Errorf("bound to %q, Bind from %q to %q: %q, want %q", known, from, to, got, want)
				}
				if got := lookup(t, m, "s"); got != want {
					t.Errorf("bound to %q, Bind from %q to %q: looked up %q, want %q", known, from, to, got, want)
				}
				if got := lookup(t, m, "other"); got != "" {
					t.Errorf("another session is bound to %q", got)
				}
			}
		}
	}
}

func TestEveryUseProlongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryConfig{TTL: time.Minute})
		uses := map[string]func(){
			"Lookup":     func() { lookup(t, m, "s") },
			"Bind":       func() { bind(t, m, "s", "a", "a") },
			"Bind fails": func() { bind(t, m, "s", "x", "y") },
			"Seen":       func() { m.Seen("s", "b") },
		}
		for name, use := range uses {
			bind(t, m, "s", "", "a")
			for range 5 {
				time.Sleep(time.Minute - 1)
				use()
			}
			time.Sleep(time.Minute - 1)
			if got := lookup(t, m, "s"); got != "a" {
				t.Errorf("%s: bound to %q", name, got)
			}
			time.Sleep(time.Minute)
			if got := lookup(t, m, "s"); got != "" {
				t.Errorf("%s: still bound to %q after a minute", name, got)
			}
		}
		if n := m.Len(); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
}

func TestForgetAndSeen(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	for range 2 { // also an unknown one
		if err := m.Forget(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
	}
	m.Seen("s", "a")
	m.Seen("s", "b")
	if got := lookup(t, m, "s"); got != "a" {
		t.Errorf("bound to %q by the second Seen", got)
	}
	if err := m.Forget(t.Context(), "s"); err != nil || lookup(t, m, "s") != "" {
		t.Error("not forgotten")
	}
	bind(t, m, "s", "a", "c")
	if got := lookup(t, m, "s"); got != "c" {
		t.Errorf("a forgotten session was bound to %q", got)
	}
}

// model is the store written plainly: a slice in the order of use.
type model struct {
	size int
	used []modelEntry // least recently first
}

type modelEntry struct {
	session, backend string
	until            time.Duration
}

func (m *model) do(session, from, to string, now, ttl time.Duration) string {
	m.used = slices.DeleteFunc(m.used, func(e modelEntry) bool { return e.session == session && e.until <= now })
	i := slices.IndexFunc(m.used, func(e modelEntry) bool { return e.session == session })
	e := modelEntry{session: session, backend: to}
	if i >= 0 {
		e = m.used[i]
		m.used = slices.Delete(m.used, i, i+1)
		if e.backend == from {
			e.backend = to
		}
	} else if to == "" {
		return ""
	}
	if len(m.used) == m.size {
		m.used = m.used[1:]
	}
	e.until = now + ttl
	m.used = append(m.used, e)
	return e.backend
}

func TestShardDoesAsItsModel(t *testing.T) {
	const size, ttl = 16, 100 * time.Second
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m := newMemory(t, MemoryConfig{MaxSessions: size, TTL: ttl})
		if len(m.shards) != 1 {
			t.Fatal("a small store has several shards")
		}
		s, plain, now := &m.shards[0], model{size: size}, time.Duration(0)
		for range 2000 {
			now += time.Duration(rnd.IntN(9)) * time.Second
			name, from, to := fmt.Sprint("s", rnd.IntN(24)), fmt.Sprint(rnd.IntN(3)), fmt.Sprint(rnd.IntN(3))
			_, k := m.find(name)
			var got, want string
			switch rnd.IntN(8) {
			case 0:
				s.forget(k)
				plain.used = slices.DeleteFunc(plain.used, func(e modelEntry) bool { return e.session == name })
			case 1:
				s.sweep(now)
				plain.used = slices.DeleteFunc(plain.used, func(e modelEntry) bool { return e.until <= now })
				if s.len() != len(plain.used) {
					t.Fatalf("seed %d: %d sessions after a sweep, want %d", seed, s.len(), len(plain.used))
				}
			case 2, 3, 4:
				got, want = s.renew(k, now, ttl), plain.do(name, "", "", now, ttl)
			default:
				got, want = s.bind(k, from, to, now, ttl), plain.do(name, from, to, now, ttl)
			}
			if got != want {
				t.Fatalf("seed %d: %q is bound to %q, want %q", seed, name, got, want)
			}
		}
	}
}

func TestNeverMoreThanTheLimit(t *testing.T) {
	for _, limit := range []int{1, 2, 1000, 1024, 2048, 100_000} {
		m := newMemory(t, MemoryConfig{MaxSessions: limit})
		for i := range 3*limit + 10 {
			m.Seen(fmt.Sprint("s", i), "a")
		}
		if n := m.Len(); n > limit || n < limit*9/10 {
			t.Errorf("limit %d: %d sessions", limit, n)
		}
		for i := range m.shards {
			if n := len(m.shards[i].entries); n > limit/len(m.shards) {
				t.Errorf("limit %d: a shard of %d has %d places", limit, limit/len(m.shards), n)
			}
		}
		if got := lookup(t, m, fmt.Sprint("s", 3*limit+9)); got != "a" {
			t.Errorf("limit %d: the newest session has gone", limit)
		}
	}
}

func TestRunRemovesTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryConfig{TTL: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		const many = 10 * batch * maxShards / 4
		for i := range many {
			m.Seen(fmt.Sprint("old", i), "a")
		}
		time.Sleep(30 * time.Minute)
		m.Seen("young", "a")
		time.Sleep(29 * time.Minute)
		if n := m.Len(); n != many+1 {
			t.Errorf("%d sessions, before any expired", n)
		}
		time.Sleep(8 * time.Minute)
		if n := m.Len(); n != 1 {
			t.Errorf("%d sessions are left", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRacingBindsAgree(t *testing.T) {
	m := newMemory(t, MemoryConfig{MaxSessions: 4096})
	for round := range 100 {
		name := fmt.Sprint("s", round)
		bind(t, m, name, "", "old")
		var wg sync.WaitGroup
		got := make([]string, 32)
		for i := range got {
			wg.Go(func() { got[i], _ = m.Bind(context.Background(), name, "old", fmt.Sprint("b", i%5)) })
		}
		wg.Wait()
		want := lookup(t, m, name)
		for _, g := range got {
			if g != want || g == "old" {
				t.Fatalf("bound to %q, but somebody was told %q", want, g)
			}
		}
	}
}

func TestMemoryAllocatesNothing(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	long := strings.Repeat("x", 128)
	bind(t, m, long, "", "a")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		m.Seen(long, "a")
		_, _ = m.Lookup(ctx, long)
		_, _ = m.Bind(ctx, long, "x", "b")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMemoryPerSession(t *testing.T) {
	const many = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := newMemory(t, MemoryConfig{MaxSessions: many})
	for i := range 2 * many {
		m.Seen(fmt.Sprint("session ", i), "a")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / many
	if each > 140 {
		t.Errorf("%d bytes a session; the documentation says about 100", each)
	}
	t.Logf("%d bytes a session", each)
	runtime.KeepAlive(m)
}

func TestMemoryFaults(t *testing.T) {
	_, err := NewMemory(MemoryConfig{MaxSessions: -1, TTL: -time.Second})
	if err == nil || !strings.Contains(err.Error(), "MaxSessions -1") || !strings.Contains(err.Error(), "TTL -1s") {
		t.Error(err)
	}
}

func BenchmarkMemorySeen(b *testing.B) {
	m := newMemory(b, MemoryConfig{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			m.Seen("AAAAAAAAAAAAAAAAAAAAAA", "a")
		}
	})
}
