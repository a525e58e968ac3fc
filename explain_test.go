package lb_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// explained is a picker that notes what it is asked.
type explained struct {
	lb.Picker
	asked *lb.PickInfo
	set   []lb.Candidate
}

func (e explained) Explain(info lb.PickInfo) []lb.Score {
	*e.asked = info
	return []lb.Score{{Backend: e.set[0].Backend, Why: "the only one"}}
}

// A picker is asked as for a request from the same client; nothing is counted.
func TestExplainAsksThePicker(t *testing.T) {
	var asked lb.PickInfo
	pool := lb.Must(lb.NewPool(lb.URLs("http://a")...))
	b := lb.Must(lb.New(lb.Config{
		Pool:           pool,
		Policy:         func(set lb.Set) lb.Picker { return explained{first(set), &asked, set.Eligible} },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Observers:      []lb.Observer{{Request: func(lb.Summary) { t.Error("a request was counted") }}},
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:99"
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	scores := b.Explain(r)
	if len(scores) != 1 || scores[0].Backend.ID() != "http://a" {
		t.Fatalf("%+v", scores)
	}
	if asked.Request != r || asked.ClientIP != netip.MustParseAddr("192.0.2.7") || !asked.Trusted || asked.Now.IsZero() {
		t.Errorf("asked with %+v", asked)
	}
	if s := b.Status(); s.Active != 0 || s.Backends[0].InFlight() != 0 {
		t.Errorf("%+v", s)
	}
	pool.Mark("http://a", lb.Draining, "test")
	if got := b.Explain(r); got != nil {
		t.Errorf("nobody is eligible, and it is explained as %+v", got)
	}
}

func TestExplainOfASilentPicker(t *testing.T) {
	b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs("http://a")...)), Policy: first}))
	if got := b.Explain(httptest.NewRequest(http.MethodGet, "/", nil)); got != nil {
		t.Errorf("%+v", got)
	}
}

// Who would get a request, and why.
func ExampleBalancer_Explain() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "blue", URL: "http://10.0.0.1"}, lb.Spec{ID: "green", URL: "http://10.0.0.2", Weight: 3}))
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.LeastLoaded}))
	for _, s := range balancer.Explain(&http.Request{}) {
		fmt.Println(s.Backend.ID(), s.Score, s.Why)
	}
	// Output:
	// blue 0 0 in flight for weight 1
	// green 0 0 in flight for weight 3
}
