package picker_test

import (
	"net/http"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Inside a balancer, too, sixty requests land exactly 30, 20 and 10, whenever its view is built
// anew meanwhile.
func TestSharesAreExactInABalancer(t *testing.T) {
	specs := []lb.Spec{{URL: "http://a", Weight: 3}, {URL: "http://b", Weight: 2}, {URL: "http://c", Weight: 1}}
	for every := 1; every <= 20; every++ {
		pool := lb.Must(lb.NewPool(specs...))
		got := make(map[string]int)
		balancer := lb.Must(lb.New(lb.Config{
			Pool:   pool,
			Policy: picker.Weighted,
			Hosts:  []string{"service"},
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got[r.URL.Host]++
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}),
		}))
		for i := range 60 {
			if i%every == 0 {
				if err := pool.Replace(specs...); err != nil {
					t.Fatal(err)
				}
			}
			req, err := http.NewRequest(http.MethodGet, "http://service/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := balancer.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		if got["a"] != 30 || got["b"] != 20 || got["c"] != 10 {
			t.Errorf("a new view every %d requests: %v", every, got)
		}
	}
}
