package lb_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// DynamicPool passes the kit by which users prove their own pools.
func TestDynamicPoolPassesTheKit(t *testing.T) {
	specs := lb.URLs("http://c", "http://a", "http://b")
	p := lb.Must(lb.NewPool(specs...))
	changes := []func(){
		func() { _ = p.Replace(specs...) },
		func() { _ = p.Add(specs[0]) },
		func() { _ = p.Add(lb.Spec{ID: "d", URL: "http://d", Labels: map[string]string{"zone": "a"}}) },
		func() { _ = p.Add(lb.Spec{ID: "d", URL: "http://d", Labels: map[string]string{"zone": "b"}}) },
		func() { _ = p.Add(lb.Spec{ID: "d", URL: "http://e", MaxInFlight: 3, ServerName: "e"}) },
		func() { _ = p.Add(lb.Spec{ID: "x", URL: "nonsense"}) },
		func() { p.Mark("d", lb.Down, "lost") },
		func() { p.Mark("d", lb.Down, "still lost") },
		func() { p.SetWeight("d", 9) },
		func() { p.SetWeight("d", 9) },
		func() { p.SetWeight("unknown", 9) },
		func() { p.Clear("d", lb.Down, "found") },
		func() { _ = p.Remove(t.Context(), "d") },
		func() { _ = p.Remove(t.Context(), "d") },
		func() { _ = p.Replace() },
		func() { _ = p.Replace() },
	}
	if err := lbtest.TestPool(p, changes...); err != nil {
		t.Error(err)
	}
}

// sometimes panics at every third call.
type sometimes struct {
	calls atomic.Int64
	never bool
}

func (s *sometimes) panics() {
	if !s.never && s.calls.Add(1)%3 == 0 {
		panic("a part of the program's own")
	}
}

// fragile is a breaker that panics at times where it is told to.
type fragile struct{ allow, done, status *sometimes }

func (f fragile) Allow() (lb.Permit, bool) { f.allow.panics(); return 0, true }
func (f fragile) Done(lb.Permit, lb.Outcome) {
	f.done.panics()
}
func (f fragile) Status() (lb.BreakerState, time.Time) {
	f.status.panics()
	return lb.Closed, time.Time{}
}

// never does not panic.
func never() *sometimes { return &sometimes{never: true} }

// loose is a session key that panics when it writes.
type loose struct{ write *sometimes }

func (l loose) Read(*http.Request) (session, backend string)     { return "s", "" }
func (l loose) Write(http.Header, *http.Request, string, string) { l.write.panics() }

func TestBalancerPassesTheKit(t *testing.T) {
	for name, edit := range map[string]func(*lb.Config){
		"plain":      func(*lb.Config) {},
		"no retries": func(c *lb.Config) { c.Retries = -1 },
		"limits": func(c *lb.Config) {
			c.Retries = 2
			c.Pool = lb.Must(lb.NewPool(lb.Spec{URL: "http://a", MaxInFlight: 1}, lb.Spec{URL: "http://b", MaxInFlight: 1}))
		},
		"picker panics": func(c *lb.Config) {
			s := new(sometimes)
			inner := c.Policy
			c.Policy = func(set lb.Set) lb.Picker {
				p := inner(set)
				return lb.PickFunc(func(i lb.PickInfo) *lb.Backend { s.panics(); return p.Pick(i) })
			}
		},
		"classifier panics": func(c *lb.Config) {
			s := new(sometimes)
			c.Classify = func(*http.Response, error) lb.Outcome { s.panics(); return lb.Success }
		},
		"Allow panics": func(c *lb.Config) {
			f := fragile{new(sometimes), never(), never()}
			c.Breakers = func(*lb.Backend) lb.Breaker { return f }
		},
		"Done panics": func(c *lb.Config) {
			f := fragile{never(), new(sometimes), never()}
			c.Breakers = func(*lb.Backend) lb.Breaker { return f }
		},
		"session key panics": func(c *lb.Config) { c.SessionKey = loose{new(sometimes)} },
		"observer panics": func(c *lb.Config) {
			s := new(sometimes)
			c.Observers = []lb.Observer{{Attempt: func(lb.Result) { s.panics() }}}
		},
		"summary panics": func(c *lb.Config) {
			s := new(sometimes)
			c.Observers = []lb.Observer{{Request: func(lb.Summary) { s.panics() }}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := lbtest.TestBalancer(func(transport http.RoundTripper) (*lb.Balancer, error) {
				cfg := lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...)), Policy: first, Hosts: []string{"lbtest"}, Transport: transport}
				edit(&cfg)
				return lb.New(cfg)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := lbtest.TestBalancer(func(http.RoundTripper) (*lb.Balancer, error) { return nil, errors.New("no") }); err == nil {
		t.Error("no complaint of a balancer that cannot be made")
	}
}
