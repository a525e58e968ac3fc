package lb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Which requests are tried again, and never on the backend that failed them.
func TestRetries(t *testing.T) {
	lost := errors.New("connection reset")
	for _, c := range []struct {
		method, body string
		read         bool // the body, before it fails
		err          error
		tries        int
	}{
		{"GET", "", false, errDial, 2}, {"GET", "", false, lost, 2}, {"DELETE", "", false, lost, 2},
		{"HEAD", "", false, lost, 2}, {"OPTIONS", "", false, lost, 2}, {"PUT", "", false, lost, 2},
		{"POST", "", false, errDial, 2}, {"POST", "", false, lost, 1}, {"PATCH", "", false, lost, 1},
		{"POST", "x", false, errDial, 2}, {"POST", "x", true, errDial, 1}, {"POST", "x", false, lost, 1},
		{"PUT", "x", false, lost, 2}, {"PUT", "x", true, lost, 2}, {"PATCH", "x", true, lost, 1},
	} {
		var asked []string
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Host)
			if c.read {
				_, _ = io.ReadAll(r.Body)
			}
			if r.Body != nil {
				r.Body.Close()
			}
			return nil, c.err
		}, lb.Config{Policy: first})
		req := lb.Must(http.NewRequest(c.method, "http://shop/", strings.NewReader(c.body)))
		if c.body == "" {
			req.Body = nil
		}
		_, err := b.RoundTrip(req)
		if slices.Sort(asked); len(asked) != c.tries || len(slices.Compact(asked)) != c.tries || !errors.Is(err, c.err) {
			t.Errorf("%+v: asked %v and got %v", c, asked, err)
		}
		mustBeIdle(t, b)
	}
}

// A fifth of the requests and ten more is all that is ever tried again.
func TestRetriesHaveABudget(t *testing.T) {
	tries := 0
	b, _ := balance(t, func(*http.Request) (*http.Response, error) { tries++; return nil, errDial }, lb.Config{Retries: 2})
	for range 10_000 {
		get(b)
	}
	if tries < 12_000 || tries > 12_010 {
		t.Errorf("%d tries for 10,000 requests, want a fifth more and ten", tries)
	}
	none, n := lb.Config{Retries: -1}, 0
	b, _ = balance(t, func(*http.Request) (*http.Response, error) { n++; return nil, errDial }, none)
	if get(b); n != 1 {
		t.Errorf("%d tries without retries", n)
	}
}

// Who serves when some backends are out.
func TestFailOpen(t *testing.T) {
	for _, c := range []struct {
		share                  float64
		down, ejected, drained string
		want                   string // who serves
	}{
		{0, "", "", "", "abc"}, {0, "ab", "", "", "c"}, {0, "abc", "", "", "abc"}, {0, "abc", "", "c", "ab"},
		{0, "abc", "", "abc", ""}, {0, "a", "b", "", "c"}, {0, "a", "bc", "", "abc"}, {0, "", "", "ab", "c"},
		{-1, "abc", "", "", ""}, {-1, "a", "", "", "bc"}, {0.5, "ab", "", "", "abc"}, {0.5, "", "ab", "", "abc"},
		{0.5, "a", "", "", "bc"}, {0.5, "a", "", "b", "c"}, {1, "a", "", "", "abc"},
	} {
		b, pool := balance(t, ok, lb.Config{PanicThreshold: c.share})
		for set, fact := range map[string]lb.Facts{c.down: lb.Down, c.ejected: lb.Ejected, c.drained: lb.Draining} {
			for _, id := range set {
				pool.Mark("http://"+string(id), fact, "test")
			}
		}
		b.Status()
		got := served(b, 18)
		delete(got, "") // 503
		if who := strings.Join(slices.Sorted(maps.Keys(got)), ""); who != strings.Join(strings.Split(c.want, ""), "") {
			t.Errorf("%+v: %v serve", c, got)
		}
	}
}

// When all are out, those that still answer share the traffic, and one that does not is asked
// only when the others have failed since.
func TestLastResort(t *testing.T) {
	dead := map[string]bool{"b": true}
	asked := map[string]int{}
	b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
		asked[r.URL.Host]++
		if dead[r.URL.Host] {
			return nil, errDial
		}
		return ok(r)
	}, lb.Config{})
	for _, id := range []string{"http://a", "http://b", "http://c"} {
		pool.Mark(id, lb.Down, "test")
	}
	got := served(b, 90)
	if got["a"] < 30 || got["c"] < 30 || got[""] != 0 || asked["b"] != 1 {
		t.Errorf("served by %v, asked %v; want a and c alike, and b once", got, asked)
	}
	dead["a"], dead["c"] = true, true
	clear(asked)
	served(b, 30)
	for id, n := range asked {
		if n < 10 || n > 25 {
			t.Errorf("all fail: %s asked %d times of %v", id, n, asked)
		}
	}
}

// A change of facts holds from the next request on, and a new view is built once.
func TestChangesHoldAtOnce(t *testing.T) {
	var built atomic.Int64
	var mu sync.Mutex
	var told []string
	b, pool := balance(t, ok, lb.Config{
		Policy: func(s lb.Set) lb.Picker { built.Add(1); return turns(s) },
		Observers: []lb.Observer{{Change: func(c lb.Change) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(c.Backend.ID()[7:], " ", c.Before, ">", c.After, " ", c.Joined, c.Removed, " ", c.Cause))
		}}},
	})
	served(b, 9)
	if n := built.Load(); n != 1 {
		t.Errorf("%d views built for one snapshot", n)
	}
	pool.Mark("http://b", lb.Down, "why")
	if got := served(b, 9); got["b"] != 0 || got[""] != 0 {
		t.Errorf("b is down and %v served", got)
	}
	b.Status()
	if err := pool.Remove(t.Context(), "http://c"); err != nil {
		t.Error(err)
	}
	if got := served(b, 9); got["a"] != 9 {
		t.Errorf("only a is left and %v served", got)
	}
	b.Status()
	mu.Lock()
	defer mu.Unlock()
	want := []string{"a fit>fit true false ", "b fit>fit true false ", "c fit>fit true false ", "b fit>down false false why", "c draining>fit false true being removed"}
	if got := slices.DeleteFunc(told, func(s string) bool { return s == "c fit>draining false false being removed" }); !slices.Equal(got, want) && !slices.Equal(got, append(want[:4:4], "c fit>fit false true ")) {
		t.Errorf("told %q", got)
	}
}

// A policy gets who is eligible, who is not, and what it built before.
func TestSets(t *testing.T) {
	var sets []string
	made := gates{}
	policy := func(s lb.Set) lb.Picker {
		words := fmt.Sprint(s.Previous != nil, " ")
		for _, c := range s.Eligible {
			words += fmt.Sprintf("%s%v%v ", c.ID()[7:], c.Weight, c.Trial)
		}
		for _, b := range s.Others {
			words += "-" + b.ID()[7:]
		}
		sets = append(sets, words)
		s.Eligible = append(s.Eligible[:0:0], s.Eligible...)
		return turns(s)
	}
	b, pool := balance(t, ok, lb.Config{Policy: policy, Breakers: made.make})
	step := func(f func()) { f(); b.Status() }
	step(func() {})
	step(func() { pool.SetWeight("http://b", 5); pool.Mark("http://c", lb.Draining, "") })
	step(func() { made["http://a"].state.Store(int32(lb.Open)); pool.Mark("http://b", lb.Warming, "") })
	step(func() { made["http://a"].trial.Store(-int64(time.Second)); pool.Clear("http://c", lb.Draining, "") })
	want := []string{"false a1false b1false c1false ", "true a1false b5false -c", "true b5false -a-c", "true a1true b5false c1false "}
	if !slices.Equal(sets, want) {
		t.Errorf("sets\n%s\nwant\n%s", strings.Join(sets, "\n"), strings.Join(want, "\n"))
	}
}

// Breakers are asked once for each attempt, told once, and replaced only when the backend is.
func TestBreakersAreAskedAndTold(t *testing.T) {
	made := gates{}
	mode := "ok"
	b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
		switch mode {
		case "fail":
			return nil, errDial
		case "502":
			return respond(502, "x"), nil
		case "panic":
			panic(http.ErrAbortHandler)
		case "client":
			return nil, context.Canceled
		}
		return ok(r)
	}, lb.Config{Breakers: made.make, Retries: -1})
	for _, c := range []struct {
		mode string
		bad  int64
	}{{"ok", 0}, {"fail", 1}, {"502", 1}, {"panic", 0}, {"500", 0}} {
		before := [3]int64{}
		for _, g := range made {
			before[0], before[1], before[2] = before[0]+g.asked.Load(), before[1]+g.done.Load(), before[2]+g.bad.Load()
		}
		mode = c.mode
		func() { defer func() { _ = recover() }(); get(b) }()
		after := [3]int64{}
		for _, g := range made {
			after[0], after[1], after[2] = after[0]+g.asked.Load(), after[1]+g.done.Load(), after[2]+g.bad.Load()
		}
		if asked, done, bad := after[0]-before[0], after[1]-before[1], after[2]-before[2]; asked != 1 || done != 1 || bad != c.bad {
			t.Errorf("%s: asked %d, told %d of %d failures, want 1, 1, %d", c.mode, asked, done, bad, c.bad)
		}
	}
	kept := made["http://a"]
	pool.SetWeight("http://a", 3)
	b.Status()
	if made["http://a"] != kept {
		t.Error("a change of weight made a new breaker")
	}
	mustBeIdle(t, b)
}

// A breaker that opens takes its backend out, and lets it in again when its time has come.
func TestBreakersSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := gates{}
		b, _ := balance(t, ok, lb.Config{Breakers: made.make})
		served(b, 3)
		g := made["http://a"]
		g.state.Store(int32(lb.Open))
		g.trial.Store(int64(5 * time.Second))
		if got := served(b, 30); got["a"] != 0 || got[""] != 0 {
			t.Errorf("a is tripped and %v served", got)
		}
		b.Status()
		asked := g.asked.Load()
		served(b, 30)
		if g.asked.Load() != asked {
			t.Error("a breaker that is known to be open was asked")
		}
		time.Sleep(5 * time.Second)
		g.trial.Store(-1) // a trial's time has come
		b.Status()
		g.trial.Store(int64(5 * time.Second)) // and it failed
		served(b, 30)
		synctest.Wait()
		if s := b.Status(); s.Available != 2 || s.Backends[0].Share != 0 {
			t.Errorf("a has opened again, and %d are available", s.Available)
		}
		g.state.Store(int32(lb.HalfOpen))
		g.trial.Store(0)
		time.Sleep(5 * time.Second)
		served(b, 1)
		synctest.Wait()
		if got := served(b, 30); got["a"] != 10 {
			t.Errorf("a is half-open and %v served", got)
		}
	})
}

// A breaker that opens by a result takes its backend out without being asked again.
func TestBreakersOpenByResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := gates{}
		var told []string
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "a" {
				return nil, errDial
			}
			return ok(r)
		}, lb.Config{Breakers: made.fuse, Observers: []lb.Observer{{Change: func(c lb.Change) {
			if !c.Joined {
				told = append(told, fmt.Sprintf("%s %v>%v", c.Backend.ID(), c.BreakerBefore, c.BreakerAfter))
			}
		}}}})
		if got := served(b, 3); got[""] != 0 {
			t.Errorf("%v served", got)
		}
		served(b, 1)
		synctest.Wait()
		asked := made["http://a"].asked.Load()
		if got := served(b, 30); got["a"]+got[""] != 0 || made["http://a"].asked.Load() != asked {
			t.Errorf("a's breaker has opened; %v served, and it was asked %d times", got, made["http://a"].asked.Load()-asked)
		}
		if want := []string{"http://a closed>open"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// Clients may do what they like: no backend is blamed, and each request is summed up once.
func TestClientFaults(t *testing.T) {
	made, told := gates{}, map[string]int{}
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
		if r.Body == nil {
			return nil, r.Context().Err()
		}
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	}, lb.Config{
		Breakers:  made.make,
		Observers: []lb.Observer{{Request: func(s lb.Summary) { told[fmt.Sprint(s.Reason, s.Status, " ", s.Attempts)]++ }}},
	})
	for range 9 {
		cut := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
		if r := serve(b, httptest.NewRequest("POST", "/", cut)); r.StatusCode != 400 {
			t.Errorf("answered %s to a broken body", r.Status)
		}
		large := httptest.NewRequest("POST", "/", strings.NewReader("much"))
		large.Body = http.MaxBytesReader(nil, large.Body, 2)
		if r := serve(b, large); r.StatusCode != 413 {
			t.Errorf("answered %s to a body that is too large", r.Status)
		}
		ctx, leave := context.WithCancel(t.Context())
		leave()
		serve(b, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}
	want := map[string]int{"upload400 1": 9, "upload413 0": 9, "client499 1": 9}
	if !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	for id, g := range made {
		if g.bad.Load() != 0 {
			t.Errorf("%s was blamed", id)
		}
	}
	for _, be := range b.Status().Backends {
		if be.ErrorRate() != 0 {
			t.Errorf("%s has error rate %v", be.ID(), be.ErrorRate())
		}
	}
	mustBeIdle(t, b)
}

func TestMethodsThatAreNotForwarded(t *testing.T) {
	asked := false
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) { asked = true; return ok(r) }, lb.Config{})
	for _, method := range []string{"CONNECT", "TRACE", "PRI"} {
		if r := serve(b, httptest.NewRequest(method, "/", nil)); r.StatusCode != 501 {
			t.Errorf("answered %s to %s", r.Status, method)
		}
		if _, err := b.RoundTrip(httptest.NewRequest(method, "http://shop/", nil)); !errors.Is(err, lb.ErrMethod) {
			t.Errorf("%s: %v", method, err)
		}
	}
	star := httptest.NewRequest("GET", "/", nil)
	star.URL.Path = "*"
	if r := serve(b, star); r.StatusCode != 501 {
		t.Errorf("answered %s to GET *", r.Status)
	}
	star.Method = "OPTIONS"
	if r := serve(b, star); r.StatusCode != 200 || asked {
		t.Errorf("answered %s to OPTIONS *; a backend was asked: %v", r.Status, asked)
	}
	mustBeIdle(t, b)
}

func TestRoundTripAnswersForItsHostsOnly(t *testing.T) {
	b, _ := balance(t, ok, lb.Config{Hosts: []string{"api:8080"}})
	for host, known := range map[string]bool{"shop": true, "SHOP:99": true, "api:8080": true, "api": false, "evil": false} {
		resp, err := b.RoundTrip(lb.Must(http.NewRequest("GET", "http://"+host+"/", nil)))
		if known != (err == nil) || !known && !errors.Is(err, lb.ErrHost) {
			t.Errorf("%s: %v", host, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	mustBeIdle(t, b)
}

// MaxInFlight holds exactly, whoever picks, and a full pool says so.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most [3]atomic.Int64
		leave := make(chan struct{})
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			i := r.URL.Host[0] - 'a'
			if n := now[i].Add(1); n > most[i].Load() {
				most[i].Store(n)
			}
			<-leave
			now[i].Add(-1)
			return ok(r)
		}, lb.Config{Policy: first, Retries: -1})
		if err := pool.Replace(lb.Spec{URL: "http://a", MaxInFlight: 1}, lb.Spec{URL: "http://b", MaxInFlight: 2}, lb.Spec{URL: "http://c", MaxInFlight: 3}); err != nil {
			t.Fatal(err)
		}
		codes := make(chan int, 50)
		for range 50 {
			go func() { codes <- get(b).StatusCode }()
		}
		synctest.Wait()
		if len(codes) != 44 {
			t.Errorf("%d of 50 were refused, want 44", len(codes))
		}
		close(leave)
		count := map[int]int{}
		for range 50 {
			count[<-codes]++
		}
		if count[503] != 44 || count[200] != 6 || most[0].Load() != 1 || most[1].Load() != 2 || most[2].Load() != 3 {
			t.Errorf("%v with at most %d, %d and %d in flight", count, most[0].Load(), most[1].Load(), most[2].Load())
		}
		mustBeIdle(t, b)
	})
}

// A request is in flight until its response has ended, however that comes about.
func TestInFlightEndsWithTheResponse(t *testing.T) {
	for name, end := range map[string]func(io.ReadCloser){
		"closed twice": func(body io.ReadCloser) { body.Close(); body.Close() },
		"read":         func(body io.ReadCloser) { _, _ = io.ReadAll(body) },
	} {
		b, _ := balance(t, ok, lb.Config{Policy: first})
		resp, err := b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if n := b.Status().Backends[0].InFlight(); n != 1 {
			t.Errorf("%s: %d in flight before the response has ended", name, n)
		}
		end(resp.Body)
		mustBeIdle(t, b)
	}
	for name, send := range map[string]backends{
		"panics":       func(*http.Request) (*http.Response, error) { panic("x") },
		"wrong status": func(*http.Request) (*http.Response, error) { return respond(99, "x"), nil },
		"unasked 101":  func(*http.Request) (*http.Response, error) { return respond(101, ""), nil },
	} {
		b, _ := balance(t, send, lb.Config{})
		func() { defer func() { _ = recover() }(); get(b) }()
		mustBeIdle(t, b)
		if name == "unasked 101" {
			if r := get(b); r.StatusCode != 502 {
				t.Errorf("an unasked 101 became %s", r.Status)
			}
		}
	}
}

// Attempts are judged by the end of their response.
func TestWhenAnAttemptIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body io.ReadCloser
		var told []string
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			resp := respond(200, "")
			resp.Body, resp.ContentLength = body, -1
			return resp, nil
		}, lb.Config{Policy: first, Observers: []lb.Observer{{
			Attempt: func(r lb.Result) { told = append(told, fmt.Sprint(r.Outcome, r.Reason)) },
			Request: func(s lb.Summary) { told = append(told, fmt.Sprint("end ", s.Status, s.Reason, s.Bytes)) },
		}}})
		expect := func(what string, want ...string) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told %q, want %q", what, told, want)
			}
			told = nil
		}
		body = io.NopCloser(iotest.OneByteReader(strings.NewReader("abc")))
		resp := lb.Must(b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil)))
		_, _ = resp.Body.Read(make([]byte, 1))
		expect("before the end")
		_, _ = io.ReadAll(resp.Body)
		expect("at the end", "success", "end 2003")

		body = io.NopCloser(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF)))
		get(b)
		expect("truncated", "failuretruncated", "end 200truncated2")
		if b.Status().Backends[0].ErrorRate() == 0 {
			t.Error("a truncated response did not raise the error rate")
		}

		body = io.NopCloser(iotest.OneByteReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF))))
		resp = lb.Must(b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil)))
		time.Sleep(1001 * time.Millisecond)
		_, _ = resp.Body.Read(make([]byte, 1))
		expect("a stream", "success")
		rate := b.Status().Backends[0].ErrorRate()
		_, _ = io.ReadAll(resp.Body)
		expect("a stream that breaks off", "end 200truncated3")
		if now := b.Status().Backends[0].ErrorRate(); now <= rate {
			t.Errorf("a stream that broke off moved the error rate from %v to %v", rate, now)
		}
		mustBeIdle(t, b)
	})
}

// What a balancer learns of its backends: good answers make the latency, failures the error rate.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, status := time.Second, 200
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			time.Sleep(took)
			return respond(status, "x"), nil
		}, lb.Config{Policy: first})
		a := func() lb.BackendStatus { return b.Status().Backends[0] }
		get(b)
		if got := a().Latency(); got != time.Second {
			t.Errorf("latency %v after an answer in 1s", got)
		}
		took = time.Millisecond
		get(b)
		if got := a().Latency(); got < 900*time.Millisecond || got >= time.Second {
			t.Errorf("latency %v soon after a slow answer", got)
		}
		status = 503
		for range 50 {
			get(b)
		}
		if got := a(); got.Latency() < 900*time.Millisecond || got.ErrorRate() < 0.9 {
			t.Errorf("failing fast made the latency %v and the error rate %v", got.Latency(), got.ErrorRate())
		}
		time.Sleep(time.Minute)
		if got := a().Load(time.Now()); got.Latency > 10*time.Millisecond || got.ErrorRate > 0.01 {
			t.Errorf("a minute later it is not forgiven: %+v", got)
		}
	})
}

func TestRemoveWaitsForIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave, removed := make(chan bool), make(chan error, 1)
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) { <-leave; return ok(r) }, lb.Config{})
		for range 3 {
			go get(b)
		}
		synctest.Wait()
		go func() { removed <- pool.Remove(t.Context(), "http://a") }()
		time.Sleep(time.Second)
		if len(removed) > 0 || pool.Snapshot().Find("http://a").Facts() != lb.Draining {
			t.Error("removed while a request was in flight")
		}
		close(leave)
		if err := <-removed; err != nil || pool.Snapshot().Find("http://a") != nil {
			t.Errorf("not removed after the request had ended: %v", err)
		}
		if err := pool.Remove(t.Context(), "http://a"); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, lb.Config{Policy: first})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		asking, leave := context.WithCancel(t.Context())
		defer leave()
		go serve(b, httptest.NewRequest("GET", "/", nil).WithContext(asking))
		synctest.Wait()
		if err := pool.Remove(ctx, "http://a"); !errors.Is(err, context.DeadlineExceeded) || pool.Snapshot().Find("http://a") != nil {
			t.Errorf("with a request that does not end: %v", err)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan bool)
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) { <-leave; return ok(r) }, lb.Config{})
		go get(b)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 request") {
			t.Errorf("with a request that does not end: %v", err)
		}
		go func() { time.Sleep(time.Second); close(leave) }()
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		mustBeIdle(t, b)
	})
}

// Whatever happens at once, each request is summed up once and gives back what it took, and once
// a backend has been removed no request starts there.
func TestStorm(t *testing.T) {
	var told, late atomic.Int64
	var gone sync.Map // hosts that are being kept out
	made := func(*lb.Backend) lb.Breaker { return &gate{} }
	b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
		if _, out := gone.Load(r.URL.Host); out {
			late.Add(1)
		}
		switch rand.IntN(9) {
		case 0:
			return nil, errDial
		case 1:
			panic(http.ErrAbortHandler)
		}
		return ok(r)
	}, lb.Config{
		Breakers:   made,
		SessionKey: key{true},
		Observers:  []lb.Observer{{Request: func(lb.Summary) { told.Add(1) }}},
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 300 {
				func() {
					defer func() { _ = recover() }()
					r := httptest.NewRequest("GET", "/", nil)
					r.Header.Set("X-Key", "s@http://"+string(rune('a'+rand.IntN(4))))
					serve(b, r)
				}()
				id := "http://" + string(rune('a'+rand.IntN(2)))
				if rand.IntN(2) == 0 {
					pool.Mark(id, lb.Down, "test")
				} else {
					pool.Clear(id, lb.Down, "test")
				}
				pool.SetWeight(id, rand.IntN(9))
				if i == 0 {
					_ = pool.Remove(t.Context(), "http://c")
					gone.Store("c", true)
					b.Status()
					gone.Delete("c")
					_ = pool.Add(lb.URLs("http://c")...)
				}
			}
		})
	}
	wg.Wait()
	mustBeIdle(t, b)
	if told.Load() != 8*300 || late.Load() != 0 {
		t.Errorf("%d summaries of %d requests, %d of them to a backend that was gone", told.Load(), 8*300, late.Load())
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		until := runner(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		fails := runner(func(ctx context.Context) error { time.Sleep(time.Second); return boom })
		ends := runner(func(context.Context) error { return nil })
		if err := lb.Run(t.Context(), until, fails, ends); !errors.Is(err, boom) {
			t.Errorf("one fails: %v", err)
		}
		if err := lb.Run(t.Context(), ends, ends); err != nil {
			t.Errorf("all end: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := lb.Run(ctx, until, ends); err != nil {
			t.Errorf("the context ends: %v", err)
		}
	})
}

type runner func(context.Context) error

func (f runner) Run(ctx context.Context) error { return f(ctx) }
