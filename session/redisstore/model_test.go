package redisstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// Stores that are told of changes, on connections that take their time, pass the kit.
func TestTrackingStoresPassTheKit(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			defer w.close()
			err := lbtest.TestSessionStore(func() lb.SessionStore { return w.store(true) }, lbtest.StoreTraits{
				TTL: w.ttl, Shared: true, Behind: true,
				Pass: func(d time.Duration) { time.Sleep(d + time.Second) },
			})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

// life is several stores that many use at the same time, while Redis comes and goes.
type life struct {
	*world
	stores   []*Store
	sessions int
	fresh    time.Duration
	mu       sync.Mutex
	calm     time.Time // since when Redis was there, and its connections
	rough    bool      // it is not now
}

func newLife(t *testing.T, seed uint64, tracks bool) *life {
	l := &life{world: newWorld(t, seed), sessions: 5, fresh: 5 * time.Second, calm: time.Now()}
	for range 3 {
		l.stores = append(l.stores, l.store(tracks))
	}
	return l
}

// user does what a balancer does, for one client.
func (l *life) user(seed uint64, rounds int) {
	draws := rand.New(rand.NewPCG(seed, 2))
	at := []string{"a", "b", "c"}
	for range rounds {
		s, session := l.stores[draws.IntN(len(l.stores))], fmt.Sprint("s", draws.IntN(l.sessions))
		began := time.Now()
		switch draws.IntN(6) {
		case 0:
			from, _ := s.Lookup(l.t.Context(), session)
			_, _ = s.Bind(l.t.Context(), session, from, at[draws.IntN(3)])
		case 1:
			s.Seen(session, at[draws.IntN(3)])
		default:
			l.look(s, session)
		}
		if took := time.Since(began); took > 4*waits {
			l.t.Errorf("a call took %v", took)
		}
		time.Sleep(time.Duration(draws.Int64N(int64(20 * time.Millisecond))))
	}
}

// look looks a session up, and checks that what is believed without asking was so not long ago.
func (l *life) look(s *Store, session string) {
	began, memory := time.Now(), s.count.memory.Load()
	got, err := s.Lookup(l.t.Context(), session)
	if err != nil || time.Since(began) > 0 || s.count.memory.Load() == memory {
		return
	}
	l.mu.Lock()
	calm := !l.rough && time.Since(l.calm) > l.fresh+time.Second
	l.mu.Unlock()
	if calm && !l.had(session, l.fresh+10*slowest)[got] {
		l.t.Errorf("%s is believed to be on %q, and was not for %v: %v", session, got, l.fresh, l.history[l.stores[0].codec.key(id(session))])
	}
}

// weather has Redis fail in every way, for a time each.
func (l *life) weather(seed uint64, storms int) {
	draws := rand.New(rand.NewPCG(seed, 3))
	for range storms {
		time.Sleep(time.Duration(draws.Int64N(int64(3 * time.Second))))
		l.mu.Lock()
		l.rough = true
		l.mu.Unlock()
		lasts := time.Duration(draws.Int64N(int64(3 * time.Second)))
		switch draws.IntN(5) {
		case 0:
			l.set(true, false)
			time.Sleep(lasts)
		case 1:
			l.set(true, false)
			l.wipe() // and begins again, empty
			time.Sleep(lasts)
		case 2:
			l.set(false, true)
			time.Sleep(lasts)
		case 3:
			l.wipe()
		case 4:
			l.cut()
		}
		l.set(false, false)
		l.mu.Lock()
		l.rough, l.calm = false, time.Now()
		l.mu.Unlock()
	}
}

// Whatever happens in whatever order: no call takes long, what is believed was so not long ago, and
// when all is calm all agree with Redis, which has heard of everything.
func TestStoresInAnyWeather(t *testing.T) {
	seeds, rounds := uint64(5), 400
	if os.Getenv("LB_FULL") == "1" {
		seeds, rounds = 20, 3000
	}
	for seed := range seeds {
		for _, tracks := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, seed, tracks)
				defer l.close()
				var wg sync.WaitGroup
				for u := range uint64(6) {
					wg.Go(func() { l.user(seed<<8+u, rounds) })
				}
				wg.Go(func() { l.weather(seed, 3) })
				wg.Wait()
				time.Sleep(l.fresh + 3*time.Second)
				for i := range l.sessions { // may be the first to find that Redis was wiped
					_, _ = l.stores[0].Lookup(t.Context(), fmt.Sprint("s", i))
				}
				time.Sleep(l.fresh + 3*time.Second)
				for i := range l.sessions {
					session := fmt.Sprint("s", i)
					for round := range 2 { // the first may be a moment old
						want := l.has(session)
						for n, s := range l.stores {
							if got, err := s.Lookup(t.Context(), session); err != nil || got != want {
								t.Errorf("seed %d, tracking %v: %s is on %q, store %d says %q, %v (round %d)", seed, tracks, session, want, n, got, err, round)
							}
						}
					}
				}
				time.Sleep(time.Second) // for what the last look-ups had to tell
				synctest.Wait()
				for n, s := range l.stores {
					if s.dirty.len.Load() != 0 || len(s.calls.by) != 0 || s.mending {
						t.Errorf("seed %d: store %d has %d changes to tell and %d calls under way", seed, n, s.dirty.len.Load(), len(s.calls.by))
					}
				}
			})
		}
	}
}
