package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/redistest"
)

// line to Redis without internal/redisconn.
type direct struct {
	client rueidis.Client
	lua    *rueidis.Lua
	key    string
	failed atomic.Bool
}

func direction(address string) func(Config) (bus, error) {
	return func(cfg Config) (bus, error) {
		client, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
			ConnWriteTimeout: 300 * time.Millisecond,
		})
		return &direct{client: client, lua: rueidis.NewLuaScriptNoSha(script), key: cfg.key()}, err
	}
}

func (d *direct) send(from instance, message string, keep bool, stale []string) {
	go func() {
		err := d.lua.Exec(context.Background(), d.client, []string{d.key}, arguments(d.key, from, message, keep, stale)).Error()
		d.failed.Store(err != nil)
	}()
}

func (d *direct) listen(ctx context.Context, got func(string)) error {
	for ctx.Err() == nil {
		_ = d.client.Receive(ctx, d.client.B().Subscribe().Channel(d.key).Build(), func(m rueidis.PubSubMessage) { got(m.Message) })
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (d *direct) kept(ctx context.Context) (map[string]string, error) {
	return d.client.Do(ctx, d.client.B().Hgetall().Key(d.key).Build()).AsStrMap()
}

func (d *direct) stats() (uint64, bool) { return 0, d.failed.Load() }
func (d *direct) close()                { d.client.Close() }

// Over a real Redis, which is killed and comes back empty: users see no more failures for it, and all
// know of each other two seconds after it has come back.
func TestOverRedis(t *testing.T) {
	r := redistest.Start(t)
	w := newWorld(t, 10, 8, false, direction(r.Address()))
	defer w.end()
	rnd := rand.New(rand.NewPCG(5, 5))
	w.serve(400, time.Second, rnd)
	await(t, "all know of all", func() bool { return all(w, func(f *Fleet) bool { return f.Stats().Instances == 8 }) })
	w.bad.Store("b3", "errors")
	failed := w.serve(400, 2*time.Second, rnd)
	t.Log(failed, "failed")
	if n := w.outAt("b3"); n != 8 {
		t.Errorf("it is out at %d", n)
	}
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
