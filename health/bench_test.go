package health

import (
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// What a result costs the request that brings it.
func BenchmarkEjector(b *testing.B) {
	pool := newPool(b, 100)
	ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool}))
	ejector.records.Store(new(map[string]*record)) // as Run does
	ejector.look(time.Now())
	res := lb.Result{Backend: pool.Snapshot().At(50), Outcome: lb.Success, Status: 200}
	for b.Loop() {
		ejector.attempt(res)
	}
}

// What a look at a thousand backends costs, and what it costs to compare them.
func BenchmarkLook(b *testing.B) {
	pool := newPool(b, 1000)
	s := lb.Must(NewSuspector(SuspectorConfig{Pool: pool}))
	s.watched = map[string]*suspicion{}
	b.Run("Suspector", func(b *testing.B) {
		for b.Loop() {
			s.look(time.Now())
		}
	})
	ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool}))
	ejector.records.Store(new(map[string]*record)) // as Run does
	b.Run("Ejector", func(b *testing.B) {
		for b.Loop() {
			for _, r := range *ejector.records.Load() {
				r.results.Add(200)
			}
			ejector.next = time.Time{}
			ejector.look(time.Now())
		}
	})
}
