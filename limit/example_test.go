package limit_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/go-loadbalancer/lb/limit"
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
