package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/metrics/dashboard"
)

// program is a balancer over three backends in this process, and its dashboard.
type program struct {
	pool     *lb.DynamicPool
	recorder *metrics.Recorder
	front    *httptest.Server // for clients
	admin    *httptest.Server // for operators
}

// startProgram runs a program until the test is over. A nil stream is the real one.
func startProgram(t *testing.T, stream http.Handler, specs ...lb.Spec) *program {
	t.Helper()
	for i := range specs {
		backend := httptest.NewServer(http.HandlerFunc(serve))
		t.Cleanup(backend.Close)
		specs[i].URL = backend.URL
	}
	p := &program{pool: lb.Must(lb.NewPool(specs...)), recorder: metrics.New(metrics.Config{})}
	balancer := lb.Must(lb.New(lb.Config{Pool: p.pool, Policy: random, Observers: []lb.Observer{p.recorder.Observer()}}))
	export := p.recorder.Export(balancer, metrics.ExportConfig{
		Title:    "Checkout",
		Policy:   "random by weight",
		Features: []string{"retries", "fail open", "metrics", "live dashboard"},
	})
	if stream == nil {
		stream = export.Stream()
	}
	admin := http.NewServeMux()
	admin.Handle("/metrics", export.JSON())
	admin.Handle("/metrics/stream", stream)
	admin.Handle("/dashboard/", http.StripPrefix("/dashboard", dashboard.Handler(dashboard.Config{Source: export})))
	p.front, p.admin = httptest.NewServer(balancer), httptest.NewServer(admin)
	t.Cleanup(p.front.Close)
	t.Cleanup(p.admin.Close)
	p.run(t, export, p.traffic())
	return p
}

// run runs the background work until the test is over.
func (p *program) run(t *testing.T, runners ...lb.Runner) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := lb.Run(ctx, runners...); err != nil {
			t.Errorf("running: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// page is where the dashboard is.
func (p *program) page() string { return p.admin.URL + "/dashboard/" }

// serve is a backend: a little uneven, and now and then broken.
func serve(w http.ResponseWriter, r *http.Request) {
	pause := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(3*time.Millisecond)))
	defer pause.Stop()
	<-pause.C
	if rand.IntN(100) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = io.WriteString(w, "hello")
}

// random is a policy that picks by weight.
func random(s lb.Set) lb.Picker {
	sum := 0.0
	for _, c := range s.Eligible {
		sum += c.Weight
	}
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
		left := float64(i.Rand>>11) / (1 << 53) * sum
		for _, c := range s.Eligible {
			if left -= c.Weight; left < 0 {
				return c.Backend
			}
		}
		return s.Eligible[0].Backend
	})
}

// runFunc lets a function be a runner.
type runFunc func(context.Context) error

func (f runFunc) Run(ctx context.Context) error { return f(ctx) }

// traffic is a client with a wavering number of requests a second.
func (p *program) traffic() lb.Runner {
	return runFunc(func(ctx context.Context) error {
		for {
			pause := time.NewTimer(time.Duration(5+rand.IntN(20)) * time.Millisecond)
			select {
			case <-ctx.Done():
				pause.Stop()
				return nil
			case <-pause.C:
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.front.URL, nil)
			if err != nil {
				return err
			}
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
	})
}
