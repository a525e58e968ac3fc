package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/health"
)

// A Checker takes a backend out that fails its checks.
func ExampleNew() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "a", URL: "http://127.0.0.1:9001"}, lb.Spec{ID: "b", URL: "http://127.0.0.1:9002"}))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	failed := 0
	probe := func(_ context.Context, b *lb.Backend) error {
		if b.ID() == "a" {
			return nil
		}
		if failed++; failed > 3 {
			stop() // the example has seen enough
		}
		return errors.New("the disk is full")
	}
	checker, err := health.New(health.Config{
		Pool:     pool,
		Probe:    probe,
		Interval: 10 * time.Millisecond,
		Timeout:  time.Second,
		Rise:     2,
		Fall:     3,
		Jitter:   0.2,
	})
	fmt.Println(err)
	fmt.Println(lb.Run(ctx, checker))
	b := pool.Snapshot().Find("b")
	fmt.Printf("%s is %v: %s\n", b.ID(), b.Facts(), b.Cause())
	for _, r := range checker.Report() {
		fmt.Println(r.Backend, "failed in a row:", r.Failed)
	}
	// Output:
	// <nil>
	// <nil>
	// b is down: check failed: the disk is full
	// a failed in a row: 0
	// b failed in a row: 3
}

// With StartDown, nobody gets a request before it has passed its checks.
func ExampleConfig_startDown() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001")...))
	checker := lb.Must(health.New(health.Config{Pool: pool, Probe: health.TCP, StartDown: true}))
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := checker.Run(ctx); err != nil {
		fmt.Println(err)
	}
	b := pool.Snapshot().At(0)
	fmt.Println(b.Facts(), "-", b.Cause())
	// Output: down - not checked yet
}

func ExampleHTTP() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			io.WriteString(w, `{"status":"warming"}`)
		}
	}))
	defer app.Close()
	probe, err := health.HTTP(health.HTTPConfig{
		Path:       "/health",
		Host:       "app.example",
		Header:     http.Header{"X-Probe": {"lb"}},
		MinStatus:  200,
		MaxStatus:  204,
		Body:       regexp.MustCompile(`"status":"ok"`),
		MaxLatency: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := lb.Must(lb.NewBackend(lb.Spec{URL: app.URL}, nil))
	fmt.Println(probe(context.Background(), b))
	// Output: answered 200 with a body that does not match "\"status\":\"ok\""
}

// An Ejector learns from real requests, by way of a balancer's observers.
func ExampleNewEjector() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001", "http://127.0.0.1:9002")...))
	ejector, err := health.NewEjector(health.EjectorConfig{
		Pool:     pool,
		Failures: 3,
		Time:     10 * time.Second,
		MaxTime:  time.Minute,
		MaxShare: 0.5,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	first := func(s lb.Set) lb.Picker {
		return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
	}
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first, Observers: []lb.Observer{ejector.Observer()}}))
	fmt.Println(balancer.Status().Available, "available")

	ctx, stop := context.WithCancel(context.Background())
	stop() // a program runs it until it ends
	fmt.Println(lb.Run(ctx, ejector))
	// Output:
	// 2 available
	// <nil>
}

// An Ejector that has rates speak, too: programs may set what is an outlier to them.
func ExampleEjectorConfig() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001", "http://127.0.0.1:9002")...))
	_, err := health.NewEjector(health.EjectorConfig{
		Pool:            pool,
		Failures:        10,
		GatewayFailures: 3,
		Interval:        30 * time.Second,
		FailureShare:    0.5,
		Deviations:      2.5,
		Requests:        200,
		Jitter:          1.5,
	})
	fmt.Println(err)
	// Output: health: EjectorConfig.Jitter 1.5 is not at most 1; it is a share of the time
}

// A Suspector looks at what waits, twenty times a second.
func ExampleNewSuspector() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001", "http://127.0.0.1:9002")...))
	suspector, err := health.NewSuspector(health.SuspectorConfig{
		Pool:     pool,
		Requests: 5,
		Patience: 500 * time.Millisecond,
		Times:    20,
		MaxTime:  10 * time.Second,
		Interval: 100 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // a program runs it until it ends
	fmt.Println(lb.Run(ctx, suspector))

	b := pool.Snapshot().At(0) // what it goes by
	_, answers := b.Quantile(time.Now(), 0.99)
	fmt.Println(b.Tally().Waiting(), "waiting,", answers, "answers")
	// Output:
	// <nil>
	// 0 waiting, 0 answers
}

// With KeepEjected, a backend that passes its checks stays ejected until its time is over.
func ExampleConfig_keepEjected() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001")...))
	_, err := health.New(health.Config{Pool: pool, Probe: health.TCP, KeepEjected: true})
	fmt.Println(err)
	// Output: <nil>
}
