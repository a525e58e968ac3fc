package redis_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/limit/redis"
)

// A client may make two requests at once, and one in ten seconds from then on, of all balancers together.
func Example() {
	server, err := miniredis.Run() // in a program, a real one
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	limiter, err := redis.New(redis.Config{
		Limit: limit.Config{Rate: 0.1, Burst: 2, OnLimited: func(r *http.Request) { fmt.Println("limited:", r.RemoteAddr) }},
		URL:   server.Addr(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer limiter.Close()
	hello := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) // or a balancer
	handler := limiter.Wrap(hello)
	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	stats := limiter.Stats()
	fmt.Println("passed:", stats.Passed, "denied:", stats.Denied, "clients:", stats.Clients)
	// Output:
	// 200
	// 200
	// limited: 192.0.2.1:1234
	// 429
	// passed: 2 denied: 1 clients: 1
}

// All requests together are limited, behind a limit for each client.
func ExampleConfig() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	var handler http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) // or a balancer
	for _, cfg := range []redis.Config{
		{Limit: limit.Config{Rate: 1000}, Everybody: true, Name: "all", URL: server.Addr()},
		{Limit: limit.Config{Rate: 50}, Name: "each", URL: server.Addr()},
	} {
		limiter, err := redis.New(cfg)
		if err != nil {
			log.Fatal(err)
		}
		defer limiter.Close()
		handler = limiter.Wrap(handler)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code)
	// Output: 200
}
