package picker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// fleet is a pool of twelve backends in two zones and two tiers, each of which takes ten
// milliseconds for a request, and counts what reaches it.
type fleet struct {
	pool   *lb.DynamicPool
	counts map[string]*atomic.Int64
	most   atomic.Int64 // requests in flight at a time
	now    atomic.Int64
}

func spec(i int) lb.Spec {
	return lb.Spec{ID: fmt.Sprintf("b%02d", i), URL: fmt.Sprintf("http://b%02d", i), Labels: map[string]string{
		"zone": string("ab"[i%2]), "priority": fmt.Sprint(i / 8),
	}}
}

func newFleet(n int) *fleet {
	f := &fleet{counts: make(map[string]*atomic.Int64)}
	specs := make([]lb.Spec, n)
	for i := range specs {
		specs[i] = spec(i)
		f.counts[specs[i].ID] = new(atomic.Int64)
	}
	f.pool = lb.Must(lb.NewPool(specs...))
	return f
}

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	f.most.Store(max(f.most.Load(), f.now.Add(1)))
	defer f.now.Add(-1)
	f.counts[r.URL.Host].Add(1)
	time.Sleep(10 * time.Millisecond)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
}

func (f *fleet) balancer(policy lb.Policy) *lb.Balancer {
	return lb.Must(lb.New(lb.Config{Pool: f.pool, Policy: policy, Hosts: []string{"service"}, Transport: f}))
}

// send sends n requests, one each gap on average, and waits for all of them.
func send(t *testing.T, b *lb.Balancer, n int, gap time.Duration, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	var all sync.WaitGroup
	for range n {
		time.Sleep(time.Duration(rng.ExpFloat64() * float64(gap)))
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://service/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := b.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	all.Wait()
}

// by returns what reached the backends since it was last asked, by a label or by ID.
func (f *fleet) by(label string) map[string]int64 {
	got, snap := make(map[string]int64), f.pool.Snapshot()
	for i := range snap.Len() {
		b := snap.At(i)
		key := b.ID()
		if label != "" {
			key = b.Label(label)
		}
		got[key] += f.counts[b.ID()].Swap(0)
	}
	return got
}

// mark marks or clears those with a label.
func (f *fleet) mark(label, value string, down bool) {
	snap := f.pool.Snapshot()
	for i := range snap.Len() {
		b := snap.At(i)
		switch {
		case b.Label(label) != value:
		case down:
			f.pool.Mark(b.ID(), lb.Down, "test")
		default:
			f.pool.Clear(b.ID(), lb.Down, "test")
		}
	}
}

func idle(t *testing.T, f *fleet) {
	t.Helper()
	snap := f.pool.Snapshot()
	for i := range snap.Len() {
		if b := snap.At(i); b.InFlight() != 0 {
			t.Errorf("%s has %d requests in flight after all", b.ID(), b.InFlight())
		}
	}
}

// nested are policies for tiers, zones and subsets, around PowerOfTwo and one that learns nothing.
func nested() map[string]lb.Policy {
	subset := lb.Must(picker.Subset(picker.SubsetConfig{Size: 3, Salt: "x", Inner: picker.PowerOfTwo}))
	aperture := lb.Must(picker.Aperture(picker.ApertureConfig{Balancers: 3, Index: 1, Size: 2, Inner: picker.Weighted}))
	zones := func(inner lb.Policy) lb.Policy {
		return lb.Must(picker.ZoneAware(picker.ZoneAwareConfig{Local: "a", MinBackends: 2, Inner: inner}))
	}
	tiers := func(inner lb.Policy) lb.Policy {
		return lb.Must(picker.Priority(picker.PriorityConfig{Inner: inner}))
	}
	return map[string]lb.Policy{
		"Subset": subset, "Aperture": aperture, "ZoneAware": zones(picker.PowerOfTwo), "Priority": tiers(picker.PowerOfTwo),
		"Priority of ZoneAware of PowerOfTwo": tiers(zones(picker.PowerOfTwo)),
		"Priority of ZoneAware of Subset":     tiers(zones(subset)),
		"ZoneAware of Priority of Aperture":   zones(tiers(aperture)),
		"Subset of ZoneAware":                 lb.Must(picker.Subset(picker.SubsetConfig{Size: 8, Salt: "x", Inner: zones(picker.PeakEWMA)})),
	}
}

// While backends come, go, fall ill and recover under load, every request is answered, and nothing
// stays in flight.
func TestPoolsChangeUnderLoad(t *testing.T) {
	for name, policy := range nested() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(12)
				b := f.balancer(policy)
				var changes sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				changes.Go(func() { f.churn(ctx, t) })
				send(t, b, 3000, time.Millisecond, 1)
				cancel()
				changes.Wait()
				idle(t, f)
				if total := sum(f.by("")); total == 0 {
					t.Error("nothing reached those that are left")
				}
			})
		})
	}
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// churn changes the pool all the time, never leaving it without a backend.
func (f *fleet) churn(ctx context.Context, t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for ctx.Err() == nil {
		i := 1 + rng.IntN(11)
		switch id := spec(i).ID; rng.IntN(5) {
		case 0:
			f.pool.Mark(id, lb.Down, "test")
		case 1:
			f.pool.Mark(id, lb.Draining, "test")
		case 2:
			f.pool.Clear(id, lb.Down|lb.Draining, "test")
		case 3:
			f.pool.SetWeight(id, 1+rng.IntN(5))
		case 4:
			gone, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			err := f.pool.Remove(gone, id) // also if some request takes longer than that
			cancel()
			if f.pool.Snapshot().Find(id) == nil || err == nil {
				if err := f.pool.Add(spec(i)); err != nil {
					t.Error(err)
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// Requests follow the health of the tiers, and return to their zone when it recovers.
func TestRequestsFollowTiersAndZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(12) // tier 0 has four in each zone, tier 1 has two
		zones := lb.Must(picker.ZoneAware(picker.ZoneAwareConfig{Local: "a", MinBackends: 2, Inner: picker.PowerOfTwo}))
		b := f.balancer(lb.Must(picker.Priority(picker.PriorityConfig{Inner: zones})))
		step := func(what string, tier0, zoneA float64) {
			t.Helper()
			send(t, b, 1, 0, 1) // notices what has changed
			synctest.Wait()
			f.by("")
			send(t, b, 4000, time.Millisecond, 2)
			var first, local float64
			for id, n := range f.by("") {
				be := f.pool.Snapshot().Find(id)
				if be.Label("priority") == "0" {
					first += float64(n) / 4000
				}
				if be.Label("zone") == "a" {
					local += float64(n) / 4000
				}
			}
			if first < tier0-0.03 || first > tier0+0.03 || local < zoneA-0.03 || local > zoneA+0.03 {
				t.Errorf("%s: tier 0 gets %.3f, zone a %.3f; want %.3f and %.3f", what, first, local, tier0, zoneA)
			}
		}
		step("all are well", 1, 1)
		f.pool.Mark("b00", lb.Down, "test")
		f.pool.Mark("b02", lb.Down, "test")
		// Six of eight: a has a third of the room and half of the traffic, and sends a third away.
		step("two of zone a down", 1, 2./3)
		f.pool.Mark("b04", lb.Down, "test")
		f.pool.Mark("b01", lb.Down, "test")
		// Four of eight: 1.4 halves stay; of them a has a quarter of the room: half stays at home.
		step("half of tier 0 down", 0.7, 0.7*0.5+0.3)
		f.mark("priority", "0", true)
		step("tier 0 down", 0, 1)
		f.mark("priority", "0", false)
		step("all are well again", 1, 1)
		idle(t, f)
	})
}

// A fleet of balancers with apertures gives all backends the same: exactly with Weighted, and
// nearly with PowerOfTwo, which sees its own balancer's requests only.
func TestAperturesShareBackendsEvenly(t *testing.T) {
	for name, c := range map[string]struct {
		inner lb.Policy
		bound float64
	}{"Weighted": {picker.Weighted, 1.01}, "PowerOfTwo": {picker.PowerOfTwo, 1.2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const balancers, each = 10, 1500
				f := newFleet(34)
				var all sync.WaitGroup
				for i := range balancers {
					b := f.balancer(lb.Must(picker.Aperture(picker.ApertureConfig{Balancers: balancers, Index: i, Size: 4, Inner: c.inner})))
					all.Go(func() { send(t, b, each, time.Millisecond, uint64(i)) })
				}
				all.Wait()
				most, mean := 0.0, float64(balancers*each)/34
				for _, n := range f.by("") {
					most = max(most, float64(n)/mean)
				}
				t.Logf("max/avg %.4f, up to %d in flight", most, f.most.Load())
				if most > c.bound {
					t.Errorf("max/avg %.4f, want at most %.2f", most, c.bound)
				}
				idle(t, f)
			})
		})
	}
}
