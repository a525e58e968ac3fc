package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/redistest"
)

// direction is a way to the Redis at an address.
func direction(address string) func(Config) (bus, error) {
	return func(cfg Config) (bus, error) {
		cfg.URL = "redis://" + address
		return openRedis(cfg)
	}
}

// Over a real Redis, which is killed and comes back empty: users see no more failures for it, and all
// know of each other two seconds after it has come back.
func TestOverRedis(t *testing.T) {
	r := redistest.Start(t)
	w := newWorld(t, 10, 8, false, direction(r.Address()))
	defer w.end()
	rnd := rand.New(rand.NewPCG(5, 5))
	w.serve(400, 500*time.Millisecond, rnd)
	await(t, "all know of all", func() bool { return all(w, func(f *Fleet) bool { return f.Stats().Instances == 8 }) })
	w.bad.Store("b3", "errors")
	failed := 0
	await(t, "it is out everywhere", func() bool {
		failed += w.serve(400, 500*time.Millisecond, rnd)
		return w.outAt("b3") == 8
	})
	t.Log(failed, "failed")
	r.Kill()
	if n := w.serve(400, time.Second, rnd); n > 8 {
		t.Errorf("%d failed when Redis was gone", n)
	}
	r.Restart()
	began := time.Now()
	await(t, "they hear of each other again", func() bool {
		return all(w, func(f *Fleet) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			n := 0
			for _, p := range f.peers.all {
				if p.heard.After(began) {
					n++
				}
			}
			return n == 7
		})
	})
	t.Log("converged after", time.Since(began))
}

func all(w *world, ok func(*Fleet) bool) bool {
	for _, f := range w.fleets {
		if !ok(f) {
			return false
		}
	}
	return true
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("it never happens that %s", what)
		}
	}
}

// The hash holds one field for each instance, goes by itself, and begins anew where it is none of ours.
func TestWhatIsKept(t *testing.T) {
	m := miniredis.RunT(t)
	bus := lb.Must(direction(m.Addr())(Config{Prefix: "lb:", Name: "x"}))
	defer bus.close()
	key := "lb:fleet:x"
	m.Set(key, "not a hash")
	bus.send(from(1), "one", true, nil)
	await(t, "the first is kept", func() bool { return m.HGet(key, from(1).String()) == "one" })
	bus.send(from(2), "two", true, []string{from(1).String()})
	await(t, "a stale one goes", func() bool { return m.HGet(key, from(2).String()) == "two" && m.HGet(key, from(1).String()) == "" })
	for i := range mostKept + 1 {
		m.HSet(key, fmt.Sprint(i), "junk")
	}
	bus.send(from(1), "more", true, nil)
	await(t, "it begins anew", func() bool { kept, _ := bus.kept(t.Context()); return len(kept) == 1 })
	m.FastForward(31 * time.Second)
	if m.Exists(key) {
		t.Error("it stays for ever")
	}
}
