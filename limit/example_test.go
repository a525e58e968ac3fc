package limit_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"sync"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/picker"
)

func Example() {
	limiter, err := limit.New(limit.Config{
		Rate:           1,
		Burst:          2,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		OnLimited:      func(r *http.Request) { fmt.Println("limited:", r.RemoteAddr) },
	})
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}) // or a balancer
	handler := limiter.Wrap(hello)
	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d %q\n", w.Code, w.Header().Get("Retry-After"))
	}
	fmt.Println("clients:", limiter.Clients())
	// Output:
	// 200 ""
	// 200 ""
	// limited: 192.0.2.1:1234
	// 429 "1"
	// clients: 1
}

// Each backend gets a limit that follows its latency, before its breaker.
func ExampleNewBackends() {
	limits, err := limit.NewBackends(limit.AdaptiveConfig{}, lb.Must(breaker.New(breaker.Config{})))
	if err != nil {
		log.Fatal(err)
	}
	balancer, err := lb.New(lb.Config{
		Pool:     lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...)),
		Policy:   picker.PeakEWMA,
		Breakers: limits.Breaker,
	})
	if err != nil {
		log.Fatal(err)
	}
	balancer.Status() // meets the backends
	for _, l := range limits.Limits() {
		fmt.Println(l.Backend, l.Limit, l.InFlight)
	}
	// Output:
	// http://10.0.0.1:8080 50 0
	// http://10.0.0.2:8080 50 0
}

// When there is too much to do, crawlers are refused before people are.
func ExampleNewAdaptive() {
	overall, err := limit.NewAdaptive(limit.AdaptiveConfig{
		Start: 10,
		Priority: func(r *http.Request) int {
			if r.Header.Get("X-Crawler") != "" {
				return -1
			}
			return 0
		},
		ReasonHeader: "X-Reason",
	})
	if err != nil {
		log.Fatal(err)
	}
	release := make(chan struct{})
	handler := overall.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	}))
	var waiting sync.WaitGroup
	for range 6 {
		waiting.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow", nil)) })
	}
	for overall.InFlight() < 6 {
		runtime.Gosched()
	}
	crawler, person := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
	crawler.Header.Set("X-Crawler", "1")
	for _, r := range []*http.Request{crawler, person} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("X-Reason"))
	}
	close(release)
	waiting.Wait()
	// Output:
	// 503 overload
	// 200
}
