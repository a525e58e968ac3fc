package picker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/loadreport"
)

// reports is a transport that stands for the probe paths of all backends.
type reports func(*http.Request) (*http.Response, error)

func (f reports) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func report(status int, value string) (*http.Response, error) {
	h := http.Header{}
	if value != "" {
		h.Set("Endpoint-Load-Metrics", value)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody}, nil
}

const idleReport = "TEXT named_metrics.in_flight=0,named_metrics.latency_seconds=0.001"

// running runs a Prequal over n backends in a bubble while test picks.
func running(t *testing.T, cfg PrequalConfig, n int, test func(t *testing.T, p *Prequal, picker lb.Picker, bs []*lb.Backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, bs := lb.Must(NewPrequal(cfg)), named(ones(n)...)
		picker := p.Policy(lbtest.Set(bs...))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		test(t, p, picker, bs)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if p.running || len(p.queue) > 0 {
			t.Error("it goes on")
		}
	})
}

// pickOften picks n times, with a pause after each.
func pickOften(picker lb.Picker, n int, pause time.Duration) map[string]int {
	s, got := seeded(1), make(map[string]int)
	for range n {
		got[picker.Pick(s.info()).ID()]++
		time.Sleep(pause)
	}
	return got
}

func TestRunAsks(t *testing.T) {
	var seen atomic.Int64
	cfg := PrequalConfig{Path: "/load", Transport: reports(func(r *http.Request) (*http.Response, error) {
		seen.Add(1)
		if r.Method != "GET" || r.URL.Path != "/load" || r.URL.Scheme != "http" || r.Header.Get("User-Agent") != "lb-probe" {
			t.Errorf("asked %s %s %v", r.Method, r.URL, r.Header)
		}
		if r.URL.Host == id(3) {
			return report(204, idleReport)
		}
		return report(200, "JSON {\"named_metrics\":{\"in_flight\":9,\"latency_seconds\":1}}")
	})}
	running(t, cfg, 20, func(t *testing.T, _ *Prequal, picker lb.Picker, _ []*lb.Backend) {
		got := pickOften(picker, 300, 10*time.Millisecond)
		if n := seen.Load(); n != 900 {
			t.Errorf("%d probes for 300 picks", n)
		}
		if got[id(3)] < 100 {
			t.Errorf("the idle one got %d of 300", got[id(3)])
		}
	})
}

// However many picks there are, so many probes are under way and no backend has two; none outlives
// Run, and each has its bound.
func TestProbesAreBounded(t *testing.T) {
	for _, n := range []int{4, 30} {
		var now, most atomic.Int64
		each := make([]atomic.Int64, n)
		index := make(map[string]int)
		for i := range n {
			index[id(i)] = i
		}
		cfg := PrequalConfig{Parallel: 8, Timeout: 100 * time.Millisecond, Transport: reports(func(r *http.Request) (*http.Response, error) {
			of := &each[index[r.URL.Host]]
			if of.Add(1) > 1 {
				t.Errorf("%s is asked twice at a time", r.URL.Host)
			}
			if c := now.Add(1); c > most.Load() {
				most.Store(c)
			}
			start := time.Now()
			<-r.Context().Done()
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("a probe took %v", took)
			}
			of.Add(-1)
			now.Add(-1)
			return nil, r.Context().Err()
		})}
		running(t, cfg, n, func(t *testing.T, _ *Prequal, picker lb.Picker, _ []*lb.Backend) {
			pickOften(picker, 500, time.Millisecond)
		})
		if want := int64(min(8, n)); most.Load() != want || now.Load() != 0 {
			t.Errorf("%d backends: %d probes at a time, want %d; %d outlive Run", n, most.Load(), want, now.Load())
		}
	}
}

// Who answers without a report is seen as it looks from here, and asked rarely.
func TestThoseWhoDoNotReport(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"404":      func() (*http.Response, error) { return report(404, "") },
		"silent":   func() (*http.Response, error) { return report(200, "") },
		"garbage":  func() (*http.Response, error) { return report(204, "TEXT named_metrics.in_flight=NaN") },
		"cpu only": func() (*http.Response, error) { return report(204, "TEXT cpu_utilization=0.5") },
		"503":      func() (*http.Response, error) { return report(503, idleReport) },
		"breaks": func() (*http.Response, error) {
			resp, err := report(200, idleReport)
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{}))
			return resp, err
		},
		"refused": func() (*http.Response, error) { return nil, errors.New("refused") },
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			cfg := PrequalConfig{Transport: reports(func(*http.Request) (*http.Response, error) { asked.Add(1); return answer() })}
			running(t, cfg, 10, func(t *testing.T, p *Prequal, picker lb.Picker, bs []*lb.Backend) {
				pickOften(picker, 150, 10*time.Millisecond) // until all are known not to
				before := asked.Load()
				pickOften(picker, 6000, 10*time.Millisecond) // a minute
				again := asked.Load() - before
				if again < 40 || again > 90 {
					t.Errorf("ten backends were asked %d times in a minute, want 60", again)
				}
				if len(p.pool) < 2 {
					t.Error("nothing stands in for their answers")
				}
			})
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// One that has begun to report is asked like the others.
func TestThoseWhoLearnToReport(t *testing.T) {
	var asked atomic.Int64
	var knows atomic.Bool
	cfg := PrequalConfig{Transport: reports(func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		if !knows.Load() {
			return report(404, "")
		}
		return report(204, idleReport)
	})}
	running(t, cfg, 10, func(t *testing.T, _ *Prequal, picker lb.Picker, _ []*lb.Backend) {
		pickOften(picker, 100, 10*time.Millisecond)
		knows.Store(true)
		pickOften(picker, 1300, 10*time.Millisecond)
		before := asked.Load()
		pickOften(picker, 100, 10*time.Millisecond)
		if n := asked.Load() - before; n != 300 {
			t.Errorf("%d probes for 100 picks", n)
		}
	})
}

// One that has answered and falls silent does not become idle by that.
func TestSilenceIsNoIdleness(t *testing.T) {
	var stalls atomic.Bool
	cfg := PrequalConfig{Transport: reports(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == id(2) && stalls.Load() {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return report(204, "TEXT named_metrics.in_flight=5,named_metrics.latency_seconds=0.01")
	})}
	running(t, cfg, 20, func(t *testing.T, _ *Prequal, picker lb.Picker, _ []*lb.Backend) {
		pickOften(picker, 200, 10*time.Millisecond)
		stalls.Store(true)
		pickOften(picker, 110, 10*time.Millisecond) // its last answer is used up or old
		if got := pickOften(picker, 2000, 10*time.Millisecond); got[id(2)] > 10 {
			t.Errorf("the one that stalls got %d of 2000", got[id(2)])
		}
	})
}

func TestRunOnce(t *testing.T) {
	if err := lb.Must(NewPrequal(PrequalConfig{Ask: func(*lb.Backend) {}})).Run(t.Context()); err == nil {
		t.Error("Run does not mind an Ask")
	}
	cfg := PrequalConfig{Transport: reports(func(*http.Request) (*http.Response, error) { return report(204, idleReport) })}
	running(t, cfg, 10, func(t *testing.T, p *Prequal, _ lb.Picker, _ []*lb.Backend) {
		if err := p.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
	})
}

// Over real sockets: three backends with meters and a balancer that asks them; the one that others
// keep busy is left alone.
func TestPrequalOverHTTP(t *testing.T) {
	var specs []lb.Spec
	hold, served := make(chan struct{}), make([]atomic.Int64, 10)
	held := make(chan struct{}, 10)
	for i := range served {
		meter := lb.Must(loadreport.New(loadreport.Config{}))
		s := httptest.NewServer(meter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				held <- struct{}{}
				<-hold
				return
			}
			served[i].Add(1)
		})))
		defer s.Close()
		specs = append(specs, lb.Spec{URL: s.URL, ID: id(i)})
		if i == 4 {
			for range 5 {
				go func() {
					if resp, err := http.Get(s.URL + "/hold"); err == nil {
						resp.Body.Close()
					}
				}()
				<-held
			}
		}
	}
	defer close(hold)
	prequal := lb.Must(NewPrequal(PrequalConfig{Quantile: 1e-9, Timeout: 10 * time.Second, MaxAge: time.Minute}))
	b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(specs...)), Policy: prequal.Policy, Hosts: []string{"shop"}}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- prequal.Run(ctx) }()
	ask := func() {
		resp, err := b.RoundTrip(lb.Must(http.NewRequest("GET", "http://shop/", nil)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	known := func() (n int) {
		prequal.mu.Lock()
		defer prequal.mu.Unlock()
		for _, e := range prequal.peers {
			if e.answered > 0 {
				n++
			}
		}
		return n
	}
	for known() < 10 {
		ask()
	}
	before := served[4].Load()
	for range 200 {
		ask()
	}
	if n := served[4].Load() - before; n > 5 {
		t.Errorf("the busy one got %d of 200", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
