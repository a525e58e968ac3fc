package lbtest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// A picker is tried on backends with any load, without a server anywhere.
func ExampleBackend() {
	busy := lbtest.Backend(lb.Spec{ID: "busy"}, lb.Load{InFlight: 9, Latency: 20 * time.Millisecond})
	idle := lbtest.Backend(lb.Spec{ID: "idle"})
	fmt.Println(idlest(lbtest.Set(busy, idle)).Pick(lb.PickInfo{}).ID())
	// Output: idle
}

// idlest picks who has the fewest requests in flight. Its picker keeps the members, not the whole
// set: that would keep its predecessor, too.
func idlest(set lb.Set) lb.Picker {
	members := set.Eligible
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		best := members[0].Backend
		for _, c := range members {
			if c.InFlight() < best.InFlight() {
				best = c.Backend
			}
		}
		return best
	})
}

// A policy is held to what it promises. This one gives less to a busier backend, but those that
// are idle do not get the same.
func ExampleTestPolicy() {
	fmt.Println(lbtest.TestPolicy(idlest, lbtest.Traits{Loads: lbtest.Lighter}))
	err := lbtest.TestPolicy(idlest, lbtest.Traits{Loads: lbtest.Lighter, Shares: lbtest.Fair})
	complaint, _, _ := strings.Cut(err.Error(), " (chi-square")
	fmt.Println(complaint)
	// Output:
	// <nil>
	// lbtest: shares are as promised: weights [1 1]: got [2000 0] picks, want about [1000.0 1000.0]
}

// A store that keeps sessions in a map, for one process and for ever.
func ExampleTestSessionStore() {
	err := lbtest.TestSessionStore(func() lb.SessionStore { return &table{at: make(map[string]string)} }, lbtest.StoreTraits{})
	fmt.Println(err)
	// Output: <nil>
}

type table struct {
	mu sync.Mutex
	at map[string]string
}

func (t *table) Lookup(_ context.Context, session string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[session], nil
}

func (t *table) Bind(_ context.Context, session, from, to string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.at[session]; now == "" || now == from {
		t.at[session] = to
	}
	return t.at[session], nil
}

func (t *table) Forget(_ context.Context, session string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.at, session)
	return nil
}

// A breaker is tried in a bubble, in which hours cost nothing. In a test:
//
//	synctest.Test(t, func(t *testing.T) {
//		if err := lbtest.TestBreaker(mine, lbtest.BreakerTraits{}); err != nil {
//			t.Error(err)
//		}
//	})
//
// Without one, Pass lets a clock of the program's own go on.
func ExampleTestBreaker() {
	err := lbtest.TestBreaker(func() lb.Breaker { return wire{} }, lbtest.BreakerTraits{Pass: func(time.Duration) {}})
	complaint, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Println(complaint)
	// Output: lbtest: it is closed at first, and opens: after 2000 failures in a row it is closed
}

// wire lets everything pass.
type wire struct{}

func (wire) Allow() (lb.Permit, bool)             { return 0, true }
func (wire) Done(lb.Permit, lb.Outcome)           {}
func (wire) Status() (lb.BreakerState, time.Time) { return lb.Closed, time.Time{} }

func ExampleTestPool() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...))
	err := lbtest.TestPool(pool,
		func() { pool.SetWeight("http://10.0.0.1:8080", 3) },
		func() { _ = pool.Replace() },
	)
	fmt.Println(err)
	// Output: <nil>
}

// A balancer is tried with everything that a program puts into it.
func ExampleTestBalancer() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...))
	err := lbtest.TestBalancer(func(transport http.RoundTripper) (*lb.Balancer, error) {
		return lb.New(lb.Config{Pool: pool, Policy: idlest, Hosts: []string{"lbtest"}, Transport: transport})
	})
	fmt.Println(err)
	// Output: <nil>
}
