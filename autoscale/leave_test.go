package autoscale

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// named sends each request to the backend that its header To names.
func named(s lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		for _, c := range s.Eligible {
			if c.ID() == info.Request.Header.Get("To") {
				return c.Backend
			}
		}
		return nil
	})
}

// wanting is a plan that wants what it is told to.
func wanting(n *atomic.Int64) PlanFunc { return func(Load) int { return int(n.Load()) } }

// swift obeys a function at once.
func swift(f PlanFunc) Plan { return Largest(f) }

// TestWhoGoes has launched backends in zones, with requests in flight and with facts, and takes
// some of them away.
func TestWhoGoes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		zones string // of c0 and of l1, l2, ...; - is none
		busy  string // the backend of each request in flight
		unfit string
		want  int
		ended string // in any order
	}{
		{"the newest of equals", "- - - -", "", "", 3, "l3"},
		{"the least busy", "- - - -", "l3 l3 l2", "", 3, "l1"},
		{"and then the next", "- - - -", "l3 l3 l1", "", 2, "l1 l2"},
		{"what is unfit", "- - - -", "l2", "l2", 3, "l2"},
		{"all that was launched", "- - - -", "l1 l2", "", 1, "l1 l2 l3"},
		{"nobody from configuration", "- - - -", "l1 l2", "", 0, "l1 l2 l3"},
		{"not the last fit one", "- - - -", "", "c0", 1, "l2 l3"},
		{"not the last one of a zone", "a b a c", "l2", "", 2, "l2"},
		{"nor the last fit one of a zone", "a b b b", "l1", "l2 l3", 1, "l2 l3"},
		{"one of each zone is left", "a a a b b b", "", "", 1, "l1 l2 l4 l5"},
		{"none where all are unfit", "- - -", "", "c0 l1 l2", 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zones := strings.Fields(strings.ReplaceAll(tt.zones, "-", "none"))
				cfg, n := Config{Interval: 15 * time.Second, Min: 1}, new(atomic.Int64)
				n.Store(int64(len(zones)))
				cfg.Plan = swift(wanting(n))
				x := begin(t, 0, cfg, &cloud{faulty: func(i int) (lb.Spec, error) {
					return lb.Spec{ID: fmt.Sprintf("l%d", i), URL: fmt.Sprintf("http://10.1.0.%d", i), Labels: map[string]string{"zone": zones[i%len(zones)]}}, nil
				}})
				defer x.stop()
				x.own("c0", zones[0])
				balancer := lb.Must(lb.New(lb.Config{Pool: x.pool, Policy: named, Transport: &slow{takes: 10 * time.Second}, Hosts: []string{"app"}}))
				send(t, balancer, http.Header{"To": {"c0"}})
				var wg sync.WaitGroup
				defer wg.Wait()
				time.Sleep(10 * time.Second)
				for id := range strings.FieldsSeq(tt.busy) {
					wg.Go(func() { send(t, balancer, http.Header{"To": {id}, "Slow": {"yes"}}) })
				}
				synctest.Wait()
				for id := range strings.FieldsSeq(tt.unfit) {
					x.pool.Mark(id, lb.Down, "test")
				}
				n.Store(int64(tt.want))
				x.interval()
				_, ended := x.cloud.state()
				got := strings.Fields(ended)
				slices.Sort(got)
				if s := strings.Join(got, " "); s != tt.ended {
					t.Errorf("went: %s, want %s", s, tt.ended)
				}
			})
		})
	}
}

// own makes a launched backend, the newest, one from configuration.
func (x *set) own(id, zone string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	last := fmt.Sprintf("l%d", len(x.launched))
	x.launched = slices.DeleteFunc(x.launched, func(id string) bool { return id == last })
	x.cloud.mu.Lock()
	x.cloud.running = slices.DeleteFunc(x.cloud.running, func(id string) bool { return id == last })
	x.cloud.mu.Unlock()
	slices.Sort(x.launched) // they came all at once
	specs := []lb.Spec{{ID: id, URL: "http://10.0.0.1", Labels: map[string]string{"zone": zone}}}
	for i := range x.pool.Snapshot().Len() {
		if spec := x.pool.Snapshot().At(i).Spec(); spec.ID != last {
			specs = append(specs, spec)
		}
	}
	if err := x.pool.Replace(specs...); err != nil {
		x.cloud.t.Error(err)
	}
}

// TestBackoff has launches fail for five minutes.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, n := time.Now(), new(atomic.Int64)
		n.Store(5)
		var mu sync.Mutex
		var tries []string
		cfg := Config{Plan: swift(wanting(n)), Interval: time.Second, Min: 1}
		x := begin(t, 1, cfg, &cloud{faulty: func(i int) (lb.Spec, error) {
			at := time.Since(begun).Round(time.Second)
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, at.String())
			if at < 5*time.Minute {
				return lb.Spec{}, errors.New("no")
			}
			return lb.Spec{ID: fmt.Sprintf("l%d", i), URL: fmt.Sprintf("http://10.1.0.%d", i)}, nil
		}})
		time.Sleep(time.Hour)
		x.stop()
		mu.Lock()
		defer mu.Unlock()
		// Four at once, then one after 10s, 20s, 40s and so on, and when it is well, the rest.
		if got, want := strings.Join(tries, " "), "0s 0s 0s 0s 10s 30s 1m10s 2m30s 5m10s 5m11s 5m11s 5m11s"; got != want {
			t.Errorf("tries at %s, want %s", got, want)
		}
	})
	var b backoff
	for i := range 20 {
		next := b.failed(instant.Add(time.Duration(i)*time.Hour), time.Second)
		if wait := next.until.Sub(instant.Add(time.Duration(i) * time.Hour)); wait > 30*time.Second || wait < min(30*time.Second, time.Second<<i) {
			t.Errorf("%v after %d failures", wait, i+1)
		}
		b = next
	}
}
