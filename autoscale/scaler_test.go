package autoscale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

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
		{"a plan out of its mind", 1, Config{Plan: PlanFunc(func(Load) int { return 1 << 30 }), Max: 4}, "0 0", "4 4"},
		{"a plan below zero", 2, Config{Plan: PlanFunc(func(Load) int { return -1 << 30 })}, "0 0 0 0 0", "2 2 2 2 2"},
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

// TestScalerRace counts from many goroutines under a plan that does not know what it wants,
// while somebody else changes the pool.
func TestScalerRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := PlanFunc(func(l Load) int {
			if l.Backends < 0 || l.Fit > l.Backends || l.Starting > l.Backends {
				t.Errorf("load %+v", l)
			}
			return rand.IntN(9)
		})
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
	_, err := New(Config{Threshold: -1, Min: -1, Max: -2, Interval: -1, Cooldown: -1, LaunchTimeout: -1, DrainTimeout: -1, Backoff: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"Pool", "Provider", "Threshold", "Min", "Max", "Interval", "Cooldown", "LaunchTimeout", "DrainTimeout", "Backoff"} {
		if !strings.Contains(err.Error(), "autoscale: Config."+word+" ") {
			t.Errorf("%s is not named in\n%v", word, err)
		}
	}
	pool := lb.Must(lb.NewPool())
	for _, cfg := range []Config{{Min: 3, Max: 2}, {Plan: PerBackend(1), Threshold: 5}, {Plan: Largest(Step(1)), Cooldown: 1}} {
		cfg.Pool, cfg.Provider = pool, new(cloud)
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v passed", cfg)
		}
	}
}
