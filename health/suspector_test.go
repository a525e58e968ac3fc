package health

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// changes is a pool that remembers when facts were marked and cleared.
type changes struct {
	*lb.DynamicPool
	mu   sync.Mutex
	list []string
	when []time.Time
}

func (c *changes) Mark(id string, f lb.Facts, cause string) bool {
	return c.note(c.DynamicPool.Mark(id, f, cause), id+" "+f.String()+": "+cause)
}

func (c *changes) Clear(id string, f lb.Facts, cause string) bool {
	return c.note(c.DynamicPool.Clear(id, f, cause), id+" not "+f.String()+": "+cause)
}

func (c *changes) note(news bool, what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if news {
		c.list, c.when = append(c.list, what), append(c.when, time.Now())
	}
	return news
}

// told returns all changes so far, when everybody has had his say.
func (c *changes) told() ([]string, []time.Time) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list), slices.Clone(c.when)
}

// suspecting returns a world with a Suspector at work, and what it tells the pool.
func suspecting(t *testing.T, n int, cfg SuspectorConfig) (w *world, c *changes, stop func()) {
	w = newWorld(t, n, rotate)
	c = &changes{DynamicPool: w.pool}
	cfg.Pool = c
	end := run(t, lb.Must(NewSuspector(cfg)))
	return w, c, func() {
		w.flying.Wait()
		end()
	}
}

// A backend that hangs at 30 requests a second is suspect within a second, and gets no new requests
// until it answers; then it is one of all again at the next look.
func TestSuspectHangs(t *testing.T) {
	for _, latency := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 30 * time.Millisecond} {
		for _, rate := range []int{30, 90, 300} {
			synctest.Test(t, func(t *testing.T) {
				w, c, stop := suspecting(t, 3, SuspectorConfig{})
				for i := range 3 {
					w.change(i, func(s *service) { s.latency = latency })
				}
				w.send(rate, 3*time.Second, "/")
				if list, _ := c.told(); len(list) != 0 {
					t.Errorf("in peace: %q", list)
				}
				mend, hung := make(chan struct{}), time.Now()
				w.change(1, func(s *service) { s.hangs = mend })
				before := w.of(1).served.Load()
				w.send(rate, 1500*time.Millisecond, "/")
				got := w.of(1).served.Load() - before
				list, when := c.told()
				if len(list) != 1 || !strings.HasPrefix(list[0], "b01 suspect: ") || when[0].Sub(hung) > time.Second {
					t.Fatalf("%v, %d a second: %q at %v", latency, rate, list, when)
				}
				if most := int64(rate)/3 + 1; got > most {
					t.Errorf("%d requests went to it, want at most %d", got, most)
				}
				t.Logf("%v, %d a second: suspect after %v, with %d requests: %s", latency, rate, when[0].Sub(hung), got, list[0])
				w.change(1, func(s *service) { s.hangs = nil })
				close(mend)
				at := time.Now()
				w.send(rate, time.Second, "/")
				list, when = c.told()
				if len(list) != 2 || list[1] != "b01 not suspect: it answers again" || when[1].Sub(at) > 50*time.Millisecond+2*latency {
					t.Errorf("mended: %q at %v, want after %v", list, when, at)
				}
				stop()
				if w.failed.Load() != 0 {
					t.Errorf("%d requests failed", w.failed.Load())
				}
			})
		}
	}
}

// Nobody is suspected who is slow but steady, holds polls, sends streams, or is being sent uploads.
func TestSuspectInnocence(t *testing.T) {
	for name, load := range map[string]func(w *world){
		"slow and steady": func(w *world) {
			for i := range 3 {
				w.change(i, func(s *service) { s.latency = 800 * time.Millisecond })
			}
			w.send(30, time.Minute, "/")
		},
		"one ten times slower": func(w *world) {
			w.send(30, 20*time.Second, "/")
			w.change(1, func(s *service) { s.latency = 50 * time.Millisecond })
			w.send(30, time.Minute, "/")
		},
		"a pause of less than ten times": func(w *world) {
			for i := range 3 {
				w.change(i, func(s *service) { s.latency = 100 * time.Millisecond })
			}
			w.send(90, 5*time.Second, "/")
			mend := make(chan struct{})
			w.change(1, func(s *service) { s.hangs = mend })
			w.send(90, 900*time.Millisecond, "/")
			w.change(1, func(s *service) { s.hangs = nil })
			close(mend)
			w.send(90, 5*time.Second, "/")
		},
		"polls only": func(w *world) { w.send(20, time.Minute, "/poll") },
		"polls beside short requests": func(w *world) {
			w.flying.Go(func() { w.send(5, time.Minute, "/poll") })
			w.send(60, time.Minute, "/")
		},
		"few requests": func(w *world) { w.send(1, 2*time.Minute, "/") },
		"none":         func(w *world) { time.Sleep(time.Minute) },
		"uploads that take long": func(w *world) {
			w.send(30, 5*time.Second, "/")
			for range 12 {
				w.flying.Go(func() { w.upload(20 * time.Second) })
			}
			time.Sleep(25 * time.Second)
		},
		"answers that are read slowly": func(w *world) {
			w.send(30, 5*time.Second, "/")
			for range 12 {
				req, _ := http.NewRequest("GET", "http://app/", nil)
				resp, err := w.balancer.RoundTrip(req)
				if err != nil {
					w.t.Error(err)
					return
				}
				w.flying.Go(func() {
					time.Sleep(30 * time.Second)
					resp.Body.Close()
				})
			}
			time.Sleep(40 * time.Second)
		},
		"refused connections": func(w *world) {
			w.send(30, 5*time.Second, "/")
			w.change(1, func(s *service) { s.failing = 1 })
			w.send(100, 20*time.Second, "/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, stop := suspecting(t, 3, SuspectorConfig{})
				load(w)
				stop()
				if list, _ := c.told(); len(list) != 0 {
					t.Errorf("%d changes, first %q", len(list), list[0])
				}
			})
		})
	}
}

// upload sends a body slowly; the world reads none of it until it has ended.
func (w *world) upload(d time.Duration) {
	r, body := io.Pipe()
	go func() {
		time.Sleep(d)
		body.Close()
	}()
	req, _ := http.NewRequest("POST", "http://app/poll", r)
	if resp, err := w.balancer.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
}

// Whoever is silent beside others that answer is suspect; where all are silent, nobody is.
func TestSuspectOfSome(t *testing.T) {
	for hanging, want := range []string{"...", "s..", "ss.", "..."} {
		synctest.Test(t, func(t *testing.T) {
			w, c, stop := suspecting(t, 3, SuspectorConfig{})
			w.send(100, 3*time.Second, "/")
			mend := make(chan struct{})
			for i := range hanging {
				w.change(i, func(s *service) { s.hangs = mend })
			}
			w.send(100, 1900*time.Millisecond, "/")
			if list, _ := c.told(); suspects(c) != want {
				t.Errorf("%d hang: %s, want %s: %q", hanging, suspects(c), want, list)
			}
			for i := range hanging {
				w.change(i, func(s *service) { s.hangs = nil })
			}
			close(mend)
			w.send(100, time.Second, "/")
			if list, _ := c.told(); suspects(c) != "..." || len(list) > 3*2 {
				t.Errorf("after all: %s: %q", suspects(c), list)
			}
			stop()
		})
	}
}

// That all are silent may be seen late: then the first suspicions are taken back.
func TestSuspectOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, stop := suspecting(t, 3, SuspectorConfig{})
		w.send(100, 3*time.Second, "/")
		mend := make(chan struct{})
		for i := range 3 {
			w.change(i, func(s *service) { s.hangs = mend })
			w.send(100, 400*time.Millisecond, "/")
		}
		w.send(100, 400*time.Millisecond, "/")
		list, _ := c.told()
		if len(list) != 4 || !strings.HasSuffix(list[2], "no other backend answers either") || suspects(c) != "..." {
			t.Errorf("%s: %q", suspects(c), list)
		}
		for i := range 3 {
			w.change(i, func(s *service) { s.hangs = nil })
		}
		close(mend)
		stop()
	})
}

func suspects(p lb.Pool) string {
	var all strings.Builder
	for s, i := p.Snapshot(), 0; i < s.Len(); i++ {
		if s.At(i).Facts().Has(lb.Suspect) {
			all.WriteByte('s')
		} else {
			all.WriteByte('.')
		}
	}
	return all.String()
}

// Every suspicion ends: when the requests have failed, when MaxTime is over, when somebody else ends
// it, and when Run does.
func TestSuspicionEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration
		do      func(*world, context.CancelFunc)
		least   time.Duration
		want    string
	}{
		"its requests fail":  {2 * time.Second, func(*world, context.CancelFunc) {}, time.Second, "its requests have ended without an answer"},
		"its time is over":   {time.Hour, func(*world, context.CancelFunc) {}, 30 * time.Second, "it was left alone for 30s"},
		"the Suspector ends": {time.Hour, func(_ *world, stop context.CancelFunc) { stop() }, 0, "the suspector has stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, rotate)
				w.timeout = tt.timeout
				c := &changes{DynamicPool: w.pool}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- lb.Must(NewSuspector(SuspectorConfig{Pool: c})).Run(ctx) }()
				w.send(100, 3*time.Second, "/")
				mend := make(chan struct{})
				w.change(0, func(s *service) { s.hangs = mend })
				w.send(100, time.Second, "/")
				if list, _ := c.told(); len(list) != 1 {
					t.Fatalf("%q", list)
				}
				tt.do(w, cancel)
				time.Sleep(tt.least + 2*time.Second)
				list, when := c.told()
				if len(list) != 2 || !strings.HasSuffix(list[1], ": "+tt.want) || when[1].Sub(when[0]) < tt.least {
					t.Errorf("%q at %v, want %q", list, when, tt.want)
				}
				close(mend)
				w.flying.Wait()
				cancel()
				if err := <-ended; err != nil || suspects(c) != "..." {
					t.Errorf("%v, %s", err, suspects(c))
				}
			})
		})
	}
}

// A process that was stopped itself blames nobody: however long that was, it is one look.
func TestSuspectOwnPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, rotate)
		c := &changes{DynamicPool: w.pool}
		s := lb.Must(NewSuspector(SuspectorConfig{Pool: c}))
		s.watched = map[string]*suspicion{}
		look := func(n int) {
			for range n {
				s.look(time.Now())
				w.send(100, 50*time.Millisecond, "/")
			}
		}
		look(60)
		mend := make(chan struct{})
		for i := range 2 { // so that one would be left
			w.change(i, func(s *service) { s.hangs = mend })
		}
		w.send(100, 100*time.Millisecond, "/")
		time.Sleep(time.Second) // nobody looks
		s.look(time.Now())
		s.look(time.Now())
		close(mend)
		for i := range 2 {
			w.change(i, func(s *service) { s.hangs = nil })
		}
		look(60)
		w.flying.Wait()
		if list, _ := c.told(); len(list) != 0 {
			t.Errorf("%q", list)
		}
	})
}

// Backends come and go, and nothing is kept of those that have gone.
func TestSuspectMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 9)
		s := lb.Must(NewSuspector(SuspectorConfig{Pool: pool}))
		stop := run(t, s)
		for round := range 20 {
			if err := pool.Replace(specs(9)[round%8:]...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if got := len(s.watched); got != pool.Snapshot().Len() {
				t.Fatalf("%d watched of %d", got, pool.Snapshot().Len())
			}
		}
		if err := s.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time was let in")
		}
		stop()
	})
}

func TestNewSuspectorFaults(t *testing.T) {
	_, err := NewSuspector(SuspectorConfig{Requests: -1, Patience: -1, Times: -1, MaxTime: -1, Interval: -1})
	for _, word := range []string{"Pool", "Requests", "Patience", "Times", "MaxTime", "Interval"} {
		if !strings.Contains(text(err), "health: SuspectorConfig."+word+" ") {
			t.Errorf("%s is not named in\n%v", word, err)
		}
	}
	if _, err := NewSuspector(SuspectorConfig{Pool: newPool(t, 1), Interval: time.Second}); err == nil {
		t.Error("an Interval above Patience passed")
	}
}
