package metrics

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// bare is a source that has no backends.
type bare struct{ status lb.Status }

func (b bare) Status() lb.Status { return b.status }

func TestCountsWhatItIsTold(t *testing.T) {
	r, bs := New(Config{}), backends(t, 2)
	o := r.Observer()
	for _, b := range bs {
		o.Change(lb.Change{Backend: b, Joined: true})
	}
	o.Attempt(lb.Result{Backend: bs[0], Outcome: lb.Failure})
	o.Attempt(lb.Result{Backend: bs[1], Outcome: lb.Success, Attempt: 1, Status: 200, Latency: time.Millisecond})
	o.Attempt(lb.Result{Backend: bs[1], Outcome: lb.Neutral, Attempt: 1, Hedge: true})
	o.Request(lb.Summary{Backend: bs[1], Status: 200, Duration: time.Second})
	o.Request(lb.Summary{Backend: bs[1], Status: 101, Duration: time.Hour})
	o.Request(lb.Summary{Backend: bs[1], Status: 200, Reason: "truncated"})
	o.Request(lb.Summary{Status: 503, Reason: "no_backend"})
	o.Request(lb.Summary{Reason: "client"})
	o.Request(lb.Summary{Status: 499, Reason: "a word of a later version"})

	got := scrape(t, r.Export(bare{}, ExportConfig{}))
	for _, c := range []struct {
		want   float64
		family string
		labels []string
	}{
		{1, attemptsTotal, []string{"backend", "b0000", "outcome", "failure"}},
		{0, attemptsTotal, []string{"backend", "b0000", "outcome", "success"}},
		{1, attemptsTotal, []string{"backend", "b0001", "outcome", "success"}},
		{1, retriesTotal, nil},
		{1, hedgesTotal, nil},
		{2, requestsTotal, []string{"backend", "b0001", "status", "200"}},
		{1, requestsTotal, []string{"backend", "b0001", "status", "101"}},
		{1, requestsTotal, []string{"backend", "", "status", "503"}},
		{1, requestsTotal, []string{"backend", "", "status", "000"}},
		{2, durationSeconds, []string{"backend", "b0001"}},
		{0, durationSeconds, []string{"backend", "b0000"}},
		{1, errorsTotal, []string{"reason", "no_backend"}},
		{1, errorsTotal, []string{"reason", "client"}},
		{1, errorsTotal, []string{"reason", "truncated"}},
		{1, errorsTotal, []string{"reason", "other"}},
		{0, errorsTotal, []string{"reason", "tls"}},
	} {
		if v := value(t, got, c.family, c.labels...); v != c.want {
			t.Errorf("%s%q is %v, want %v", c.family, c.labels, v, c.want)
		}
	}
	rep := r.Export(bare{}, ExportConfig{}).Report()
	if rep.Totals != (Totals{Requests: 6, Errors: 3, Retries: 1}) {
		t.Errorf("totals are %+v", rep.Totals)
	}
}

func TestNoAllocationPerEvent(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	o := r.Observer()
	o.Change(lb.Change{Backend: b, Joined: true})
	res := lb.Result{Backend: b, Outcome: lb.Success, Status: 200, Attempt: 1, Latency: time.Millisecond}
	for _, sum := range []lb.Summary{{Backend: b, Status: 200, Duration: time.Millisecond}, {Status: 503, Reason: "refused"}} {
		n := testing.AllocsPerRun(1000, func() {
			o.Attempt(res)
			o.Request(sum)
		})
		if n != 0 {
			t.Errorf("status %d: %v allocations", sum.Status, n)
		}
	}
}

func TestReplacedBackendsLeaveNothing(t *testing.T) {
	r := New(Config{})
	o := r.Observer()
	use := func(b *lb.Backend) {
		for _, status := range []int{0, 200, 404, 500, 503} {
			o.Attempt(lb.Result{Backend: b, Outcome: lb.Success, Status: status})
			o.Request(lb.Summary{Backend: b, Status: status, Reason: "status"})
		}
	}
	use(backends(t, 1)[0]) // makes nobody's series
	before := len(r.set.ListMetricNames())
	for _, b := range backends(t, 1000) {
		o.Change(lb.Change{Backend: b, Joined: true})
		use(b)
		o.Change(lb.Change{Backend: b, Removed: true})
		use(b) // late
	}
	if after := len(r.set.ListMetricNames()); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	for id := range r.backends.Range {
		t.Errorf("backend %v is still known", id)
	}
	if got := r.requests.Load(); got != 5+1000*10 {
		t.Errorf("%d requests are counted in all", got)
	}
	if n := r.nobody.answered(200).Get(); n != 1001 {
		t.Errorf("%d late answers are counted for nobody, want 1001", n)
	}
}

func TestBackendThatComesBackStartsAnew(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	o := r.Observer()
	for range 3 {
		o.Change(lb.Change{Backend: b, Joined: true})
		o.Request(lb.Summary{Backend: b, Status: 200})
		got := scrape(t, r.Export(bare{}, ExportConfig{}))
		if v := value(t, got, requestsTotal, "backend", b.ID(), "status", "200"); v != 1 {
			t.Errorf("counts %v", v)
		}
		o.Change(lb.Change{Backend: b, Removed: true})
	}
}

// TestRetiredSeriesStayRetired: whoever looked a backend up before it left counts for nobody.
func TestRetiredSeriesStayRetired(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	r.join(b.ID())
	s := r.of(b)
	s.answered(200)
	before := len(r.set.ListMetricNames()) - len(s.names)
	s.retire() // but it can still be found
	r.request(lb.Summary{Backend: b, Status: 404})
	if s.answered(404) != nil || r.nobody.answered(404).Get() != 1 {
		t.Error("a new status of a retired backend is not counted for nobody")
	}
	if after := len(r.set.ListMetricNames()); after != before+1 {
		t.Errorf("%d series became %d, want one more for nobody", before, after)
	}
}

// TestRetiringRaces: new statuses that are met while a backend leaves bring nothing back.
func TestRetiringRaces(t *testing.T) {
	for range 20 {
		r, b := New(Config{}), backends(t, 1)[0]
		o := r.Observer()
		o.Change(lb.Change{Backend: b, Joined: true})
		for status := 200; status < 232; status++ {
			r.nobody.answered(status)
		}
		before := len(r.set.ListMetricNames()) - len(r.of(b).names)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for status := 200; status < 232; status++ {
					o.Request(lb.Summary{Backend: b, Status: status})
				}
				if g == 0 {
					o.Change(lb.Change{Backend: b, Removed: true})
				}
			})
		}
		wg.Wait()
		if after := len(r.set.ListMetricNames()); after != before {
			t.Fatalf("%d series became %d", before, after)
		}
	}
}

func TestStatusesAreBounded(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	r.join(b.ID())
	for status := -2000; status < 5000; status++ {
		r.request(lb.Summary{Backend: b, Status: status})
	}
	if n := len(*r.of(b).answers.Load()); n != 901 {
		t.Errorf("%d statuses have series, want 000 and 100 to 999", n)
	}
}

func TestOwnMetrics(t *testing.T) {
	r := New(Config{})
	limited := r.Counter("loadbalancer_rate_limited_total")
	limited.Inc()
	limited.Add(2)
	r.Counter("loadbalancer_rate_limited_total").Inc()
	r.Counter("loadbalancer_autoscale_events_total", "kind", "out").Inc()
	r.Gauge("loadbalancer_sessions", func() float64 { return 7 })
	r.Gauge("loadbalancer_sessions", func() float64 { return 8 })
	r.Gauge("loadbalancer_nothing", nil)
	// Mistakes: seen by nobody, and harmless.
	r.Counter("loadbalancer_sessions", "a", "b").Inc()
	r.Gauge("loadbalancer_rate_limited_total", func() float64 { return -1 })
	r.Counter(requestsTotal, "backend", "x", "status", "200").Inc()
	r.Gauge(backendUp, func() float64 { return -1 })
	r.Counter("").Inc()
	r.Counter("\xff\n", "\n").Inc()

	got := scrape(t, r.Export(bare{}, ExportConfig{}))
	for _, c := range []struct {
		want   float64
		family string
		labels []string
	}{
		{4, "loadbalancer_rate_limited_total", nil},
		{1, "loadbalancer_autoscale_events_total", []string{"kind", "out"}},
		{7, "loadbalancer_sessions", nil},
	} {
		if v := value(t, got, c.family, c.labels...); v != c.want {
			t.Errorf("%s is %v, want %v", c.family, v, c.want)
		}
	}
	for family, want := range map[string]int{"loadbalancer_sessions": 1, "loadbalancer_rate_limited_total": 1, requestsTotal: 0, backendUp: 0, "loadbalancer_nothing": 0} {
		if n := len(got[family].GetMetric()); n != want {
			t.Errorf("%s has %d series, want %d", family, n, want)
		}
	}
}

func TestEvents(t *testing.T) {
	r, b := New(Config{}), backends(t, 1)[0]
	for i := range 200 {
		r.Event(fmt.Sprint("event ", i))
	}
	got := r.events.newest()
	if len(got) != maxEvents || got[0].Text != "event 199" || got[maxEvents-1].Text != "event 150" {
		t.Errorf("%d events, from %q to %q", len(got), got[0].Text, got[len(got)-1].Text)
	}
	for _, c := range []struct {
		change lb.Change
		want   string
	}{
		{lb.Change{Joined: true}, "b0000 joined"},
		{lb.Change{Joined: true, After: lb.Warming, Cause: "new"}, "b0000 joined, warming (new)"},
		{lb.Change{Removed: true}, "b0000 left"},
		{lb.Change{After: lb.Down, Cause: "refused"}, "b0000: fit → down (refused)"},
		{lb.Change{BreakerAfter: lb.Open}, "b0000: breaker closed → open"},
		{lb.Change{WeightBefore: 1, WeightAfter: 5}, "b0000: weight 1 → 5"},
		{lb.Change{Before: lb.Down, BreakerBefore: lb.HalfOpen}, "b0000: down → fit; b0000: breaker half-open → closed"},
		{lb.Change{After: lb.Down, Cause: "two\r\nlines\xff"}, "b0000: fit → down (two  lines)"},
	} {
		c.change.Backend = b
		r.change(c.change)
		if got := r.events.newest()[0].Text; got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	r.Event(string(make([]byte, 1<<20)))
	if n := len(r.events.newest()[0].Text); n > maxText {
		t.Errorf("an event has %d bytes", n)
	}
}

func TestThroughABalancer(t *testing.T) {
	r := New(Config{})
	pool, b := balance(t, r, always(http.StatusOK), lb.Spec{ID: `a"b`, URL: "http://a"}, lb.Spec{ID: `c\`, URL: "http://c", Weight: 3})
	pool.Mark(`c\`, lb.Down, "no route")
	for range 10 {
		request(b, http.MethodGet, "/")
	}
	got := scrape(t, r.Export(b, ExportConfig{}))
	for _, c := range []struct {
		want   float64
		family string
		labels []string
	}{
		{10, requestsTotal, []string{"backend", `a"b`, "status", "200"}},
		{10, durationSeconds, []string{"backend", `a"b`}},
		{0, durationSeconds, []string{"backend", `c\`}},
		{1, backendUp, []string{"backend", `a"b`}},
		{0, backendUp, []string{"backend", `c\`}},
		{1, backendWeight, []string{"backend", `a"b`}},
		{0, backendWeight, []string{"backend", `c\`}},
		{0, breakerState, []string{"backend", `c\`}},
		{0, connections, []string{"backend", `a"b`}},
		{0, failOpen, nil},
	} {
		if v := value(t, got, c.family, c.labels...); v != c.want {
			t.Errorf("%s%q is %v, want %v", c.family, c.labels, v, c.want)
		}
	}
}
