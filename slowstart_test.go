package lb_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// weights are what each backend is picked with, in the order of their IDs.
func weights(b *lb.Balancer) string {
	var words []string
	for _, be := range b.Status().Backends {
		word := fmt.Sprintf("%s=%.2f", be.ID()[7:], be.Share)
		if be.Facts().Has(lb.Warming) {
			word += "w"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// Who warms, from when, and what observers hear of it: newcomers and those that come back, but nobody
// at the start.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := gates{}
		var told []string
		b, pool := balance(t, ok, lb.Config{
			Breakers: made.make, SlowStart: lb.SlowStart{Window: 10 * time.Second},
			Observers: []lb.Observer{{Change: func(c lb.Change) {
				told = append(told, fmt.Sprint(c.Backend.ID()[7:], " ", c.Before, ">", c.After, " ", c.Cause))
			}}},
		})
		expect := func(what, want string) {
			t.Helper()
			if got := weights(b); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		expect("at the start", "a=1.00 b=1.00 c=1.00")
		_ = pool.Add(lb.Spec{URL: "http://d", Weight: 4})
		expect("d is new", "a=1.00 b=1.00 c=1.00 d=0.40w")
		time.Sleep(5 * time.Second)
		pool.Mark("http://a", lb.Down, "refused")
		made["http://b"].state.Store(int32(lb.HalfOpen))
		pool.SetWeight("http://d", 8)
		expect("half of the window later, a and b go", "a=0.00 b=1.00 c=1.00 d=4.00w")
		time.Sleep(time.Second)
		pool.Clear("http://a", lb.Down, "answers")
		made["http://b"].state.Store(int32(lb.Closed))
		expect("they are back, and d goes on", "a=0.10w b=0.10w c=1.00 d=4.80w")
		time.Sleep(2 * time.Second)
		pool.Mark("http://a", lb.Down, "refused")
		b.Status()
		time.Sleep(2 * time.Second)
		pool.Clear("http://a", lb.Down, "answers")
		expect("a begins anew, b has 4 s, and d has the whole", "a=0.10w b=0.40w c=1.00 d=8.00")
		time.Sleep(10 * time.Second)
		expect("all have", "a=1.00 b=1.00 c=1.00 d=8.00")
		told = slices.DeleteFunc(told, func(s string) bool {
			return strings.HasSuffix(s, "fit>fit ") || strings.HasSuffix(s, "warming>warming ")
		}) // joined, and a weight
		want := []string{
			"d fit>warming slow start", "a fit>down refused", "a down>warming answers", "b fit>warming slow start",
			"a warming>down refused", "a down>warming answers", "d warming>fit slow start", "a warming>fit slow start", "b warming>fit slow start",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A picker is built anew in steps, driven by requests alone, and not more often.
func TestSlowStartHasSteps(t *testing.T) {
	for window, most := range map[time.Duration]int{10 * time.Second: 20, time.Second: 10, time.Minute: 20} {
		synctest.Test(t, func(t *testing.T) {
			var built []float64
			b, pool := balance(t, ok, lb.Config{SlowStart: lb.SlowStart{Window: window}, Policy: func(s lb.Set) lb.Picker {
				built = append(built, s.Eligible[len(s.Eligible)-1].Weight)
				return turns(s)
			}})
			get(b)
			_ = pool.Add(lb.URLs("http://d")...)
			for range 200 {
				get(b)
				synctest.Wait()
				time.Sleep(window / 100)
			}
			built = built[1:] // at the start
			if len(built) > most+1 || len(built) < most-1 || !slices.IsSorted(built) || built[len(built)-1] != 1 {
				t.Errorf("%v: built with %v", window, built)
			}
		})
	}
}

// Under load a newcomer's share stays within the curve, whatever the policy goes by, and it has its
// whole share in the end. That one request is the least that can be in flight is allowed for.
func TestSlowStartHoldsForEveryPolicy(t *testing.T) {
	for name, policy := range map[string]lb.Policy{
		"Weighted": picker.Weighted, "WeightedRandom": picker.WeightedRandom, "LeastLoaded": picker.LeastLoaded,
		"PowerOfTwo": picker.PowerOfTwo, "PeakEWMA": picker.PeakEWMA, "Adaptive": picker.Adaptive,
		"HashHeader": picker.HashHeader("X-None"), "Prefer": picker.Prefer(func(*lb.Backend) bool { return true }, picker.LeastLoaded),
	} {
		synctest.Test(t, func(t *testing.T) {
			const window, took, clients = 10 * time.Second, 100 * time.Millisecond, 60
			var asked, new [20]atomic.Int64 // per second
			start := time.Now()
			b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
				s := int(time.Since(start) / time.Second)
				asked[s].Add(1)
				if r.URL.Host == "d" {
					new[s].Add(1)
				}
				time.Sleep(took)
				return ok(r)
			}, lb.Config{Policy: policy, SlowStart: lb.SlowStart{Window: window}})
			b.Status()
			served(b, 1)
			start = time.Now()
			_ = pool.Add(lb.URLs("http://d")...)
			b.Status()
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					time.Sleep(time.Duration(i) * took / clients)
					for time.Since(start) < 15*time.Second {
						get(b)
					}
				})
			}
			all.Wait()
			for s := range 15 {
				f := min(1, max(0.1, float64(s+1)/10)) // at the end of that second
				if s == 14 {
					f = 1
				}
				n, mine := float64(asked[s].Load()), float64(new[s].Load())
				most := n*f/(3+f) + 4*math.Sqrt(n*f/(3+f)) + float64(time.Second/took)
				if mine > most {
					t.Errorf("%s: %v of %v requests in second %d, want at most %.0f", name, mine, n, s, most)
				}
				if s >= 12 && mine < n/8 {
					t.Errorf("%s: %v of %v requests in second %d, after the window", name, mine, n, s)
				}
			}
			mustBeIdle(t, b)
		})
	}
}

func TestSlowStartFaults(t *testing.T) {
	for want, s := range map[string]lb.SlowStart{
		"Window -1s": {Window: -time.Second}, "Aggression -1": {Window: 1, Aggression: -1}, "Aggression NaN": {Window: 1, Aggression: math.NaN()},
		"Least 1.5": {Window: 1, Least: 1.5}, "Window is zero": {Least: 0.2},
	} {
		_, err := lb.New(lb.Config{Pool: lb.Must(lb.NewPool()), Policy: first, SlowStart: s})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

// A change of weight is told, with both.
func TestWeightsAreTold(t *testing.T) {
	var told []string
	b, pool := balance(t, ok, lb.Config{Observers: []lb.Observer{{Change: func(c lb.Change) {
		told = append(told, fmt.Sprint(c.Backend.ID()[7:], c.Joined, c.Removed, c.WeightBefore, c.WeightAfter))
	}}}})
	b.Status()
	pool.SetWeight("http://a", 7)
	b.Status()
	_ = pool.Replace(lb.Spec{URL: "http://a", Weight: 3}, lb.Spec{URL: "http://b"})
	b.Status()
	b.Status()
	want := []string{"atrue false 0 1", "btrue false 0 1", "ctrue false 0 1", "afalse false 1 7", "cfalse true 1 0", "afalse false 7 3"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A backend that joins gets little at first.
func ExampleSlowStart() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "old", URL: "http://10.0.0.1"}))
	balancer := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: picker.LeastLoaded, SlowStart: lb.SlowStart{Window: 30 * time.Second},
	}))
	balancer.Status()
	_ = pool.Add(lb.Spec{ID: "new", URL: "http://10.0.0.2", Weight: 2})
	for _, b := range balancer.Status().Backends {
		fmt.Println(b.ID(), b.Facts(), b.Share)
	}
	// Output:
	// new warming 0.2
	// old fit 1
}
