package lb_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/go-loadbalancer/lb"
)

// weary is a transport whose backends answer 503 with the fields that they have in it, and else ok.
type weary struct {
	mu     sync.Mutex
	fields map[string][]string // of Retry-After, by host
	status int
	asked  map[string]int
}

func asks(fields map[string][]string) *weary {
	return &weary{fields: fields, status: 503, asked: map[string]int{}}
}

func (a *weary) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.Host]++
	if fields, ok := a.fields[r.URL.Host]; ok {
		resp := respond(a.status, r.URL.Host)
		resp.Header["Retry-After"] = fields
		return resp, nil
	}
	return ok(r)
}

func (a *weary) set(host string, fields ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(fields) == 0 {
		delete(a.fields, host)
		return
	}
	a.fields[host] = fields
}

// take returns who was asked how often since the last time.
func (a *weary) take() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.asked
	a.asked = map[string]int{}
	return was
}

var on503 = lb.Retry{Statuses: []int{503}}

// What a backend asks for, and what that is worth: the time until new requests come is measured.
func TestWhatRetryAfterIsWorth(t *testing.T) {
	const none, most = 0, 30 * time.Second
	date := func(d time.Duration) string { // from when bubbles begin
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	for _, c := range []struct {
		fields []string
		retry  lb.Retry
		want   time.Duration
	}{
		{[]string{"5"}, on503, 5 * time.Second},
		{[]string{" 5 "}, on503, 5 * time.Second},
		{[]string{"007"}, on503, 7 * time.Second},
		{[]string{"30"}, on503, most}, {[]string{"31"}, on503, most}, {[]string{"9223372036"}, on503, most},
		{[]string{"9223372037"}, on503, most}, {[]string{strings.Repeat("9", 400)}, on503, most},
		{[]string{date(5 * time.Second)}, on503, 5 * time.Second},
		{[]string{"Sat Jan  1 00:00:05 2000"}, on503, 5 * time.Second},
		{[]string{date(1e6 * time.Hour)}, on503, most},
		{[]string{date(-time.Second)}, on503, none}, {[]string{date(0)}, on503, none},
		{[]string{"0"}, on503, none}, {[]string{""}, on503, none}, {[]string{"-5"}, on503, none}, {[]string{"+5"}, on503, none},
		{[]string{"5.5"}, on503, none}, {[]string{"5s"}, on503, none}, {[]string{"0x5"}, on503, none}, {[]string{"5, 6"}, on503, none},
		{[]string{"tomorrow"}, on503, none}, {[]string{"5", "6"}, on503, none}, {nil, on503, none}, {[]string{"٥"}, on503, none},
		{[]string{"5"}, lb.Retry{Statuses: []int{503}, MaxRest: 2 * time.Second}, 2 * time.Second},
		{[]string{"90"}, lb.Retry{Statuses: []int{503}, MaxRest: time.Minute}, time.Minute},
		{[]string{"5"}, lb.Retry{Statuses: []int{503}, MaxRest: -1}, none},
		{[]string{"5"}, lb.Retry{Statuses: []int{502, 504}}, none},
		{[]string{"5"}, lb.Retry{}, none},
	} {
		synctest.Test(t, func(t *testing.T) {
			world := asks(map[string][]string{"a": c.fields})
			b, _ := balance(t, world.RoundTrip, lb.Config{Policy: inOrder, Retry: c.retry})
			get(b)
			world.set("a")
			start := time.Now()
			for b.Status().Backends[0].Facts().Has(lb.Resting) {
				time.Sleep(time.Second)
			}
			if got := time.Since(start); got != c.want {
				t.Errorf("%q with %+v: %v, want %v", c.fields, c.retry, got, c.want)
			}
			if get(b).Header.Get("X-Backend") != "a" {
				t.Errorf("%q: it is not asked again", c.fields)
			}
		})
	}
}

// The request goes to another backend at once, and so do all others until the time is over; observers,
// Status and Explain say why.
func TestWhoAsksForRestGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		world := asks(map[string][]string{"a": {"5"}})
		b, _ := balance(t, world.RoundTrip, lb.Config{Policy: inOrder, Retry: on503, Observers: []lb.Observer{{Change: func(c lb.Change) {
			if !c.Joined {
				told = append(told, fmt.Sprint(c.Backend.ID()[7:], " ", c.Before, ">", c.After, ": ", c.Cause))
			}
		}}}})
		start := time.Now()
		if resp := get(b); resp.StatusCode != 200 || resp.Header.Get("X-Backend") != "b" || time.Since(start) != 0 {
			t.Fatalf("%s from %q after %v", resp.Status, resp.Header.Get("X-Backend"), time.Since(start))
		}
		a := b.Status().Backends[0]
		if a.Share != 0 || a.Facts() != lb.Resting || !a.RestsUntil.Equal(start.Add(5*time.Second)) || a.Cause() != "it asked to be left alone for 5s" {
			t.Errorf("status: %v %v %v %q", a.Share, a.Facts(), a.RestsUntil, a.Cause())
		}
		if got, want := b.Explain(httptest.NewRequest("GET", "/", nil)).String(), "candidates: http://b, http://c; left out: http://a resting"; got != want {
			t.Errorf("explained as %q, want %q", got, want)
		}
		world.take()
		for range 49 {
			time.Sleep(100 * time.Millisecond)
			get(b)
		}
		if got := world.take(); got["a"] != 0 || got["b"] != 49 {
			t.Errorf("asked while it rests: %v", got)
		}
		time.Sleep(100 * time.Millisecond)
		b.Status()
		world.set("a")
		if got := served(b, 10); got["a"] != 10 {
			t.Errorf("when the time is over: %v", got)
		}
		want := "[a fit>resting: it asked to be left alone for 5s a resting>fit: its rest is over]"
		if got := fmt.Sprint(told); got != want {
			t.Errorf("told %v, want %v", got, want)
		}
		if !b.Status().Backends[0].RestsUntil.IsZero() {
			t.Error("it rests still")
		}
		mustBeIdle(t, b)
	})
}

// 429 counts only where it was chosen; a POST is not sent again, but its answer is heeded all the same.
func TestWhichAnswersAreHeeded(t *testing.T) {
	for _, c := range []struct {
		method   string
		status   int
		statuses []int
		want     int
		rests    bool
	}{
		{"GET", 429, []int{503}, 429, false}, {"GET", 429, []int{429}, 200, true}, {"POST", 503, []int{503}, 503, true},
		{"GET", 200, []int{503}, 200, false}, {"GET", 500, []int{503}, 500, false},
	} {
		world := asks(map[string][]string{"a": {"5"}})
		world.status = c.status
		b, pool := balance(t, world.RoundTrip, lb.Config{Policy: first, Retry: lb.Retry{Statuses: c.statuses}})
		resp := serve(b, httptest.NewRequest(c.method, "/", nil))
		if got := b.Status().Backends[0].Facts().Has(lb.Resting); resp.StatusCode != c.want || got != c.rests {
			t.Errorf("%+v: %s, rests %v", c, resp.Status, got)
		}
		direct := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first, Hosts: []string{"shop"}, Transport: world, Retry: lb.Retry{Statuses: c.statuses}}))
		if resp, err := direct.RoundTrip(httptest.NewRequest(c.method, "http://shop/", nil)); err != nil || resp.Body.Close() != nil {
			t.Error(err)
		}
		if got := direct.Status().Backends[0].Facts().Has(lb.Resting); got != c.rests {
			t.Errorf("%+v: by RoundTrip it rests: %v", c, got)
		}
		if resp.StatusCode == c.status && resp.StatusCode != 200 && resp.Header.Get("Retry-After") != "5" {
			t.Errorf("%+v: the client is not told when to come again: %v", c, resp.Header)
		}
	}
}

// When nobody is left who has not asked for rest, there is no rest: the client gets the backend's own answer.
func TestNobodyLeftToLetRest(t *testing.T) {
	for n := 1; n <= 3; n++ {
		world := asks(map[string][]string{"a": {"7"}, "b": {"7"}, "c": {"7"}})
		b, pool := balance(t, world.RoundTrip, lb.Config{Retries: 3, Retry: on503})
		for _, id := range []string{"http://c", "http://b"}[:3-n] {
			_ = pool.Remove(t.Context(), id)
		}
		for range 50 {
			if resp := get(b); resp.StatusCode != 503 || resp.Header.Get("X-Backend") == "" || resp.Header.Get("Retry-After") != "7" {
				t.Fatalf("of %d: %s %v", n, resp.Status, resp.Header)
			}
		}
		if s := b.Status(); s.Available < (n+1)/2 {
			t.Errorf("of %d, %d are left", n, s.Available)
		}
		mustBeIdle(t, b)
	}
}

// One that rests is asked in the last resort, if no other has a place and no queue is there to wait in.
func TestRestingInTheLastResort(t *testing.T) {
	for _, queue := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			world := asks(map[string][]string{"a": {"5"}})
			hold := make(chan bool)
			var held atomic.Int64
			pool := lb.Must(lb.NewPool(lb.Spec{URL: "http://a"}, lb.Spec{URL: "http://b", MaxInFlight: 1}))
			b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first, Retry: on503, Queue: lb.Queue{Length: queue},
				Transport: backends(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/hold" {
						held.Add(1)
						<-hold
					}
					return world.RoundTrip(r)
				})}))
			get(b)
			b.Status()
			done := make(chan *http.Response)
			go func() { done <- serve(b, httptest.NewRequest("GET", "/hold", nil)) }()
			synctest.Wait()
			world.take()
			resp := get(b)
			asked := world.take()["a"]
			if queue == 0 && (resp.Header.Get("Retry-After") != "5" || resp.Header.Get("X-Backend") != "a" || asked != 1) {
				t.Errorf("without a queue: %s %v", resp.Status, resp.Header)
			}
			if queue > 0 && asked != 0 {
				t.Errorf("with a queue it was asked %d times", asked)
			}
			close(hold)
			if resp := <-done; resp.Header.Get("X-Backend") != "b" || held.Load() != 1 {
				t.Errorf("held: %v", resp.Header)
			}
			mustBeIdle(t, b)
		})
	}
}

// A session that is bound to a backend that rests is served elsewhere, and keeps its place there.
func TestSessionsOfOneThatRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := asks(map[string][]string{"a": {"5"}})
		b, _ := balance(t, world.RoundTrip, lb.Config{Policy: first, Retry: on503, SessionKey: key{true}})
		get(b)
		b.Status()
		world.set("a")
		bound := func() *http.Response {
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("X-Key", "s@http://a")
			return serve(b, r)
		}
		if resp := bound(); resp.StatusCode != 200 || resp.Header.Get("X-Backend") == "a" || resp.Header.Get("X-Key") != "" {
			t.Errorf("while it rests: %s %v", resp.Status, resp.Header)
		}
		time.Sleep(5 * time.Second)
		b.Status()
		if resp := bound(); resp.Header.Get("X-Backend") != "a" {
			t.Errorf("afterwards: %v", resp.Header)
		}
	})
}

// Whoever asks for rest with every answer has no view built for each.
func TestAskingAgainChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var built atomic.Int64
		world := asks(map[string][]string{"a": {"1"}, "b": {"1"}, "c": {"1"}})
		b, _ := balance(t, world.RoundTrip, lb.Config{Retry: on503, Policy: func(s lb.Set) lb.Picker { built.Add(1); return turns(s) }})
		for range 1000 {
			get(b)
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if n := built.Load(); n > 1+10*6 {
			t.Errorf("%d views in ten seconds", n)
		}
	})
}

// However many ask for rest, whoever else is out, and in whatever order: at least half of those that can
// serve stay, nobody is asked who rests, nobody rests for longer than it may, and all come back.
func TestRestsLeaveHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, restsLeaveHalf) })
}

func restsLeaveHalf(rt *rapid.T) {
	n := rapid.IntRange(1, 9).Draw(rt, "backends")
	most := time.Duration(rapid.IntRange(1, 40).Draw(rt, "MaxRest")) * time.Second
	world := asks(map[string][]string{})
	var specs []lb.Spec
	for i := range n {
		specs = append(specs, lb.Spec{ID: fmt.Sprint(i), URL: fmt.Sprintf("http://%d", i)})
	}
	pool := lb.Must(lb.NewPool(specs...))
	b := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: turns, Transport: world, Retry: lb.Retry{Statuses: []int{503}, MaxRest: most},
		PanicThreshold: rapid.SampledFrom([]float64{-1, 0, 0.6, 1}).Draw(rt, "PanicThreshold"),
	}))
	id := rapid.IntRange(0, n-1)
	fact := rapid.SampledFrom([]lb.Facts{lb.Down, lb.Ejected, lb.Suspect, lb.Draining})
	rt.Repeat(map[string]func(*rapid.T){
		"ask": func(rt *rapid.T) {
			world.set(fmt.Sprint(id.Draw(rt, "who")), fmt.Sprint(rapid.IntRange(0, 60).Draw(rt, "seconds")))
		},
		"well":  func(rt *rapid.T) { world.set(fmt.Sprint(id.Draw(rt, "who"))) },
		"mark":  func(rt *rapid.T) { pool.Mark(fmt.Sprint(id.Draw(rt, "who")), fact.Draw(rt, "fact"), "test") },
		"clear": func(rt *rapid.T) { pool.Clear(fmt.Sprint(id.Draw(rt, "who")), fact.Draw(rt, "fact"), "test") },
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
		},
		"serve": func(rt *rapid.T) {
			rested := map[string]bool{}
			s := b.Status()
			for _, be := range s.Backends {
				rested[be.ID()] = be.Facts().Has(lb.Resting)
			}
			world.take()
			get(b)
			synctest.Wait()
			for who := range world.take() {
				if rested[who] {
					rt.Errorf("%s was asked while it rests", who)
				}
			}
		},
		"": func(rt *rapid.T) {
			fit, resting := 0, 0
			for _, be := range b.Status().Backends {
				f, left := be.Facts(), time.Until(be.RestsUntil)
				switch rests := f.Has(lb.Resting); {
				case rests != !be.RestsUntil.IsZero(), rests && (left <= 0 || left > most || be.Share != 0):
					rt.Errorf("%s: %v for %v with %v", be.ID(), f, left, be.Share)
				case rests:
					resting++
				}
				if (f &^ lb.Resting).Fit() {
					fit++
				}
			}
			if 2*resting > fit {
				rt.Errorf("%d of %d rest", resting, fit)
			}
		},
	})
	time.Sleep(most)
	for _, be := range b.Status().Backends {
		if be.Facts().Has(lb.Resting) {
			rt.Errorf("%s rests for ever", be.ID())
		}
	}
}

// Who is on trial is nobody to rely on: only those whose breakers are closed count as the half that stays.
func TestTrialsAreNobodyToRelyOn(t *testing.T) {
	for id, want := range map[string]bool{"http://b": false, "http://a": true} { // then b and c are left
		made := gates{}
		world := asks(map[string][]string{"a": {"5"}})
		b, pool := balance(t, world.RoundTrip, lb.Config{Policy: inOrder, Retry: on503, Breakers: made.make})
		_ = pool.Remove(t.Context(), "http://c")
		b.Status()
		made[id].state.Store(int32(lb.HalfOpen))
		_ = pool.Add(lb.Spec{URL: "http://d"})
		if id == "http://b" {
			_ = pool.Remove(t.Context(), "http://d")
		}
		get(b)
		if got := b.Status().Backends[0].Facts().Has(lb.Resting); got != want {
			t.Errorf("with %s on trial: a rests: %v", id, got)
		}
	}
}

// Many requests may be told at once, over the engine too, and in hedges.
func TestRestsOverSockets(t *testing.T) {
	var asked atomic.Int64
	f := pair(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(503)
	}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") }, lb.Config{Retry: on503, Hedge: lb.Hedge{After: time.Hour}})
	ask := func(want func(status int) bool) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10 {
					if resp, got := f.do(t, f.request(t, "GET", "/", nil)); !want(resp.StatusCode) {
						t.Errorf("%s %q", resp.Status, got)
					}
				}
			})
		}
		all.Wait()
	}
	ask(func(status int) bool { return status == 200 || status == 503 }) // while the budget lasts
	f.balancer.Status()
	before := asked.Load()
	ask(func(status int) bool { return status == 200 })
	if n := asked.Load(); n != before || n == 0 {
		t.Errorf("it was asked %d times, %d of them while it rests", n, n-before)
	}
	if !f.balancer.Status().Backends[0].Facts().Has(lb.Resting) {
		t.Error("it does not rest")
	}
	f.Close()
	becomesIdle(t, f.balancer) // tries that were faster than a hedge may just be ending
}

func TestWrongRest(t *testing.T) {
	_, err := lb.New(lb.Config{Pool: lb.Must(lb.NewPool()), Policy: first, Retry: lb.Retry{MaxRest: time.Second}})
	if err == nil || !strings.Contains(err.Error(), "Retry.MaxRest 1s is for Statuses") {
		t.Error(err)
	}
}
