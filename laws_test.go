package lb_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/go-loadbalancer/lb"
)

// fate is what becomes of a request's tries, one after the other, and of the client's patience.
type fate struct {
	tries  []string
	method string
	leaves time.Duration // zero: never
	direct bool
	tried  *atomic.Int64
}

// fated is the key of a request's fate.
type fated struct{}

var fates = rapid.Custom(func(t *rapid.T) fate {
	return fate{
		tries:  rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "slow", "dial", "reset", "503", "panic", "hang", "cut off"}), 1, 3).Draw(t, "tries"),
		method: rapid.SampledFrom([]string{"GET", "GET", "POST"}).Draw(t, "method"),
		leaves: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 30}).Draw(t, "leaves")) * time.Millisecond,
		direct: rapid.Bool().Draw(t, "direct"),
		tried:  new(atomic.Int64),
	}
})

// Whatever becomes of requests, with retries, hedges and a queue, while backends come, go, drain and change:
// in flight is never below zero nor above the limit, and at rest nothing is, nobody waits, and nobody is
// waited for; and no more was tried again than a fifth and ten.
func TestCountsAtAllTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, countsAtAllTimes) })
}

func countsAtAllTimes(t *rapid.T) {
	var asked atomic.Int64
	limits := map[string]int{}
	for _, id := range []string{"a", "b", "c"} {
		limits[id] = rapid.IntRange(0, 3).Draw(t, "limit of "+id)
	}
	spec := func(id string) lb.Spec { return lb.Spec{ID: id, URL: "http://" + id, MaxInFlight: limits[id]} }
	pool := lb.Must(lb.NewPool(spec("a"), spec("b"), spec("c")))
	var queue lb.Queue
	if n := rapid.IntRange(0, 9).Draw(t, "queue"); n > 0 {
		queue = lb.Queue{Length: n, Timeout: time.Second}
	}
	b := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: turns, Hosts: []string{"shop"}, Queue: queue,
		Retries: rapid.IntRange(0, 3).Draw(t, "retries"), Retry: lb.Retry{Statuses: []int{503}, TryTimeout: 100 * time.Millisecond},
		Hedge: lb.Hedge{After: time.Duration(rapid.IntRange(0, 2).Draw(t, "hedge")) * 5 * time.Millisecond},
		Transport: backends(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			f := r.Context().Value(fated{}).(fate)
			return suffer(f.tries[int(f.tried.Add(1)-1)%len(f.tries)], r)
		}),
	}))
	var all sync.WaitGroup
	defer func() { // also if rapid ends it in the middle
		all.Wait()
		time.Sleep(time.Second) // for those who were slower than a hedge
	}()
	requests := 0
	t.Repeat(map[string]func(*rapid.T){
		"requests": func(t *rapid.T) {
			for _, f := range rapid.SliceOfN(fates, 1, 30).Draw(t, "fates") {
				requests++
				all.Go(func() { f.send(b) })
			}
		},
		"time": func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond) },
		"change": func(t *rapid.T) {
			id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				pool.Mark(id, rapid.SampledFrom([]lb.Facts{lb.Down, lb.Draining, lb.Suspect}).Draw(t, "fact"), "test")
			case 1:
				pool.Clear(id, lb.Down|lb.Draining|lb.Suspect, "test")
			case 2:
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				_ = pool.Remove(ctx, id)
				cancel()
			default:
				_ = pool.Add(spec(id))
			}
		},
		"": func(t *rapid.T) {
			synctest.Wait()
			snap := pool.Snapshot() // and no Status, which would build the view that requests need
			for i := range snap.Len() {
				be := snap.At(i)
				n, most := be.InFlight(), int64(limits[be.ID()])
				if n < 0 || most > 0 && n > most || be.Tally().Waiting() < 0 {
					t.Errorf("%s has %d in flight of %d, and %d wait", be.ID(), n, most, be.Tally().Waiting())
				}
			}
		},
	})
	all.Wait()
	time.Sleep(time.Second)
	s := b.Status()
	if s.Active != 0 || s.Queued != 0 {
		t.Errorf("at rest %d are active, and %d queued", s.Active, s.Queued)
	}
	for _, be := range s.Backends {
		if be.InFlight() != 0 || be.Tally().Waiting() != 0 {
			t.Errorf("at rest %s has %d in flight, and %d wait", be.ID(), be.InFlight(), be.Tally().Waiting())
		}
	}
	if most := requests + requests/5 + 10; asked.Load() > int64(most) {
		t.Errorf("%d tries for %d requests, want at most %d", asked.Load(), requests, most)
	}
}

// send sends a request through a balancer and reads its answer.
func (f fate) send(b *lb.Balancer) {
	ctx, leave := context.WithCancel(context.WithValue(context.Background(), fated{}, f))
	defer leave()
	if f.leaves > 0 {
		ctx, leave = context.WithTimeout(ctx, f.leaves)
		defer leave()
	}
	defer func() { _ = recover() }()
	r := httptest.NewRequest(f.method, "http://shop/", nil).WithContext(ctx)
	if !f.direct {
		serve(b, r)
		return
	}
	if resp, err := b.RoundTrip(r); err == nil {
		_, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
}

// suffer is one try of that kind.
func suffer(kind string, r *http.Request) (*http.Response, error) {
	switch kind {
	case "slow":
		time.Sleep(15 * time.Millisecond)
	case "dial":
		return nil, errDial
	case "reset":
		return nil, io.EOF
	case "503":
		return respond(503, r.URL.Host), nil
	case "panic":
		panic(http.ErrAbortHandler)
	case "hang":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case "cut off":
		resp := respond(200, r.URL.Host)
		resp.Body, resp.ContentLength = io.NopCloser(io.MultiReader(resp.Body, cutOff{})), 99
		return resp, nil
	}
	return ok(r)
}

// cutOff is the end of a body that has none.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Whatever the curve, and whenever backends go and come back: what a backend is picked with is its weight by
// the curve, at most a step behind, and it has its whole weight after the window.
func TestWeightsFollowTheCurve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, weightsFollowTheCurve) })
}

func weightsFollowTheCurve(t *rapid.T) {
	s := lb.SlowStart{
		Window:     time.Duration(rapid.IntRange(1, 60_000).Draw(t, "Window")) * time.Millisecond,
		Aggression: rapid.Float64Range(0.1, 10).Draw(t, "Aggression"), Least: rapid.SampledFrom([]float64{0.01, 0.1, 0.7}).Draw(t, "Least"),
	}
	step := max(s.Window/20, 100*time.Millisecond)
	share := func(age time.Duration) float64 { // as Envoy's documentation has it
		if age >= s.Window {
			return 1
		}
		return max(s.Least, math.Pow(float64(max(0, age))/float64(s.Window), 1/s.Aggression))
	}
	var specs []lb.Spec
	since := map[string]time.Time{} // when it began to warm; the zero time: it did not
	for i := range rapid.IntRange(1, 5).Draw(t, "backends") {
		specs = append(specs, lb.Spec{ID: fmt.Sprint(i), URL: "http://a", Weight: rapid.IntRange(1, 100).Draw(t, "weight")})
	}
	pool := lb.Must(lb.NewPool(specs...))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: turns, Transport: backends(ok), SlowStart: s}))
	b.Status()
	id := rapid.IntRange(0, len(specs)-1)
	t.Repeat(map[string]func(*rapid.T){
		"out": func(t *rapid.T) {
			pool.Mark(fmt.Sprint(id.Draw(t, "id")), rapid.SampledFrom([]lb.Facts{lb.Down, lb.Ejected, lb.Draining}).Draw(t, "fact"), "test")
		},
		"back": func(t *rapid.T) {
			id := fmt.Sprint(id.Draw(t, "id"))
			b.Status() // it has been seen to be out
			if pool.Clear(id, lb.Down|lb.Ejected|lb.Draining, "test") {
				since[id] = time.Now()
			}
		},
		"anew": func(t *rapid.T) {
			at := id.Draw(t, "id")
			_ = pool.Remove(context.Background(), fmt.Sprint(at))
			b.Status()
			_ = pool.Add(specs[at])
			since[fmt.Sprint(at)] = time.Now()
		},
		"time":    func(t *rapid.T) { time.Sleep(s.Window * time.Duration(rapid.IntRange(0, 30).Draw(t, "percent")) / 100) },
		"request": func(*rapid.T) { get(b); synctest.Wait() },
		"": func(t *rapid.T) {
			for _, be := range b.Status().Backends {
				w, age := float64(be.Weight()), time.Since(since[be.ID()])
				least, most := w*share(age-step), w*share(age)
				const rounding = 1e-9
				switch {
				case !be.Facts().Fit(): // warms afterwards; the last resort has its whole weight
					if be.Share != 0 && be.Share != w {
						t.Errorf("%s is out, and picked with %v of %v", be.ID(), be.Share, w)
					}
				case be.Share < least-rounding*w || be.Share > most+rounding*w:
					t.Errorf("%s is picked with %v after %v, want %v to %v", be.ID(), be.Share, age, least, most)
				case be.Facts().Has(lb.Warming) && age >= s.Window+step:
					t.Errorf("%s is warming after %v", be.ID(), age)
				}
			}
		},
	})
}
