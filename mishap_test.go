package lb_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// outcry returns what a request panics with, or nil, and who answered.
func outcry(b *lb.Balancer, direct bool) (panicked any, from string) {
	defer func() { panicked = recover() }()
	if !direct {
		return nil, get(b).Header.Get("X-Backend")
	}
	resp, err := b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil))
	if err != nil {
		return nil, err.Error()
	}
	defer resp.Body.Close()
	return nil, resp.Header.Get("X-Backend")
}

// A policy, a maker of breakers or an observer that panics in the background stops nothing: one request panics with it, the
// others are served as before, and it is tried again after a second, or when something else has changed.
func TestPanicsInTheBackground(t *testing.T) {
	for _, who := range []string{"policy", "breakers", "observer"} {
		for _, direct := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { panicsInTheBackground(t, who, direct) })
		}
	}
}

func panicsInTheBackground(t *testing.T, who string, direct bool) {
	var sick atomic.Bool
	var panics atomic.Int64
	ail := func(what string) {
		if what == who && sick.Load() {
			panics.Add(1)
			panic("a bug in the " + what)
		}
	}
	b, pool := balance(t, ok, lb.Config{
		Policy:    func(s lb.Set) lb.Picker { ail("policy"); return inOrder(s) },
		Breakers:  func(*lb.Backend) lb.Breaker { ail("breakers"); return &gate{} },
		Observers: []lb.Observer{{Change: func(lb.Change) { ail("observer") }}},
	})
	b.Status()
	cry := func() (panicked any, from string) {
		t.Helper()
		defer synctest.Wait()
		return outcry(b, direct)
	}
	sick.Store(true)
	_ = pool.Add(lb.URLs("http://0")...)
	if p, from := cry(); p != nil || from != "a" { // it begins the building
		t.Fatalf("%s: the first request got %v from %q", who, p, from)
	}
	p, _ := cry()
	if text := fmt.Sprint(p); !strings.Contains(text, "a bug in the "+who) || !strings.Contains(text, "mishap_test.go") {
		t.Errorf("%s: one request panics with %.100q", who, text)
	}
	if who == "observer" { // whose panic costs no view
		if p, from := cry(); p != nil || from != "0" {
			t.Errorf("%s: the next got %v from %q", who, p, from)
		}
	} else {
		for range 100 {
			if p, from := cry(); p != nil || from != "a" {
				t.Fatalf("%s: the others get %v from %q", who, p, from)
			}
		}
		if n := panics.Load(); n != 1 {
			t.Errorf("%s: panicked %d times", who, n)
		}
		time.Sleep(time.Second)
		if p, _ := cry(); p != nil || panics.Load() != 2 {
			t.Errorf("%s: a second later it was tried %d times, with %v", who, panics.Load(), p)
		}
		_, _ = cry() // is told
	}
	sick.Store(false)
	_ = pool.Remove(t.Context(), "http://c")
	cry()
	if p, from := cry(); p != nil || from != "0" {
		t.Errorf("%s: after something has changed: %v from %q", who, p, from)
	}
	mustBeIdle(t, b)
}

// Who asks how things stand gets what was known before; the next request tells of the panic.
func TestPanicsUnderStatus(t *testing.T) {
	sick := false
	b, pool := balance(t, ok, lb.Config{Policy: func(s lb.Set) lb.Picker {
		if sick {
			panic("a bug")
		}
		return inOrder(s)
	}})
	b.Status()
	sick = true
	pool.Mark("http://a", lb.Down, "test")
	for range 3 {
		if s := b.Status(); s.Available != 3 || s.Backends[0].Facts() != 0 {
			t.Errorf("available %d, a is %v", s.Available, s.Backends[0].Facts())
		}
	}
	if e := b.Explain(httptest.NewRequest("GET", "/", nil)).String(); !strings.HasPrefix(e, "candidates: http://a,") {
		t.Errorf("explained as %q", e)
	}
	sick = false
	b.Status() // no longer: it is told all the same
	if p, _ := outcry(b, false); p == nil {
		t.Error("nobody was told")
	}
	if p, from := outcry(b, false); p != nil || from != "b" { // a is known to be down when it is to be taken
		t.Errorf("the next got %v from %q", p, from)
	}
}

// Nobody serves before the first view: then each request panics by itself, as a handler would.
func TestPanicsOfTheFirstView(t *testing.T) {
	b, _ := balance(t, ok, lb.Config{Policy: func(lb.Set) lb.Picker { panic("a bug") }})
	for range 3 {
		if p, _ := outcry(b, false); p != "a bug" {
			t.Errorf("panicked with %v", p)
		}
	}
	if s := b.Status(); s.Active != 0 || s.Available != 0 {
		t.Errorf("%+v", s)
	}
}

// A picker that panics while an answer is held, that another backend was to better, leaves nothing behind.
func TestPickersThatPanicOnTheSecondTry(t *testing.T) {
	for _, direct := range []bool{false, true} {
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) { return respond(503, r.URL.Host), nil }, lb.Config{
			Retry: lb.Retry{Statuses: []int{503}},
			Policy: func(s lb.Set) lb.Picker {
				return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
					if i.Attempt > 0 {
						panic("a bug")
					}
					return s.Eligible[0].Backend
				})
			},
		})
		if p, _ := outcry(b, direct); p != "a bug" {
			t.Errorf("panicked with %v", p)
		}
		mustBeIdle(t, b)
	}
}

// logLines is a writer for a logger.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// Over sockets, net/http survives it, and says it in its log.
func TestNetHTTPSurvives(t *testing.T) {
	var sick atomic.Bool
	b, pool := balance(t, ok, lb.Config{Policy: func(s lb.Set) lb.Picker {
		if sick.Load() {
			panic("a bug")
		}
		return inOrder(s)
	}})
	b.Status()
	server := httptest.NewUnstartedServer(b)
	logged := make(logLines, 9)
	server.Config.ErrorLog = log.New(logged, "", 0)
	server.Start()
	defer server.Close()
	sick.Store(true)
	pool.Mark("http://c", lb.Down, "test")
	for range 100_000 {
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			break
		}
		resp.Body.Close()
		runtime.Gosched()
	}
	if line := <-logged; !strings.Contains(line, "panic serving") || !strings.Contains(line, "panic while a view was built: a bug") {
		t.Errorf("logged %q", line)
	}
	if resp, err := server.Client().Get(server.URL); err != nil || resp.Body.Close() != nil || resp.StatusCode != 200 {
		t.Error(err)
	}
}
