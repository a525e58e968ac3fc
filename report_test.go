package lb_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

const loadHeader = "Endpoint-Load-Metrics"

const told = "TEXT application_utilization=0.5,rps_fractional=100,eps=10,named_metrics.in_flight=3,named_metrics.latency_seconds=0.02"

var toldReport = lb.Report{InFlight: 3, Latency: 20 * time.Millisecond, Utilization: 0.5, Rate: 100, Errors: 10}

// reporting says its load where the path says.
func reporting(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Other", "1")
	switch r.URL.Path {
	case "/header":
		h.Set(loadHeader, told)
	case "/failed":
		h.Set(loadHeader, told)
		w.WriteHeader(http.StatusBadGateway)
	case "/garbage":
		h.Set(loadHeader, "TEXT eps=NaN")
	case "/twice":
		h[loadHeader] = []string{told, told}
	case "/announced":
		h.Set("Trailer", "X-Tail, "+loadHeader)
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
		h.Set(loadHeader, told)
		h.Set("X-Tail", "1")
	case "/trailer":
		h.Set(loadHeader, "TEXT eps=1")
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
		h.Set(http.TrailerPrefix+loadHeader, told)
		h.Set(http.TrailerPrefix+"X-Tail", "1")
	case "/early":
		h.Set(loadHeader, told)
		w.WriteHeader(http.StatusEarlyHints)
		h.Del(loadHeader)
	}
}

// client asks a balancer, by one of its faces, and returns what a client sees of the answer.
type asking func(t *testing.T, path string) (*http.Response, []textproto.MIMEHeader)

func asked(t *testing.T, rt http.RoundTripper, url string) (resp *http.Response, hints []textproto.MIMEHeader) {
	t.Helper()
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		hints = append(hints, h)
		return nil
	}}
	req := lb.Must(http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", url, nil))
	req.Header.Set("Te", "trailers")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, announced := resp.Trailer[loadHeader]; announced {
		t.Errorf("%s: the trailer is announced", url)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	resp.Body.Close()
	return resp, hints
}

// What a backend says of its load reaches those who learn, and no client: not as a header, not as a
// trailer, not before the answer, whatever speaks to the backend and whatever face is asked.
func TestReportsStayHere(t *testing.T) {
	standard := &http.Transport{Protocols: new(http.Protocols)}
	standard.Protocols.SetHTTP1(true)
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	for name, by := range map[string]http.RoundTripper{
		"engine": transport.New(transport.Config{}), "net/http": standard, "HTTP/2": h2,
	} {
		t.Run(name, func(t *testing.T) {
			origin := httptest.NewUnstartedServer(http.HandlerFunc(reporting))
			origin.Config.Protocols = new(http.Protocols)
			origin.Config.Protocols.SetHTTP1(true)
			origin.Config.Protocols.SetUnencryptedHTTP2(true)
			origin.Start()
			defer origin.Close()
			results := make(chan lb.Result, 10)
			b := lb.Must(lb.New(lb.Config{
				Pool: lb.Must(lb.NewPool(lb.URLs(origin.URL)...)), Policy: turns, Transport: by, Hosts: []string{"shop"},
				Observers: []lb.Observer{{Attempt: func(r lb.Result) { results <- r }}},
			}))
			front := httptest.NewServer(b)
			defer front.Close()
			own := &http.Transport{}
			defer own.CloseIdleConnections()
			for face, ask := range map[string]asking{
				"handler": func(t *testing.T, path string) (*http.Response, []textproto.MIMEHeader) {
					return asked(t, own, front.URL+path)
				},
				"transport": func(t *testing.T, path string) (*http.Response, []textproto.MIMEHeader) {
					return asked(t, b, "http://shop"+path)
				},
			} {
				t.Run(face, func(t *testing.T) { reportsStayHere(t, ask, results) })
			}
			if err := b.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			mustBeIdle(t, b)
		})
	}
}

func reportsStayHere(t *testing.T, ask asking, results <-chan lb.Result) {
	for path, want := range map[string]*lb.Report{
		"/header": &toldReport, "/failed": &toldReport, "/announced": &toldReport, "/trailer": &toldReport,
		"/garbage": nil, "/twice": nil, "/silent": nil, "/early": nil,
	} {
		resp, hints := ask(t, path)
		got := (<-results).Report
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: the report is %+v, want %+v", path, got, want)
		}
		seen := fmt.Sprint(resp.Header, resp.Trailer, hints)
		if strings.Contains(strings.ToLower(seen), "load-metrics") || resp.Header.Get("X-Other") != "1" {
			t.Errorf("%s: the client sees %s", path, seen)
		}
		if (path == "/trailer" || path == "/announced") && resp.Trailer.Get("X-Tail") != "1" || path == "/early" && len(hints) != 1 {
			t.Errorf("%s: something is missing in %s", path, seen)
		}
	}
}

// A balancer that is a backend in turn says its own load, and not that of the ones behind it.
func TestReportsOfThoseInFront(t *testing.T) {
	b, _ := balance(t, func(*http.Request) (*http.Response, error) {
		resp := respond(200, "x")
		resp.Header[strings.ToLower(loadHeader)] = []string{told} // as a transport of one's own may spell it
		return resp, nil
	}, lb.Config{})
	w := httptest.NewRecorder()
	w.Header().Set(loadHeader, "TEXT eps=3")
	b.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Header(); len(got[loadHeader]) != 1 || got.Get(loadHeader) != "TEXT eps=3" || got[strings.ToLower(loadHeader)] != nil {
		t.Errorf("the client sees %v", got)
	}
}

func TestReportsOfTunnels(t *testing.T) {
	results := make(chan lb.Result, 10)
	origin := newRawBackend(t, func(conn net.Conn, _ sent) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+loadHeader+": "+told+"\r\n\r\n")
		return false
	})
	f := before(t, lb.Config{Observers: []lb.Observer{{Attempt: func(r lb.Result) { results <- r }}}}, nil, origin.url())
	conn := f.connect(t)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	head, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") || strings.Contains(strings.ToLower(string(head)), "load-metrics") {
		t.Errorf("the client sees %q", head)
	}
	if got := (<-results).Report; got == nil || *got != toldReport {
		t.Errorf("the report is %+v", got)
	}
}

// Learners are told with the result.
func TestLearnersAreTold(t *testing.T) {
	l := &learning{Picker: first(lb.Set{}), told: make(chan lb.Result, 1)}
	b, _ := balance(t, func(*http.Request) (*http.Response, error) {
		resp := respond(200, "x")
		resp.Header.Set(loadHeader, told)
		return resp, nil
	}, lb.Config{Policy: func(s lb.Set) lb.Picker { l.Picker = first(s); return l }})
	get(b)
	if res := <-l.told; res.Report == nil || *res.Report != toldReport {
		t.Errorf("told %+v", res.Report)
	}
}

type learning struct {
	lb.Picker
	told chan lb.Result
}

func (l *learning) Attempted(r lb.Result) { l.told <- r }
