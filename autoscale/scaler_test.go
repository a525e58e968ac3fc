package autoscale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// cloud is a provider without servers. Its backends are l1, l2, ...
type cloud struct {
	t    *testing.T
	pool *lb.DynamicPool // to see that what is terminated has left it

	takes    time.Duration                // what a launch takes
	faulty   func(n int) (lb.Spec, error) // what becomes of launch n; nil: all is well
	stubborn error                        // what Terminate returns

	mu      sync.Mutex
	n       int
	running []string
	ended   []string // in this order
}

func (c *cloud) Launch(ctx context.Context) (lb.Spec, error) {
	c.mu.Lock()
	c.n++
	n := c.n
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return lb.Spec{}, ctx.Err()
	case <-time.After(c.takes):
	}
	spec, err := lb.Spec{ID: fmt.Sprintf("l%d", n), URL: fmt.Sprintf("http://10.1.0.%d", n%250)}, error(nil)
	if c.faulty != nil {
		spec, err = c.faulty(n)
	}
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = append(c.running, spec.ID)
	}
	return spec, err
}

func (c *cloud) Terminate(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		c.t.Errorf("%s is terminated with a context that is done: %v", id, err)
	}
	if strings.HasPrefix(id, "l") && c.pool.Snapshot().Find(id) != nil {
		c.t.Errorf("%s is terminated while it is in the pool", id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.running, id)
	if i < 0 {
		c.t.Errorf("%s is terminated and was not running", id)
		return nil
	}
	c.running = slices.Delete(c.running, i, i+1)
	c.ended = append(c.ended, id)
	return c.stubborn
}

func (c *cloud) state() (running, ended string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.running, " "), strings.Join(c.ended, " ")
}

// events collects what a scaler tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// String lists them, such as "up l1 1-2, down l1 2-1".
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, ev := range e.all {
		all = append(all, fmt.Sprintf("%v %s %d-%d", ev.Kind, ev.Backend, ev.From, ev.To))
	}
	return strings.Join(all, ", ")
}

// set is a scaler under test with all that is around it.
type set struct {
	*Scaler
	pool   *lb.DynamicPool
	cloud  *cloud
	events *events
	stop   func()
}

// begin runs a scaler over n configured backends, until stop or the end of the test.
func begin(t *testing.T, n int, cfg Config, c *cloud) *set {
	t.Helper()
	specs := make([]lb.Spec, n)
	for i := range specs {
		specs[i] = lb.Spec{ID: fmt.Sprintf("c%d", i), URL: fmt.Sprintf("http://10.0.0.%d", 1+i)}
	}
	x := &set{pool: lb.Must(lb.NewPool(specs...)), cloud: c, events: new(events)}
	c.t, c.pool = t, x.pool
	cfg.Pool, cfg.Provider, cfg.OnEvent = x.pool, c, x.events.add
	x.Scaler = lb.Must(New(cfg))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	x.stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	time.Sleep(time.Second) // so that the test acts within the intervals
	return x
}

// answer counts requests that were answered, and fail such that were not.
func (x *set) answer(n int) {
	b := lb.Must(lb.NewBackend(lb.Spec{URL: "http://10.0.0.1"}, nil))
	for range n {
		x.Observer().Request(lb.Summary{Backend: b, Status: 200})
	}
}

func (x *set) fail(n int) {
	for range n {
		x.Observer().Request(lb.Summary{Status: 502, Reason: "dial"})
	}
}

// interval lets one go by.
func (x *set) interval() {
	time.Sleep(15 * time.Second)
	synctest.Wait()
}

// TestScripts plays loads. Each interval is a number of answered requests, or two, answered and
// failed; want is the number of backends after it.
func TestScripts(t *testing.T) {
	for _, tt := range []struct {
		name       string
		configured int
		cfg        Config
		load       string
		want       string
	}{
		{"the threshold itself is not above it", 1, Config{}, "20 20 20 20", "1 1 1 1"},
		{"one more for each interval", 1, Config{}, "21 21 1000 21", "2 3 4 5"},
		{"no more than Max", 1, Config{Max: 3}, "21 21 21 21 21", "2 3 3 3 3"},
		{"ten by default", 8, Config{}, "99 99 99 99", "9 10 10 10"},
		{"down after a minute, and again", 1, Config{}, "21 21 0 0 0 0 0 0 0 0 0 0 0 0", "2 3 3 3 3 2 2 2 2 1 1 1 1 1"},
		{"a little is idle too", 1, Config{}, "21 10 10 10 10", "2 2 2 2 1"},
		{"between the two nothing moves", 1, Config{}, "21 11 11 11 11 11 11 11 11", "2 2 2 2 2 2 2 2 2"},
		{"some load begins the wait anew", 1, Config{}, "21 0 0 0 11 0 0 0 0", "2 2 2 2 2 2 2 2 1"},
		{"down from where it went up", 1, Config{}, "0 0 0 21 0 0 0 0", "1 1 1 2 2 2 2 1"},
		{"configured ones stay", 3, Config{}, "0 0 0 0 0 0 0 0 0", "3 3 3 3 3 3 3 3 3"},
		{"never below Min", 1, Config{Min: 2}, "21 0 0 0 0 0 0 0 0", "3 3 3 3 2 2 2 2 2"},
		{"an outage is not idleness", 1, Config{}, "21 0/30 0/30 0/30 0/30 0/30 0/30", "2 2 2 2 2 2 2"},
		{"a single failure among few", 1, Config{}, "21 0 0 0 5/1 0 0 0 0", "2 2 2 2 2 2 2 2 1"},
		{"one in ten is an exception", 1, Config{}, "21 10/1 10/1 10/1 10/1", "2 2 2 2 1"},
		{"an outage brings nobody", 1, Config{}, "0/900 0/900", "1 1"},
		{"a cooldown of one interval", 1, Config{Cooldown: 15 * time.Second}, "21 21 0 0 0", "2 3 2 1 1"},
		{"another threshold", 1, Config{Threshold: 5}, "6 5 3 2 2 2 2", "2 2 2 2 2 2 1"},
		{"as many as are needed at once", 1, Config{Plan: PerBackend(10)}, "55 55 30 30 30 30 30 30 30 30", "6 6 6 6 6 5 5 5 5 4"},
		{"a plan out of its mind", 1, Config{Plan: func(Load) int { return 1 << 30 }, Max: 4}, "0 0", "4 4"},
		{"a plan below zero", 2, Config{Plan: func(Load) int { return -1 << 30 }}, "0 0 0 0 0", "2 2 2 2 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := begin(t, tt.configured, tt.cfg, new(cloud))
				var got []string
				for _, load := range strings.Fields(tt.load) {
					var answered, failed int
					fmt.Sscanf(load, "%d/%d", &answered, &failed)
					x.answer(answered)
					x.fail(failed)
					x.interval()
					got = append(got, fmt.Sprint(x.pool.Snapshot().Len()))
				}
				if s := strings.Join(got, " "); s != tt.want {
					t.Errorf("load %s\n got %s\nwant %s", tt.load, s, tt.want)
				}
				x.stop()
				if running, _ := x.cloud.state(); running != "" {
					t.Errorf("left running: %s", running)
				}
				if got := x.pool.Snapshot().Len(); got != tt.configured {
					t.Errorf("%d backends left of %d", got, tt.configured)
				}
			})
		})
	}
}

func TestNewestGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{Max: 4}, new(cloud))
		for range 3 {
			x.answer(21)
			x.interval()
		}
		for range 8 {
			x.interval()
		}
		if running, ended := x.cloud.state(); running != "l1" || ended != "l3 l2" {
			t.Errorf("running %s, ended %s", running, ended)
		}
		if got, want := x.events.String(), "up l1 1-2, up l2 2-3, up l3 3-4, down l3 4-3, down l2 3-2"; got != want {
			t.Errorf("told\n%s, want\n%s", got, want)
		}
		if got, want := x.events.all[0].Reason, "21 requests answered, 0 failed in 15s"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
		x.stop()
		if got := x.events.all[5]; got.Kind != Down || got.From != 2 || got.To != 1 || got.Reason != "the scaler stops" {
			t.Errorf("at the end: %+v", got)
		}
	})
}

// TestMin begins with an empty pool.
func TestMin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 0, Config{Min: 3}, new(cloud))
		if got := x.pool.Snapshot().Len(); got != 3 {
			t.Errorf("%d backends after a second", got)
		}
		x.stop()
	})
}

// TestCount tells every kind of summary.
func TestCount(t *testing.T) {
	b := lb.Must(lb.NewBackend(lb.Spec{URL: "http://10.0.0.1"}, nil))
	for _, tt := range []struct {
		sum              lb.Summary
		answered, failed int64
	}{
		{lb.Summary{Backend: b, Status: 200}, 1, 0},
		{lb.Summary{Backend: b, Status: 404, Attempts: 2}, 1, 0},
		{lb.Summary{Backend: b, Status: 500}, 1, 0},
		{lb.Summary{Backend: b, Status: 101}, 1, 0},
		{lb.Summary{Backend: b, Status: 200, Reason: "client"}, 1, 0},
		{lb.Summary{Backend: b, Status: 429}, 0, 0},
		{lb.Summary{Backend: b, Status: 503, Reason: "status"}, 0, 1},
		{lb.Summary{Status: 503, Reason: "no_backend"}, 0, 1},
		{lb.Summary{Status: 503, Reason: "refused"}, 0, 1},
		{lb.Summary{Status: 502, Reason: "dial"}, 0, 1},
		{lb.Summary{Status: 504, Reason: "timeout"}, 0, 1},
		{lb.Summary{Status: 499, Reason: "client"}, 0, 1},
		{lb.Summary{Status: 400, Reason: "upload"}, 0, 0},
		{lb.Summary{Status: 501, Reason: "method"}, 0, 0},
		{lb.Summary{Status: 421, Reason: "host"}, 0, 0},
		{lb.Summary{Status: 200}, 0, 0}, // OPTIONS *
	} {
		var s Scaler
		s.count(tt.sum)
		if a, f := s.answered.Load(), s.failed.Load(); a != tt.answered || f != tt.failed {
			t.Errorf("%+v: answered %d, failed %d, want %d and %d", tt.sum, a, f, tt.answered, tt.failed)
		}
		if n := testing.AllocsPerRun(100, func() { s.count(tt.sum) }); n != 0 {
			t.Errorf("%+v: %v allocations", tt.sum, n)
		}
	}
}

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

// TestLastFitStays has a configured backend that is down: what serves must not go.
func TestLastFitStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{}, new(cloud))
		x.answer(21)
		x.interval()
		x.pool.Mark("c0", lb.Down, "test")
		for range 10 {
			x.interval()
		}
		if running, _ := x.cloud.state(); running != "l1" {
			t.Errorf("running %q", running)
		}
		x.pool.Clear("c0", lb.Down, "test")
		x.pool.Mark("l1", lb.Down, "test")
		for range 5 {
			x.interval()
		}
		if running, _ := x.cloud.state(); running != "" {
			t.Errorf("running %q, which is down", running)
		}
		x.stop()
	})
}

// TestDrainingDoesNotCount has an operator drain a configured backend: it is replaced.
func TestDrainingDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 2, Config{Min: 2, Max: 2}, new(cloud))
		x.pool.Mark("c1", lb.Draining, "by hand")
		x.interval()
		if running, _ := x.cloud.state(); running != "l1" {
			t.Errorf("running %q", running)
		}
		x.stop()
	})
}

// TestStrays has somebody else take launched backends out of the pool.
func TestStrays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{}, new(cloud))
		for range 3 {
			x.answer(21)
			x.interval()
		}
		if err := x.pool.Replace(lb.Spec{ID: "c0", URL: "http://10.0.0.1"}, lb.Spec{ID: "l2", URL: "http://10.1.0.2"}); err != nil {
			t.Fatal(err)
		}
		x.interval()
		if running, _ := x.cloud.state(); running != "l2" {
			t.Errorf("running %q", running)
		}
		x.stop()
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

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDrainsFirst sends slow requests through a real balancer while the pool shrinks and while
// Run ends: none is cut off, unless it takes longer than DrainTimeout.
func TestDrainsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			takes time.Duration
			left  bool
		}{{20 * time.Second, false}, {40 * time.Second, true}} {
			x := begin(t, 1, Config{}, new(cloud))
			var serving sync.Map // by URL host: *atomic.Int64
			slow := roundTrip(func(r *http.Request) (*http.Response, error) {
				n, _ := serving.LoadOrStore(r.URL.Host, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				defer n.(*atomic.Int64).Add(-1)
				if r.Header.Get("Slow") != "" {
					time.Sleep(tt.takes)
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}, nil
			})
			balancer := lb.Must(lb.New(lb.Config{Pool: x.pool, Policy: rotate, Transport: slow, Hosts: []string{"app"}, Observers: []lb.Observer{x.Observer()}}))
			var wg sync.WaitGroup
			send := func(slow bool) {
				wg.Go(func() {
					req, _ := http.NewRequest("GET", "http://app/", nil)
					if slow {
						req.Header.Set("Slow", "yes")
					}
					resp, err := balancer.RoundTrip(req)
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				})
			}
			for range 21 {
				send(false)
			}
			x.interval()
			if got := x.pool.Snapshot().Len(); got != 2 {
				t.Fatalf("%d backends", got)
			}
			for range 3 {
				x.interval()
			}
			time.Sleep(10 * time.Second)
			send(false) // by this one the balancer learns of the newcomer
			synctest.Wait()
			send(true)
			send(true)
			time.Sleep(5 * time.Second) // and now the launched one goes
			synctest.Wait()
			if f := x.pool.Snapshot().Find("l1").Facts(); !f.Has(lb.Draining) {
				t.Errorf("facts %v", f)
			}
			start := time.Now()
			x.stop()
			if n, _ := serving.Load("10.1.0.1"); (n.(*atomic.Int64).Load() > 0) != tt.left {
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

// TestScalerRace counts from many goroutines under a plan that does not know what it wants,
// while somebody else changes the pool.
func TestScalerRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := func(l Load) int {
			if l.Backends < 0 || l.Fit > l.Backends || l.Starting > l.Backends {
				t.Errorf("load %+v", l)
			}
			return rand.IntN(9)
		}
		x := begin(t, 2, Config{Plan: plan, Interval: time.Second, Cooldown: time.Second, Max: 6}, &cloud{takes: 700 * time.Millisecond})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 300 {
					x.answer(rand.IntN(3))
					time.Sleep(rand.N(400 * time.Millisecond))
					if n := x.pool.Snapshot().Len(); n > 6 {
						t.Errorf("%d backends", n)
					}
				}
			})
		}
		wg.Go(func() {
			for range 30 {
				time.Sleep(rand.N(2 * time.Second))
				if s := x.pool.Snapshot(); s.Len() > 0 {
					if err := x.pool.Remove(t.Context(), s.At(s.Len()-1).ID()); err != nil {
						t.Error(err)
					}
				}
			}
		})
		wg.Wait()
		x.stop()
		if running, _ := x.cloud.state(); running != "" {
			t.Errorf("left running: %s", running)
		}
		if x.starting != 0 || x.leaving != 0 || len(x.launched) != 0 {
			t.Errorf("%d starting, %d leaving, launched %v", x.starting, x.leaving, x.launched)
		}
	})
}

func TestRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := begin(t, 1, Config{}, new(cloud))
		if err := x.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time was let in")
		}
		x.stop()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := x.Run(ctx); err != nil { // one after the other is fine
			t.Error(err)
		}
	})
}

func TestNewFaults(t *testing.T) {
	_, err := New(Config{Threshold: -1, Min: -1, Max: -2, Interval: -1, Cooldown: -1, LaunchTimeout: -1, DrainTimeout: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"Pool", "Provider", "Threshold", "Min", "Max", "Interval", "Cooldown", "LaunchTimeout", "DrainTimeout"} {
		if !strings.Contains(err.Error(), "autoscale: Config."+word+" ") {
			t.Errorf("%s is not named in\n%v", word, err)
		}
	}
	pool := lb.Must(lb.NewPool())
	for _, cfg := range []Config{{Min: 3, Max: 2}, {Plan: PerBackend(1), Threshold: 5}} {
		cfg.Pool, cfg.Provider = pool, new(cloud)
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v passed", cfg)
		}
	}
}
