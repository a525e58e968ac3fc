package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/redistest"
	"github.com/go-loadbalancer/lb/session"
)

// deed is one entry of a history: a session was bound to a backend, by a balancer, or, without a session, a
// backend was ejected or removed for good.
type deed struct {
	session  string
	backend  string
	from, to int64         // when, in nanoseconds
	ttl      time.Duration // of sessions; a store may forget one that was unused for half of that
}

// binding is what is true of one session at a moment.
type binding struct {
	home string // "" before it has one
	used int64  // when it was used last
	out  string // the backends that have gone, each with a comma
}

// law: a session stays where it is until that backend has gone, or it has expired, and then moves to one
// that has not gone. So it never moves back.
func (b binding) law(d deed) (bool, binding) {
	gone := func(id string) bool { return strings.Contains(b.out, id+",") }
	switch {
	case d.session == "":
		return true, binding{b.home, b.used, b.out + d.backend + ","}
	case d.backend == "":
		return false, b
	case d.backend == b.home:
		return true, binding{b.home, max(b.used, d.to), b.out}
	case gone(d.backend), b.home != "" && !gone(b.home) && d.from-b.used < int64(d.ttl/2):
		return false, b
	}
	return true, binding{d.backend, d.to, b.out}
}

// model is the law for porcupine, one session at a time.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: bySession,
		Init:      func() any { return binding{} },
		Step: func(state, input, output any) (bool, any) {
			d := input.(deed)
			d.backend, _ = output.(string)
			return state.(binding).law(d)
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input.(deed).session, " -> ", output) },
	}
}

// bySession gives each session its own history, with all that befell backends in each.
func bySession(all []porcupine.Operation) (parts [][]porcupine.Operation) {
	var common []porcupine.Operation
	by := map[string][]porcupine.Operation{}
	for _, op := range all {
		if name := op.Input.(deed).session; name != "" {
			by[name] = append(by[name], op)
		} else {
			common = append(common, op)
		}
	}
	for _, ops := range by {
		parts = append(parts, append(ops, common...))
	}
	return parts
}

// history is what balancers did. Its methods may be called by many goroutines.
type history struct {
	began time.Time
	ttl   time.Duration // of sessions
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// note records what do returns as done by a client between its call and its return.
func (h *history) note(client int, session string, do func() (backend string)) {
	from := time.Since(h.began).Nanoseconds()
	backend := do()
	to := time.Since(h.began).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: deed{session: session, from: from, to: to, ttl: h.ttl}, Call: from, Output: backend, Return: to,
	})
}

const (
	racers        = 3 // balancers
	raceBackends  = 12
	raceSessions  = 40
	raceEjections = 9
)

// race is balancers that share a pool and, each through a proxy, a Redis.
type race struct {
	t         *testing.T
	pool      *lb.DynamicPool
	balancers []*lb.Balancer
	proxies   []*redistest.Proxy
	redis     *redistest.Redis
	settled   atomic.Bool // every session is known to every balancer
	history   history
}

type boundKey struct{}

// newRace makes the balancers. Sessions expire after ttl; with always they ask Redis for each request.
func newRace(t *testing.T, ttl time.Duration, always bool) *race {
	t.Helper()
	r := &race{t: t, redis: redistest.Start(t), history: history{began: time.Now(), ttl: ttl}}
	var specs []lb.Spec
	for i := range raceBackends {
		specs = append(specs, lb.Spec{ID: fmt.Sprint("b", i), URL: fmt.Sprintf("http://b%d.test", i)})
	}
	r.pool = lb.Must(lb.NewPool(specs...))
	for range racers {
		p := redistest.StartProxy(t, r.redis.Address())
		w := where{url: "redis://" + p.Address(), ttl: ttl}
		if always {
			w.fresh = -1
		}
		store := openStore(t, w)
		eventually(t, "the store is with Redis", func() bool { _, err := store.Lookup(t.Context(), "any"); return err == nil })
		r.proxies = append(r.proxies, p)
		r.balancers = append(r.balancers, lb.Must(lb.New(lb.Config{
			Pool: r.pool, Policy: r.policy, Transport: instant{}, Sessions: store, SessionKey: lb.Must(session.Header("X-Session")),
			Observers: []lb.Observer{{Request: func(s lb.Summary) {
				if bound, ok := s.Request.Context().Value(boundKey{}).(*string); ok {
					*bound = s.Bound
				}
			}}},
		})))
	}
	return r
}

// policy picks at random at first, so that who forgets a session is found out, and then as all balancers
// do for a session whose backend has gone: those that do not see each other cannot do alike otherwise.
func (r *race) policy(set lb.Set) lb.Picker {
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
		if !r.settled.Load() {
			return set.Eligible[i.Rand%uint64(len(set.Eligible))].Backend
		}
		name := stored(i.Request.Header.Get("X-Session"))
		var best *lb.Backend
		high := uint64(0)
		now := r.pool.Snapshot()
		for k := range now.Len() {
			b := now.At(k)
			if h := rendezvous(name, b.ID()); b.Facts().Fit() && !i.Tried(b) && (best == nil || h > high) {
				best, high = b, h
			}
		}
		return best
	})
}

// rendezvous is what balancers choose by where a session's backend has gone.
func rendezvous(session, backend string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [2]string{session, backend} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h *= 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// ask sends a request of a session and records where it is bound then.
func (r *race) ask(client, session int) {
	name := sessionName(known, session)
	r.history.note(client, name, func() string {
		bound := ""
		req := httptest.NewRequest(http.MethodGet, "http://lb.test/", nil)
		req = req.WithContext(context.WithValue(req.Context(), boundKey{}, &bound))
		req.Header.Set("X-Session", name)
		w := httptest.NewRecorder()
		r.balancers[client%racers].ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			r.t.Errorf("a request failed with %d", w.Code)
		}
		if bound != "" {
			return bound
		}
		return w.Header().Get("X-Backend")
	})
}

// meet has all clients ask for each session at the same time, and then each balancer once more.
func (r *race) meet() {
	var all sync.WaitGroup
	for client := range 2 * racers {
		all.Go(func() {
			for session := range raceSessions {
				r.ask(client, session)
			}
		})
	}
	all.Wait()
	for session := range raceSessions {
		for client := range racers {
			r.ask(client, session)
		}
	}
	r.settled.Store(true)
}

// clients ask for sessions until over is closed.
func (r *race) clients(over <-chan struct{}, each time.Duration) *sync.WaitGroup {
	var all sync.WaitGroup
	for client := range 2 * racers {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(uint64(client), 7))
			tick := time.NewTicker(each)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					r.ask(client, draw.IntN(raceSessions))
				}
			}
		})
	}
	return &all
}

// eject takes a backend out for good, in one of two ways.
func (r *race) eject(i int) {
	id := fmt.Sprint("b", i)
	r.history.note(100, "", func() string {
		if i%2 == 0 {
			r.pool.Mark(id, lb.Ejected, "the test says so")
		} else {
			_ = r.pool.Remove(r.t.Context(), id)
		}
		return id
	})
}

// flap makes one fault after the other, for each balancer or for all.
func (r *race) flap(step int, draw *rand.Rand) {
	p := r.proxies[draw.IntN(racers)]
	switch step % 7 {
	case 0:
		p.Cut()
	case 1:
		p.Blackhole()
	case 2:
		p.Normal()
	case 3:
		p.Reset()
	case 4:
		r.redis.Kill()
	case 5:
		r.redis.Restart() // empty
	case 6:
		for _, p := range r.proxies {
			p.Normal()
		}
	}
}

// Sessions move when their backend is ejected or removed, and at no other time, and never back: while
// balancers race for them and Redis comes and goes.
func TestLinearizable(t *testing.T) {
	r := newRace(t, time.Hour, false)
	r.meet()
	steps, each := 28, 100*time.Millisecond
	if full() {
		steps, each = 140, 200*time.Millisecond
	}
	over := make(chan struct{})
	all := r.clients(over, 5*time.Millisecond)
	draw := rand.New(rand.NewPCG(3, 4))
	for step := range steps {
		r.flap(step, draw)
		if step*raceEjections/steps != (step+1)*raceEjections/steps {
			r.eject(step * raceEjections / steps)
		}
		pause(each)
	}
	for _, p := range r.proxies {
		p.Normal()
	}
	if !r.redis.Running() {
		r.redis.Restart()
	}
	pause(each)
	close(over)
	all.Wait()
	r.verdict(raceSessions)
}

// A session that nobody used expires, whoever asks first binds it, and all others agree.
func TestLinearizableExpiry(t *testing.T) {
	r := newRace(t, time.Second, true)
	over := make(chan struct{})
	all := r.clients(over, 40*time.Millisecond) // a session rests for a quarter of a second, on average
	length := 4 * time.Second
	if full() {
		length = time.Minute
	}
	pause(length)
	close(over)
	all.Wait()
	r.verdict(5)
}

// verdict checks the history, and that there are enough moves in it to say something.
func (r *race) verdict(least int) {
	r.t.Helper()
	if got := porcupine.CheckOperationsTimeout(model(), r.history.ops, patience); got != porcupine.Ok {
		r.t.Errorf("%d deeds: %s", len(r.history.ops), got)
		r.blame()
	}
	moves := r.mustFindLies()
	r.t.Logf("%d deeds of %d sessions, %d moves", len(r.history.ops), raceSessions, moves)
	if moves < least {
		r.t.Errorf("%d moves: that proves little", moves)
	}
}

// blame shows the sessions that broke the law.
func (r *race) blame() {
	shown := 0
	for _, part := range bySession(r.history.ops) {
		whole := model()
		whole.Partition = nil
		if shown > 2 || porcupine.CheckOperationsTimeout(whole, part, patience) == porcupine.Ok {
			continue
		}
		shown++
		was := ""
		for _, op := range sorted(part) {
			if now := fmt.Sprint(op.Input.(deed).session, op.Output); now != was {
				r.t.Logf("%8.3f-%8.3f client %d: %s -> %v", float64(op.Call)/1e9, float64(op.Return)/1e9, op.ClientId, op.Input.(deed).session, op.Output)
				was = now
			}
		}
	}
}
