package autoscale

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// TestMeter compares with requests that are known one by one, over takes at any time.
func TestMeter(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	m, now, last := meter{since: instant}, instant, instant
	var open []time.Time
	var want time.Duration // of those that ended
	var began, ended int64
	for range 20000 {
		now = now.Add(time.Duration(random.Int64N(int64(time.Second))))
		switch k := random.IntN(100); {
		case k < 50:
			m.begin(now.Sub(instant))
			open, began = append(open, now), began+1
		case k < 99 && len(open) > 0:
			i := random.IntN(len(open))
			m.end(now.Sub(instant))
			ended++
			want += now.Sub(later(open[i], last))
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		case k == 99:
			for _, at := range open {
				want += now.Sub(later(at, last))
			}
			if f := m.take(now); f != (flow{began, ended, want}) {
				t.Fatalf("%+v, want %+v", f, flow{began, ended, want})
			}
			last, want, began, ended = now, 0, 0, 0
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestMeterRace counts from many goroutines while somebody takes: nothing is lost.
func TestMeterRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Scaler
		s.meter = &meter{since: time.Now()}
		o := s.Observer()
		var wg sync.WaitGroup
		var sum time.Duration
		for range 50 {
			for range 4 {
				took := rand.N(30 * time.Second)
				sum += took
				wg.Go(func() {
					o.RequestStart(t.Context(), nil)
					time.Sleep(took)
					o.Request(lb.Summary{})
				})
			}
		}
		var all flow
		for range 40 {
			time.Sleep(time.Second)
			f := s.meter.take(time.Now())
			all = flow{all.begun + f.begun, all.ended + f.ended, all.busy + f.busy}
		}
		wg.Wait()
		if all != (flow{200, 200, sum}) {
			t.Errorf("%+v, want %+v", all, flow{200, 200, sum})
		}
	})
}

func TestObserverAllocatesNothing(t *testing.T) {
	s := lb.Must(New(Config{Pool: lb.Must(lb.NewPool()), Provider: new(cloud)}))
	o := s.Observer()
	if n := testing.AllocsPerRun(1000, func() {
		o.RequestStart(t.Context(), nil)
		o.Request(lb.Summary{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserver(b *testing.B) {
	s := lb.Must(New(Config{Pool: lb.Must(lb.NewPool()), Provider: new(cloud)}))
	o := s.Observer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o.RequestStart(context.Background(), nil)
			o.Request(lb.Summary{})
		}
	})
}

// TestScalerFeedsPlans sends requests of ten seconds through a real balancer, twenty at a time,
// and watches what the plan is told and what becomes of it.
func TestScalerFeedsPlans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Load
		spy := PlanFunc(func(l Load) int { seen = append(seen, l); return 0 })
		plan := lb.Must(Utilization(UtilizationConfig{Slots: 5, Utilization: 0.8}))
		x := begin(t, 1, Config{Plan: Largest(plan, spy), Max: 20}, &cloud{takes: 7 * time.Second})
		balancer := lb.Must(lb.New(lb.Config{Pool: x.pool, Policy: rotate, Transport: &slow{takes: 10 * time.Second}, Hosts: []string{"app"}, Observers: []lb.Observer{x.Observer()}}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for ctx.Err() == nil {
					send(t, balancer, http.Header{"Slow": {"yes"}})
				}
			})
		}
		time.Sleep(2 * time.Minute)
		if got := x.pool.Snapshot().Len(); got != 5 {
			t.Errorf("%d backends for 20 requests in flight, 4 each", got)
		}
		wg.Wait()
		for _, later := range []struct {
			after time.Duration
			want  int
		}{{4 * time.Minute, 5}, {2 * time.Minute, 4}, {4 * time.Minute, 1}} {
			time.Sleep(later.after)
			if got := x.pool.Snapshot().Len(); got != later.want {
				t.Errorf("%d backends %v later, want %d", got, later.after, later.want)
			}
		}
		x.stop()
		for _, l := range seen[5:300] {
			if l.Interval != 2*time.Second || math.Abs(l.Concurrency-20) > 1e-6 || l.Backends < 1 || l.Fit > l.Backends {
				t.Fatalf("%+v", l)
			}
		}
		if got := x.events.all[0].Reason; !strings.Contains(got, "begun/s") || !strings.Contains(got, "in flight") {
			t.Errorf("reason %q", got)
		}
		if got := fmt.Sprint(x.events); strings.Contains(got, "failed") {
			t.Error(got)
		}
	})
}
