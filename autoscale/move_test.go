package autoscale

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// TestLaunchFails has launches fail in every way.
func TestLaunchFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faulty func(n int) (lb.Spec, error)
		want   string // events of two intervals
		reason string // of the first
		ended  string
	}{
		{"an error", func(int) (lb.Spec, error) { return lb.Spec{}, errors.New("no\nmoney") },
			"failed  1-1, failed  1-1", "launch: no money", ""},
		{"a spec that is wrong", func(int) (lb.Spec, error) { return lb.Spec{ID: "x", URL: "nonsense"}, nil },
			"failed x 1-1, failed x 1-1", `launch: "x": lb: backend "x": url "nonsense"`, "x x"},
		{"an ID from configuration", func(int) (lb.Spec, error) { return lb.Spec{ID: "c0", URL: "http://10.1.0.1"}, nil },
			"failed c0 1-1, failed c0 1-1", `launch: "c0": its ID is in use`, "c0 c0"},
		{"the same ID twice", func(int) (lb.Spec, error) { return lb.Spec{ID: "x", URL: "http://10.1.0.1"}, nil },
			"up x 1-2, failed x 2-2", "21 requests", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := begin(t, 1, Config{}, &cloud{faulty: tt.faulty})
				before := x.pool.Snapshot().Find("c0")
				for range 2 {
					x.answer(21)
					x.interval()
				}
				if got := x.events.String(); got != tt.want {
					t.Errorf("told %s, want %s", got, tt.want)
				}
				if got := x.events.all[0].Reason; !strings.Contains(got, tt.reason) || strings.Contains(got, "\n") {
					t.Errorf("reason %q", got)
				}
				if _, ended := x.cloud.state(); ended != tt.ended {
					t.Errorf("terminated %q, want %q", ended, tt.ended)
				}
				if x.pool.Snapshot().Find("c0") != before {
					t.Error("the configured backend was replaced")
				}
				x.cloud.mu.Lock()
				x.cloud.running = []string{"x"} // of two with one name, the end may stop one only
				x.cloud.mu.Unlock()
				x.stop()
			})
		})
	}
}

// TestSlowLaunch checks that what is being launched counts, is bounded in time, and keeps
// everything from going down meanwhile.
func TestSlowLaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{Max: 3}, &cloud{takes: 100 * time.Second})
		for range 5 {
			x.answer(21)
			x.interval()
		}
		if x.cloud.n != 2 || x.pool.Snapshot().Len() != 1 {
			t.Errorf("%d launches, %d backends", x.cloud.n, x.pool.Snapshot().Len())
		}
		for range 4 {
			x.interval()
		}
		if got := x.pool.Snapshot().Len(); got != 3 { // since 130s
			t.Errorf("%d backends after 2 minutes", got)
		}
		for range 3 { // until 181s
			x.interval()
		}
		if got := x.pool.Snapshot().Len(); got != 3 {
			t.Errorf("%d backends in the cooldown after the launch", got)
		}
		x.interval()
		if got := x.pool.Snapshot().Len(); got != 2 {
			t.Errorf("%d backends after it", got)
		}
		x.stop()

		x = begin(t, 1, Config{LaunchTimeout: 20 * time.Second}, &cloud{takes: time.Hour})
		x.answer(21)
		x.interval()
		time.Sleep(21 * time.Second)
		if got := x.events.String(); got != "failed  1-1" {
			t.Errorf("a launch that hangs: %s", got)
		}
		x.answer(21)
		x.interval()
		x.stop() // during the next launch
		if got := x.events.String(); got != "failed  1-1" {
			t.Errorf("the end cut a launch short, and that was told: %s", got)
		}
	})
}

// TestTerminateFails checks that it is told, and that all goes on.
func TestTerminateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{}, &cloud{stubborn: errors.New("not now")})
		x.answer(21)
		for range 5 {
			x.interval()
		}
		if got := x.events.String(); got != "up l1 1-2, failed l1 2-2" {
			t.Errorf("told %s", got)
		}
		if got := x.events.all[1].Reason; !strings.HasSuffix(got, "; terminate: not now") {
			t.Errorf("reason %q", got)
		}
		x.stop()
	})
}

// rotate is the plainest policy there is.
func rotate(s lb.Set) lb.Picker {
	var n atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[n.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

// slow is a transport whose requests take a while if they say so.
type slow struct {
	takes   time.Duration
	serving sync.Map // by URL host: *atomic.Int64
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	s.at(r.URL.Host).Add(1)
	defer s.at(r.URL.Host).Add(-1)
	if r.Header.Get("Slow") != "" {
		time.Sleep(s.takes)
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}, nil
}

// at returns how many requests a backend is serving.
func (s *slow) at(host string) *atomic.Int64 {
	n, _ := s.serving.LoadOrStore(host, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// send sends one request and reads its answer.
func send(t *testing.T, via http.RoundTripper, header http.Header) {
	req, _ := http.NewRequest("GET", "http://app/", nil)
	req.Header = header
	resp, err := via.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// TestDrainsFirst sends slow requests through a real balancer while the pool shrinks and while
// Run ends: none is cut off, unless it takes longer than DrainTimeout.
func TestDrainsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			takes time.Duration
			left  bool
		}{{20 * time.Second, false}, {40 * time.Second, true}} {
			x, via := begin(t, 1, Config{}, new(cloud)), &slow{takes: tt.takes}
			balancer := lb.Must(lb.New(lb.Config{Pool: x.pool, Policy: rotate, Transport: via, Hosts: []string{"app"}, Observers: []lb.Observer{x.Observer()}}))
			for range 21 {
				send(t, balancer, http.Header{})
			}
			for range 4 {
				x.interval()
			}
			time.Sleep(10 * time.Second)
			send(t, balancer, http.Header{}) // by this one the balancer learns of the newcomer
			synctest.Wait()
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { send(t, balancer, http.Header{"Slow": {"yes"}}) })
			}
			time.Sleep(5 * time.Second) // and now the launched one goes
			synctest.Wait()
			if f := x.pool.Snapshot().Find("l1").Facts(); !f.Has(lb.Draining) {
				t.Errorf("facts %v", f)
			}
			start := time.Now()
			x.stop()
			if n := via.at("10.1.0.1").Load(); (n > 0) != tt.left {
				t.Errorf("%v: %d requests left when Run had ended", tt.takes, n)
			}
			if took := time.Since(start); took > 31*time.Second {
				t.Errorf("the end took %v", took)
			}
			last := x.events.all[len(x.events.all)-1]
			if last.Kind != Down || strings.Contains(last.Reason, "in flight") != tt.left {
				t.Errorf("%v: %+v", tt.takes, last)
			}
			wg.Wait()
		}
	})
}
