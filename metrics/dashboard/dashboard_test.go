package dashboard

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/metrics"
)

// fixed is a source that always reports the same.
type fixed metrics.Report

func (f fixed) Report() metrics.Report { return metrics.Report(f) }

// sample has a backend of every kind.
func sample() fixed {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return fixed{
		Title: "Checkout", Policy: "round robin", Features: []string{"retries", "<b>bold</b>"}, Time: at, Uptime: 90061,
		Available: 2, Active: 7, Totals: metrics.Totals{Requests: 1000, Errors: 20, Retries: 3},
		Backends: []metrics.BackendReport{
			{ID: "a", URL: "http://10.0.0.1", Weight: 3, Share: 3, State: "fit", Healthy: true, Breaker: "closed", InFlight: 5, Probe: 1.5, Requests: 800, P50: 1.234, P99: 45.67, Labels: map[string]string{"zone": "x", "track": "canary"}},
			{ID: "b", URL: "http://10.0.0.2", Weight: 1, Share: 1, State: "warming", Healthy: true, Breaker: "half-open", Requests: 150, Errors: 20, ErrorRate: 0.125, P50: 150, P99: 12000},
			{ID: "c", URL: "unix:///run/c.sock", Weight: 1, State: "down draining", Breaker: "open", Cause: "refused"},
		},
		Events: []metrics.Event{{Time: at, Text: "c: fit → down (refused)"}},
	}
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestPageIsAsItWas(t *testing.T) {
	const golden = "testdata/page.golden.html"
	got := get(Handler(Config{Source: sample()}), "/").Body.String()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page has changed; if that is right, run the test with -update and look at the difference\n%s", got)
	}
}

// update says that the page is right as it is now.
var update = flag.Bool("update", false, "write the golden files anew")

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := Handler(Config{Source: sample()})
	for path, want := range map[string]struct {
		status int
		kind   string
	}{
		"/":                {200, "text/html; charset=utf-8"},
		"/dashboard.js":    {200, "text/javascript; charset=utf-8"},
		"/dashboard.css":   {200, "text/css; charset=utf-8"},
		"/page.html":       {404, "text/plain; charset=utf-8"},
		"/dashboard.go":    {404, "text/plain; charset=utf-8"},
		"/../dashboard.go": {404, "text/plain; charset=utf-8"},
	} {
		w := get(h, path)
		if w.Code != want.status || w.Header().Get("Content-Type") != want.kind {
			t.Errorf("%s: %d, %q", path, w.Code, w.Header().Get("Content-Type"))
		}
		csp := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
		for name, value := range map[string]string{
			"Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST got %d", w.Code)
	}
}

// TestNothingInline: what the policy forbids is not in the page, and the script makes no markup.
func TestNothingInline(t *testing.T) {
	h := Handler(Config{Source: sample()})
	page := get(h, "/").Body.String()
	for _, forbidden := range []string{`<style`, ` style=`, `<script>`, `javascript:`, `src="http`, `href="http`, `<base`, `<form`, `<iframe`} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %s", forbidden)
		}
	}
	if found := regexp.MustCompile(`<[^>]* on[a-z]+=`).FindString(page); found != "" {
		t.Errorf("the page has a handler inline: %s", found)
	}
	script := get(h, "/dashboard.js").Body.String()
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style", "http:", "https:"} {
		if strings.Contains(script, forbidden) {
			t.Errorf("the script has %s", forbidden)
		}
	}
	for _, forbidden := range []string{"url(", "@import", "http:"} {
		if strings.Contains(get(h, "/dashboard.css").Body.String(), forbidden) {
			t.Errorf("the style sheet has %s", forbidden)
		}
	}
}

// TestHostileTextStaysText: whatever names are, the page has the same tags and attributes.
func TestHostileTextStaysText(t *testing.T) {
	render := func(name string) string {
		rep := metrics.Report{
			Title: name, Policy: name, Features: []string{name}, Events: []metrics.Event{{Text: name}},
			Backends: []metrics.BackendReport{{ID: name, URL: name, State: name, Breaker: name, Cause: name, Labels: map[string]string{name: name}}},
		}
		return get(Handler(Config{Source: fixed(rep), JSONPath: name, StreamPath: name}), "/").Body.String()
	}
	plain := render("plain")
	for _, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</template></table><svg onload=alert(1)>`,
		`</title><script>alert(1)</script>`, `{{.}}`, "\u202eevil", strings.Repeat("<b>", 1<<14), "\xff\x00",
	} {
		page := render(name)
		for _, mark := range []string{"<", ">", `"`} {
			if got, want := strings.Count(page, mark), strings.Count(plain, mark); got != want {
				t.Errorf("%.40q: the page has %d %s, not %d", name, got, mark, want)
			}
		}
	}
}

func TestRowsSayWhatTheyAre(t *testing.T) {
	page := get(Handler(Config{Source: sample()}), "/").Body.String()
	for _, want := range []string{
		`data-backend="a" data-state="fit" data-breaker="closed"`,
		`data-backend="b" data-state="warming" data-breaker="half-open"`,
		`data-backend="c" data-state="down draining" data-breaker="open"`,
		`data-json="/metrics" data-stream="/metrics/stream"`,
		`<noscript><meta http-equiv="refresh" content="5"></noscript>`,
		`data-health="warn">2 of 3 backends are fit<`,
		`>75 %<`, `>25 %<`, `>12.5 %<`, `>probe 1.50 ms<`, `>1.23 ms<`, `>45.7 ms<`, `>12.0 s<`, `>1 d 1 h<`, `track=canary zone=x`, `c: fit → down (refused)`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestVerdict(t *testing.T) {
	three := make([]metrics.BackendReport, 3)
	for _, c := range []struct {
		rep    metrics.Report
		fit    int
		health string
		says   string
	}{
		{metrics.Report{}, 0, "bad", "No backends"},
		{metrics.Report{Backends: three}, 3, "bad", "No backend is available: requests get 503"},
		{metrics.Report{Backends: three, Available: 3, FailOpen: true}, 0, "bad", "Failing open: 0 of 3 backends are fit"},
		{metrics.Report{Backends: three, Available: 2}, 2, "warn", "2 of 3 backends are fit"},
		{metrics.Report{Backends: three, Available: 2}, 3, "warn", "2 of 3 backends are available"},
		{metrics.Report{Backends: three, Available: 3}, 3, "good", "3 of 3 backends are fit"},
	} {
		if health, says := verdict(c.fit, c.rep); health != c.health || says != c.says {
			t.Errorf("got %s, %q, want %s, %q", health, says, c.health, c.says)
		}
	}
}

func TestWorksWithoutASourceAndElsewhere(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/admin/", http.StripPrefix("/admin", Handler(Config{})))
	for _, path := range []string{"/admin/", "/admin/dashboard.js", "/admin/dashboard.css"} {
		if w := get(mux, path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if page := get(mux, "/admin/").Body.String(); !strings.Contains(page, "The pool is empty.") {
		t.Error("without a source the page is not empty")
	}
}
