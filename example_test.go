package lb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/loadreport"
	"github.com/go-loadbalancer/lb/picker"
)

// startBackends starts n servers that answer with their names.
func startBackends(n int) (specs []lb.Spec, stop func()) {
	var servers []*httptest.Server
	for i := range n {
		name := fmt.Sprintf("backend %d", i+1)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		servers = append(servers, s)
		specs = append(specs, lb.Spec{ID: name, URL: s.URL})
	}
	return specs, func() {
		for _, s := range servers {
			s.Close()
		}
	}
}

// A balancer in front of two backends, as a handler.
func Example() {
	specs, stop := startBackends(2)
	defer stop()
	pool, err := lb.NewPool(specs...)
	if err != nil {
		fmt.Println(err)
		return
	}
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: picker.LeastLoaded})
	if err != nil {
		fmt.Println(err)
		return
	}
	front := httptest.NewServer(balancer)
	defer front.Close()
	resp, err := http.Get(front.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A balancer as the transport of a client: the name in the URL is the service's, not a server's.
func ExampleBalancer_RoundTrip() {
	specs, stop := startBackends(3)
	defer stop()
	pool := lb.Must(lb.NewPool(specs...))
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.RoundRobin, Hosts: []string{"shop.internal"}}))
	client := &http.Client{Transport: balancer}
	answered := map[string]int{}
	for range 6 {
		resp, err := client.Get("http://shop.internal/")
		if err != nil {
			fmt.Println(err)
			return
		}
		name, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answered[string(name)]++
	}
	fmt.Println(answered)
	// Output: map[backend 1:2 backend 2:2 backend 3:2]
}

// New says everything that is wrong at once.
func ExampleNew() {
	_, err := lb.New(lb.Config{PanicThreshold: 50})
	fmt.Println(err)
	// Output:
	// lb: Config.Pool is nil; make one with lb.NewPool
	// lb: Config.Policy is nil; try picker.RoundRobin
	// lb: Config.PanicThreshold 50 is above 1; it is a share of the backends
}

// Backends come and go while requests are served.
func ExampleDynamicPool() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "one", URL: "http://10.0.0.1:8080"}))
	err := pool.Add(lb.Spec{ID: "two", URL: "http://10.0.0.2:8080", Weight: 2})
	fmt.Println(pool.Snapshot().Len(), err)
	pool.Mark("one", lb.Down, "does not answer")
	one := pool.Snapshot().Find("one")
	fmt.Println(one.Facts(), "because it", one.Cause())
	err = pool.Remove(context.Background(), "one")
	fmt.Println(pool.Snapshot().Len(), err)
	// Output:
	// 2 <nil>
	// down because it does not answer
	// 1 <nil>
}

// A picker is a function. This one sends everything to the backend with the most weight.
func ExamplePickFunc() {
	heaviest := func(set lb.Set) lb.Picker {
		best := set.Eligible[0]
		for _, c := range set.Eligible {
			if c.Weight > best.Weight {
				best = c
			}
		}
		return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return best.Backend })
	}
	pool := lb.Must(lb.NewPool(
		lb.Spec{ID: "small", URL: "http://10.0.0.1"},
		lb.Spec{ID: "large", URL: "http://10.0.0.2", Weight: 5},
	))
	_, err := lb.New(lb.Config{Pool: pool, Policy: heaviest})
	fmt.Println(err)
	// Output: <nil>
}

// An observer is told how each request ended.
func ExampleObserver() {
	told := lb.Observer{Request: func(s lb.Summary) {
		fmt.Println(s.Status, s.Reason, s.Attempts)
	}}
	pool := lb.Must(lb.NewPool())
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.Random, Observers: []lb.Observer{told}}))
	balancer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output: 503 no_backend 0
}

// OnError decides what a client sees when no backend has answered.
func ExampleConfig_onError() {
	sorry := func(w http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, lb.ErrNoBackend) {
			w.Header().Set("Retry-After", "30")
		}
		http.Error(w, "We are back in a moment.", http.StatusServiceUnavailable)
	}
	pool := lb.Must(lb.NewPool())
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.Random, OnError: sorry}))
	w := httptest.NewRecorder()
	balancer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Print(w.Code, " ", w.Header().Get("Retry-After"), " ", w.Body)
	// Output: 503 30 We are back in a moment.
}

// Background work is run by the program, and has ended when Run returns.
func ExampleRun() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := lb.Run(ctx, sweeper{})
	fmt.Println("ended:", err)
	// Output: ended: <nil>
}

type sweeper struct{}

// Run sweeps until ctx is done.
func (sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Status tells a readiness check whether a request could be served.
func ExampleBalancer_Status() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1", "http://10.0.0.2")...))
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.Random}))
	pool.Mark("http://10.0.0.1", lb.Down, "test")
	s := balancer.Status()
	fmt.Println(s.Available, "of", len(s.Backends), "available")
	// Output: 1 of 2 available
}

// What a backend says of its load reaches observers and policies, and no client.
func ExampleReport() {
	meter, err := loadreport.New(loadreport.Config{Capacity: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	backend := httptest.NewServer(meter.Handler(http.NotFoundHandler()))
	defer backend.Close()
	balancer, err := lb.New(lb.Config{
		Pool:   lb.Must(lb.NewPool(lb.URLs(backend.URL)...)),
		Policy: picker.LeastLoaded,
		Observers: []lb.Observer{{Attempt: func(r lb.Result) {
			fmt.Println(r.Report.InFlight, r.Report.Utilization)
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	balancer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Header().Get("Endpoint-Load-Metrics") == "")
	// Output:
	// 1 0.1
	// 404 true
}

// A program that measures its own pauses does not hold them against its backends.
func ExamplePauses() {
	specs, stop := startBackends(4)
	defer stop()
	pauses := new(lb.Pauses)
	balancer := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(specs...)), Policy: picker.PeakEWMA, Pauses: pauses}))

	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error)
	go func() { running <- lb.Run(ctx, pauses) }()
	w := httptest.NewRecorder()
	balancer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	cancel()
	fmt.Println(w.Code, <-running, pauses.Lost() < time.Minute)
	// Output: 200 <nil> true
}
