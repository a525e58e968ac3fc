package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/go-loadbalancer/lb"
)

func TestScrapeIsValid(t *testing.T) {
	for _, process := range []bool{false, true} {
		r := New(Config{Process: process})
		var specs []lb.Spec
		for _, id := range []string{"a", `quote"`, `back\slash`, `"},x{y="`, "ünïcode", "http://10.0.0.1:80", "<script>", `le="1"`} {
			specs = append(specs, lb.Spec{ID: id, URL: "http://a"})
		}
		pool, b := balance(t, r, always(http.StatusOK), specs...)
		pool.Mark("a", lb.Draining, "")
		for range 100 {
			request(b, http.MethodGet, "/")
		}
		got := scrape(t, r.Export(b, ExportConfig{}))
		for family, kind := range map[string]string{
			requestsTotal: "COUNTER", attemptsTotal: "COUNTER", retriesTotal: "COUNTER", errorsTotal: "COUNTER",
			durationSeconds: "HISTOGRAM", connections: "GAUGE", backendUp: "GAUGE", backendWeight: "GAUGE",
			breakerState: "GAUGE", failOpen: "GAUGE", queued: "GAUGE",
		} {
			if got[family] == nil || got[family].GetType().String() != kind {
				t.Errorf("family %s is not a %s: %v", family, kind, got[family])
			}
		}
		total := 0.0
		for _, m := range got[requestsTotal].GetMetric() {
			total += m.GetCounter().GetValue()
		}
		if total != 100 {
			t.Errorf("requests add up to %v of 100", total)
		}
		if n := len(got[backendUp].GetMetric()); n != len(specs) {
			t.Errorf("%d backends of %d", n, len(specs))
		}
		if got["go_goroutines"] != nil != process {
			t.Errorf("Process is %v, and so are the process's metrics not", process)
		}
	}
	// Without TYPE lines, too.
	vm.ExposeMetadata(false)
	r := New(Config{})
	w := request(r.Export(bare{}, ExportConfig{}).Prometheus(), http.MethodGet, "/")
	if strings.Contains(w.Body.String(), "#") || !strings.Contains(w.Body.String(), failOpen+" 0\n") {
		t.Errorf("got %s", w.Body)
	}
}

// Who waits is told to machines and to people.
func TestQueuedIsTold(t *testing.T) {
	e := New(Config{}).Export(bare{lb.Status{Active: 9, Queued: 4}}, ExportConfig{})
	if text := request(e.Prometheus(), http.MethodGet, "/").Body.String(); !strings.Contains(text, queued+" 4\n") {
		t.Errorf("got %s", text)
	}
	if text := request(e.JSON(), http.MethodGet, "/").Body.String(); !strings.Contains(text, `"queued":4`) {
		t.Errorf("got %s", text)
	}
}

func TestScrapeWhileBackendsComeAndGo(t *testing.T) {
	r := New(Config{})
	pool, b := balance(t, r, always(http.StatusOK), lb.URLs("http://a", "http://b")...)
	e := r.Export(b, ExportConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for i := range 50 {
			next := []lb.Spec{{ID: "stays", URL: "http://a"}, {ID: fmt.Sprint("goes", i%3), URL: "http://b"}}
			if err := pool.Replace(next...); err != nil {
				t.Error(err)
			}
			e.Report()
		}
	})
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				request(b, http.MethodGet, "/")
				r.Counter("loadbalancer_x_total", "kind", "y").Inc()
			}
		})
	}
	for ctx.Err() == nil {
		scrape(t, e)
		request(e.JSON(), http.MethodGet, "/")
	}
	wg.Wait()
	for _, m := range scrape(t, e)[durationSeconds].GetMetric() {
		if id := m.GetLabel()[0].GetValue(); id != "stays" && id != "goes1" {
			t.Errorf("backend %q has left series behind", id)
		}
	}
}

func TestReport(t *testing.T) {
	r := New(Config{})
	failing := roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "b" {
			return always(http.StatusServiceUnavailable).RoundTrip(req)
		}
		return always(http.StatusOK).RoundTrip(req)
	})
	pool, b := balance(t, r, failing,
		lb.Spec{ID: "a", URL: "http://a", Weight: 2, Labels: map[string]string{"zone": "x"}},
		lb.Spec{ID: "b", URL: "http://b", MaxInFlight: 9},
		lb.Spec{ID: "c", URL: "unix:///run/c.sock"})
	pool.Mark("c", lb.Down|lb.Draining, "<refused>")
	e := r.Export(b, ExportConfig{Policy: "random", Features: []string{"retries"}, Probe: func(id string) time.Duration {
		return map[string]time.Duration{"a": 1500 * time.Microsecond}[id]
	}})
	for range 50 {
		request(b, http.MethodGet, "/")
	}
	r.Event("hello")

	w := request(e.JSON(), http.MethodGet, "/")
	var rep Report
	if err := json.Unmarshal(w.Body.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Title != "Load balancer" || rep.Policy != "random" || rep.Available != 2 || rep.FailOpen ||
		!slices.Equal(rep.Features, []string{"retries"}) || rep.Events[0].Text != "hello" {
		t.Errorf("report is %+v", rep)
	}
	if rep.Totals.Requests != 50 || rep.Totals.Errors != rep.Backends[1].Errors {
		t.Errorf("totals are %+v", rep.Totals)
	}
	a, bad, c := rep.Backends[0], rep.Backends[1], rep.Backends[2]
	if a.ID != "a" || a.URL != "http://a" || a.Weight != 2 || a.Share != 2 || a.State != "fit" || !a.Healthy ||
		a.Breaker != "closed" || a.Requests+bad.Requests != 50 || a.Errors != 0 || a.Probe != 1.5 || a.P50 <= 0 ||
		a.P99 < a.P50 || a.Average <= 0 || a.ErrorRate != 0 || a.Labels["zone"] != "x" {
		t.Errorf("a is %+v", a)
	}
	if bad.Requests != bad.Errors || bad.ErrorRate <= 0 || bad.P50 != 0 || bad.MaxInFlight != 9 {
		t.Errorf("b is %+v", bad)
	}
	if c.State != "down draining" || c.Healthy || c.Share != 0 || c.Cause != "<refused>" || c.URL != "unix:///run/c.sock" || c.Requests != 0 {
		t.Errorf("c is %+v", c)
	}
	if strings.Contains(w.Body.String(), "<") {
		t.Error("the JSON has markup that is not escaped")
	}
	if again := e.Report(); !reflect.DeepEqual(again.Events[0].Text, "hello") || again.Uptime < rep.Uptime {
		t.Errorf("a second report is %+v", again)
	}
}

func TestHandlersAreCareful(t *testing.T) {
	e := New(Config{}).Export(bare{}, ExportConfig{})
	for name, h := range map[string]http.Handler{"prometheus": e.Prometheus(), "json": e.JSON(), "stream": e.Stream()} {
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
			if w := request(h, method, "/"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s got %d", name, method, w.Code)
			}
		}
		w := request(h, http.MethodGet, "/")
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, w.Header())
		}
	}
	w := request(e.JSON(), http.MethodGet, "/")
	for _, part := range []string{`"backends":[]`, `"features":[]`, `"events":[]`} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("an empty balancer's JSON lacks %s: %s", part, w.Body)
		}
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the JSON is %q", got)
	}
	if got := request(e.Prometheus(), http.MethodGet, "/").Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("the text is %q", got)
	}
}
