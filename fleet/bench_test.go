package fleet

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func observed(t testing.TB) (*Fleet, func(lb.Result), []lb.Result) {
	pool := lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...))
	f := lb.Must(New(Config{Pool: pool, URL: "redis://127.0.0.1:1", Secret: secret}))
	var results []lb.Result
	for i := range 3 {
		b := pool.Snapshot().At(i)
		results = append(results, lb.Result{Backend: b, Outcome: lb.Success, Latency: time.Millisecond},
			lb.Result{Backend: b, Outcome: lb.Failure, Latency: time.Millisecond})
	}
	results = append(results, lb.Result{Backend: lbtest.Backend(lb.Spec{ID: "unknown"}), Outcome: lb.Failure})
	return f, f.Observer().Attempt, results
}

// A result allocates nothing, and does not wait for whoever holds the lock.
func TestAResultWaitsForNothing(t *testing.T) {
	f, attempt, results := observed(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := testing.AllocsPerRun(1000, func() {
		for _, r := range results {
			attempt(r)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	b := results[0].Backend
	f.Observer().Change(lb.Change{Backend: b, BreakerAfter: lb.Open})
	if n := f.meet(b.ID()).tripping.Load(); n != 1 {
		t.Errorf("%d breakers are open", n)
	}
}

func BenchmarkAttempt(b *testing.B) {
	_, attempt, results := observed(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			attempt(results[i%6/2*2])
		}
	})
}

// A look at 1,000 backends, of which 7 others speak.
func BenchmarkLook(b *testing.B) {
	var specs []lb.Spec
	for _, m := range court(1000, 0).matters {
		specs = append(specs, lb.Spec{ID: m.id, URL: "http://" + m.id})
	}
	pool := lb.Must(lb.NewPool(specs...))
	f := lb.Must(New(Config{Pool: pool, URL: "redis://127.0.0.1:1", Secret: secret}))
	for i := range 7 {
		m := message{from: from(i), sequence: 1, at: time.Now().UnixMilli()}
		for _, spec := range specs[:500] {
			m.lines = append(m.lines, line{spec.ID, failWord(1)})
		}
		f.receive(parcel{message: string(f.peers.codec.seal(m, time.Now()))})
	}
	h := newHub()
	for b.Loop() {
		f.look(&wire{h}, time.Now())
	}
}

// What Stats and Backends say before, while and after it runs, and that only one Run is allowed.
func TestOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := observed(t)
		f.open = opener(newHub())
		if s := f.Stats(); s.Instances != 1 || !s.Down || len(f.Backends()) != 3 {
			t.Errorf("%+v", s)
		}
		for range 2 {
			ctx, cancel := contextOf(t)
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()
			time.Sleep(2500 * time.Millisecond)
			if err := f.Run(ctx); err == nil {
				t.Error("two run")
			}
			if s := f.Stats(); s.Down || s.Sent < 2 || s.Dropped.Own < 2 {
				t.Errorf("%+v", s)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
