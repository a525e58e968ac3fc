package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/go-loadbalancer/lb"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// anyone is a policy that picks at random.
func anyone(s lb.Set) lb.Picker {
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
		return s.Eligible[i.Rand%uint64(len(s.Eligible))].Backend
	})
}

// roundTrip lets a function be a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// always answers every request with a status.
func always(status int) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("ok")), Request: r, Header: http.Header{}}, nil
	})
}

// balance makes a pool, and a balancer over it that recorder observes.
func balance(t testing.TB, recorder *Recorder, to http.RoundTripper, specs ...lb.Spec) (*lb.DynamicPool, *lb.Balancer) {
	t.Helper()
	pool, err := lb.NewPool(specs...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := lb.New(lb.Config{Pool: pool, Policy: anyone, Transport: to, Observers: []lb.Observer{recorder.Observer()}})
	if err != nil {
		t.Fatal(err)
	}
	return pool, b
}

// request sends one request through a handler and returns the answer.
func request(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// scrape parses what a scrape answers, with TYPE lines, and fails if any family is wrong.
func scrape(t testing.TB, e *Export) map[string]*dto.MetricFamily {
	t.Helper()
	vm.ExposeMetadata(true)
	defer vm.ExposeMetadata(false)
	w := request(e.Prometheus(), http.MethodGet, "/")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatalf("a scrape cannot be parsed: %v\n%s", err, w.Body)
	}
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "# TYPE ") && strings.Count(w.Body.String(), line) > 1 {
			t.Fatalf("family given twice: %s", line)
		}
	}
	return families
}

// value returns one metric's value, with its labels as keys and values in turn.
func value(t testing.TB, families map[string]*dto.MetricFamily, family string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[family].GetMetric() {
		got := map[string]string{}
		for _, l := range m.GetLabel() {
			got[l.GetName()] = l.GetValue()
		}
		same := len(got) == len(labels)/2
		for i := 0; i < len(labels); i += 2 {
			same = same && got[labels[i]] == labels[i+1]
		}
		if !same {
			continue
		}
		switch {
		case m.Counter != nil:
			return m.GetCounter().GetValue()
		case m.Histogram != nil:
			return float64(m.GetHistogram().GetSampleCount())
		}
		return m.GetGauge().GetValue()
	}
	t.Fatalf("no metric %s with labels %q", family, labels)
	return 0
}

// backends makes n backends outside of any pool.
func backends(t testing.TB, n int) []*lb.Backend {
	t.Helper()
	all := make([]*lb.Backend, n)
	for i := range all {
		b, err := lb.NewBackend(lb.Spec{ID: fmt.Sprintf("b%04d", i), URL: "http://b"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = b
	}
	return all
}
