package loadreport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb/internal/orca"
)

func must(t *testing.T, cfg Config) *Meter {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// said asks the probe path and returns what it says.
func said(t *testing.T, h http.Handler) orca.Report {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/load", nil))
	r, ok := orca.Parse(w.Header().Get(orca.Header))
	if !ok || w.Code != http.StatusNoContent || w.Body.Len() > 0 || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("a probe is answered %d %v %q", w.Code, w.Header(), w.Body)
	}
	return r
}

func TestWrongConfigs(t *testing.T) {
	full := func() float64 { return 1 }
	for want, cfg := range map[string]Config{
		`Path "load"`: {Path: "load"}, `Path "/a?b"`: {Path: "/a?b"}, "Capacity -1": {Capacity: -1}, "set one of them": {Capacity: 1, Utilization: full},
	} {
		if m, err := New(cfg); m != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// hijackable is a recorder whose connection can be taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	err error
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, h.err }

// However a request ends, it is in flight until then and not after that, and only honest answers count
// as quick.
func TestInFlightIsRightHoweverARequestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end    http.HandlerFunc
		counts bool // for the latency, though it is quick
		fails  bool
	}{
		"answers": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, true, false},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, true, false},
		"a 404":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true, false},
		"a 500":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, false, true},
		"a panic": {func(http.ResponseWriter, *http.Request) { panic("planted") }, false, true},
		"aborts":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, true},
		"nil":     {func(http.ResponseWriter, *http.Request) { panic(nil) }, false, true},
		"hijacks": {func(w http.ResponseWriter, _ *http.Request) { _, _, _ = w.(http.Hijacker).Hijack() }, false, false},
		"cancels": {func(_ http.ResponseWriter, r *http.Request) { r.Context().Value(cancelKey{}).(func())() }, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := must(t, Config{})
			var inside int64
			h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inside = m.InFlight()
				if r.URL.Path == "/slow" {
					time.Sleep(time.Second)
					return
				}
				c.end(w, r)
			}))
			call := func(path string) {
				defer func() { _ = recover() }()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := httptest.NewRequest("GET", path, nil)
				h.ServeHTTP(hijackable{httptest.NewRecorder(), nil}, r.WithContext(context.WithValue(ctx, cancelKey{}, func() { cancel() })))
			}
			call("/slow")
			for range 60 {
				call("/")
				if inside != 1 || m.InFlight() != 0 {
					t.Fatalf("%s: %d in flight inside, %d after", name, inside, m.InFlight())
				}
			}
			r := said(t, h)
			if quick := r.Latency < time.Second; quick != c.counts || (r.Errors > 0) != c.fails {
				t.Errorf("%s: %+v", name, r)
			}
		})
	}
}

type cancelKey struct{}

// What takes long counts even if it fails: it is at least as slow as that.
func TestSlowFailuresCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{})
		d := 10 * time.Millisecond
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(d)
			if d > time.Second {
				w.WriteHeader(500)
			}
		}))
		for range 10 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		d = 5 * time.Second
		for range 30 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		if r := said(t, h); r.Latency != d {
			t.Errorf("%+v", r)
		}
	})
}

// The latency is that of requests that found about as many in flight as there are now.
func TestLatencyIsThatOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{Capacity: 10})
		h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(10 * time.Millisecond * time.Duration(m.InFlight()))
		}))
		serve := func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) }
		var all sync.WaitGroup
		for n := 1; n <= 5; n++ {
			for range 9 {
				for range n {
					all.Go(serve)
					synctest.Wait()
				}
				all.Wait()
			}
		}
		for n := range int64(5) {
			r := said(t, h)
			if want := time.Duration(n+1) * 10 * time.Millisecond; r.InFlight != n || r.Latency != want || r.Application != float64(n)/10 {
				t.Errorf("%d in flight: %+v, want %v", n, r, want)
			}
			all.Go(func() {
				found := m.enter()
				time.Sleep(time.Minute)
				m.leave(found, time.Minute, answered)
			})
			synctest.Wait()
		}
		all.Wait()
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{})
		for i := range 400 { // twenty a second, every fifth fails
			time.Sleep(50 * time.Millisecond)
			m.leave(m.enter(), time.Millisecond, []ending{answered, answered, answered, answered, failed}[i%5])
		}
		if r := m.report(); math.Abs(r.Rate-20) > 1 || math.Abs(r.Errors-4) > 0.5 {
			t.Errorf("%+v, want 20 and 4 per second", r)
		}
		time.Sleep(11 * time.Second)
		if r := m.report(); r.Rate != 0 || r.Errors != 0 || r.Latency == 0 {
			t.Errorf("%+v: rates are of now, latencies never too old", r)
		}
	})
}

func TestUtilizationOfOnesOwn(t *testing.T) {
	for _, v := range []float64{0.5, 1.5, 0, -1, math.NaN(), math.Inf(1)} {
		m := must(t, Config{Utilization: func() float64 { return v }, ProbesOnly: true})
		h := m.Handler(http.NotFoundHandler())
		if r := said(t, h); r.Has(orca.Application) != (v == 0.5 || v == 1.5) || r.Has(orca.Application) && r.Application != v {
			t.Errorf("%v: %+v", v, r)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Header().Get(orca.Header) != "" {
			t.Error("more than probes say the load")
		}
	}
}

// Every kind of answer says the load, once, and is otherwise as it was.
func TestAnswers(t *testing.T) {
	m := must(t, Config{Path: "/load"})
	for path, answer := range map[string]http.HandlerFunc{
		"write":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("body")) },
		"copy":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, io.LimitReader(zeros{}, 100_000)) },
		"flush":  func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"rc":     func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"hints":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) },
		"silent": func(http.ResponseWriter, *http.Request) {},
	} {
		s := httptest.NewServer(m.Handler(answer))
		resp, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		s.Close()
		if r, ok := orca.Parse(resp.Header.Get(orca.Header)); !ok || r.InFlight != 1 || len(resp.Header[orca.Header]) != 1 || resp.StatusCode != 200 {
			t.Errorf("%s: %v %s, %d bytes", path, resp.Header, resp.Status, len(body))
		}
	}
	w := httptest.NewRecorder()
	m.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("POST", "/load", nil))
	if w.Code != 404 {
		t.Errorf("a POST to the probe path: %d", w.Code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHijackFails(t *testing.T) {
	m := must(t, Config{})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			t.Error("hijacked")
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	w := hijackable{httptest.NewRecorder(), errors.New("planted")}
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusTeapot || w.Header().Get(orca.Header) == "" || m.InFlight() != 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Requests come and go at once, and every count is right after them.
func TestManyAtOnce(t *testing.T) {
	m := must(t, Config{Capacity: 8})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/0":
			panic("planted")
		case "/1":
			w.WriteHeader(500)
		}
	}))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+string(rune('0'+(g+i)%4)), nil))
				}()
			}
		})
	}
	all.Wait()
	if n := m.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func BenchmarkHandler(b *testing.B) {
	m, _ := New(Config{Capacity: 8})
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
