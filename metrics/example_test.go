package metrics_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/metrics"
)

// first is a policy that always picks the same backend.
func first(s lb.Set) lb.Picker {
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
}

// hello answers in place of a backend.
type hello struct{}

func (hello) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("hello")), Request: r}, nil
}

func ExampleRecorder() {
	recorder := metrics.New(metrics.Config{})
	balancer := lb.Must(lb.New(lb.Config{
		Pool:      lb.Must(lb.NewPool(lb.Spec{ID: "b1", URL: "http://10.0.0.1"})),
		Policy:    first,
		Transport: hello{},
		Observers: []lb.Observer{recorder.Observer()},
	}))
	balancer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))

	export := recorder.Export(balancer, metrics.ExportConfig{Policy: "first"})
	page := httptest.NewRecorder()
	export.Prometheus().ServeHTTP(page, httptest.NewRequest("GET", "/metrics/prometheus", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "loadbalancer_requests_total") {
			fmt.Print(line)
		}
	}
	b1 := export.Report().Backends[0]
	fmt.Println(b1.ID, b1.State, b1.Requests)
	// Output:
	// loadbalancer_requests_total{backend="b1",status="200"} 1
	// b1 fit 1
}

func ExampleRecorder_Counter() {
	recorder := metrics.New(metrics.Config{})
	limited := recorder.Counter("loadbalancer_rate_limited_total")
	recorder.Gauge("loadbalancer_sessions", func() float64 { return 42 })
	limited.Inc()
	limited.Add(2)
	recorder.Event("scaled out to 2 backends")

	export := recorder.Export(nobody{}, metrics.ExportConfig{})
	page := httptest.NewRecorder()
	export.Prometheus().ServeHTTP(page, httptest.NewRequest("GET", "/", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "loadbalancer_rate") || strings.HasPrefix(line, "loadbalancer_sessions") {
			fmt.Print(line)
		}
	}
	fmt.Println(export.Report().Events[0].Text)
	// Output:
	// loadbalancer_rate_limited_total 3
	// loadbalancer_sessions 42
	// scaled out to 2 backends
}

// nobody is a balancer without backends.
type nobody struct{}

func (nobody) Status() lb.Status { return lb.Status{} }
