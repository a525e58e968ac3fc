package lb_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// explained is a picker that notes what it is asked.
type explained struct {
	lb.Picker
	asked *lb.PickInfo
	set   []lb.Candidate
}

func (e explained) Explain(info lb.PickInfo) []lb.Score {
	*e.asked = info
	return []lb.Score{{Backend: e.set[0].Backend, Why: "the only one"}}
}

// A picker is asked as for a request from the same client; nothing is counted.
func TestExplainAsksThePicker(t *testing.T) {
	var asked lb.PickInfo
	pool := lb.Must(lb.NewPool(lb.URLs("http://a")...))
	b := lb.Must(lb.New(lb.Config{
		Pool:           pool,
		Policy:         func(set lb.Set) lb.Picker { return explained{first(set), &asked, set.Eligible} },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Observers:      []lb.Observer{{Request: func(lb.Summary) { t.Error("a request was counted") }}},
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:99"
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	got := b.Explain(r).Backends
	if len(got) != 1 || got[0].Backend.ID() != "http://a" || !got[0].Scored || got[0].Detail != "the only one" {
		t.Fatalf("%+v", got)
	}
	if asked.Request != r || asked.ClientIP != netip.MustParseAddr("192.0.2.7") || !asked.Trusted || asked.Now.IsZero() {
		t.Errorf("asked with %+v", asked)
	}
	if s := b.Status(); s.Active != 0 || s.Backends[0].InFlight() != 0 {
		t.Errorf("%+v", s)
	}
	pool.Mark("http://a", lb.Draining, "test")
	if got := b.Explain(r).Backends; len(got) != 1 || got[0].Eligible || got[0].Why != "draining" {
		t.Errorf("nobody is eligible, and it is explained as %+v", got)
	}
}

func TestExplainOfASilentPicker(t *testing.T) {
	b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs("http://a")...)), Policy: first}))
	got := b.Explain(httptest.NewRequest(http.MethodGet, "/", nil)).Backends
	if len(got) != 1 || got[0].Scored || !got[0].Eligible || got[0].Weight != 1 {
		t.Errorf("%+v", got)
	}
}

// Each backend that is left out has its word, and the others come before, by score.
func TestWhyBackendsAreLeftOut(t *testing.T) {
	made := gates{}
	var specs []lb.Spec
	for _, id := range []string{"bound", "busy", "down", "draining", "ejected", "far", "fresh", "full", "idle", "suspect", "tripped"} {
		region := map[bool]string{true: "us", false: "eu"}[id == "far"]
		specs = append(specs, lb.Spec{ID: id, URL: "http://" + id, MaxInFlight: 2, Labels: map[string]string{"region": region}})
	}
	pool := lb.Must(lb.NewPool(specs...))
	b := lb.Must(lb.New(lb.Config{
		Pool: pool, Breakers: made.make, SessionKey: key{true}, SlowStart: lb.SlowStart{Window: time.Hour},
		Policy: picker.Region(picker.RegionHeader("X-Region", "eu"), picker.LeastLoaded), Hosts: []string{"shop"},
		Transport: backends(ok),
	}))
	b.Status()
	hold := func(id string, n int) {
		for range n {
			r := httptest.NewRequest("GET", "http://shop/", nil)
			r.Header.Set("X-Key", "s@"+id)
			resp := lb.Must(b.RoundTrip(r))
			t.Cleanup(func() { resp.Body.Close() })
		}
	}
	hold("busy", 1)
	hold("full", pool.Snapshot().Find("full").MaxInFlight())
	for id, fact := range map[string]lb.Facts{"down": lb.Down, "draining": lb.Draining, "ejected": lb.Ejected, "suspect": lb.Suspect, "bound": lb.Draining, "fresh": lb.Down} {
		pool.Mark(id, fact, "test")
	}
	made["tripped"].state.Store(int32(lb.Open))
	b.Status()
	pool.Clear("fresh", lb.Down, "test")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Key", "s@bound")
	e := b.Explain(r)
	want := "bound: bound; candidates: fresh 0 (0 in flight for weight 0.1) slow-start, idle 0 (0 in flight for weight 1), " +
		"busy 1 (1 in flight for weight 1), bound draining; " +
		"left out: down down, draining draining, ejected ejected, far region, full full, suspect suspect, tripped tripped"
	if got := e.String(); got != want {
		t.Errorf("explained as\n%s\nwant\n%s", got, want)
	}
	pool.Mark("idle", lb.Down, "test")
	for _, id := range []string{"busy", "full", "far", "fresh"} {
		pool.Mark(id, lb.Ejected, "test")
	}
	if got := b.Explain(r).String(); !strings.Contains(got, "(0 in flight for weight 1) down") {
		t.Errorf("failing open is explained as %s", got)
	}
}

// A request that is explained says what was chosen from, and how each attempt ended, in the summary and to
// peers who may know it: by their connection, whatever a header says.
func TestRequestsAreExplained(t *testing.T) {
	var sum lb.Summary
	wanted := true
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
		switch r.URL.Host {
		case "a":
			return nil, errDial
		case "b":
			return respond(500, "b"), nil
		}
		return ok(r)
	}, lb.Config{
		Policy: func(s lb.Set) lb.Picker { return inOrder(s) }, SessionKey: key{true},
		ExplainTo: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		Observers: []lb.Observer{{
			Request: func(s lb.Summary) { sum = s },
			Explain: func(*http.Request) bool { return wanted },
		}},
	})
	for _, c := range []struct {
		peer   string
		wanted bool
		header bool
	}{{"192.0.2.1:1", false, true}, {"192.0.2.1:1", true, true}, {"198.51.100.1:1", true, false}, {"198.51.100.1:1", false, false}} {
		wanted = c.wanted
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("X-Key", "secret@")
		resp := serve(b, r)
		got := resp.Header.Get("Lb-Explain")
		if (got != "") != c.header || (sum.Explanation != nil) != (c.wanted || c.header) {
			t.Errorf("%+v: %q, %+v", c, got, sum.Explanation)
		}
		if got != "" && !regexp.MustCompile(`^attempts: http://a dial \S+, http://b 500 \S+; candidates: http://b, http://c; left out: http://a tried$`).MatchString(got) {
			t.Errorf("explained as %q", got)
		}
		if e := sum.Explanation; e != nil {
			if len(e.Attempts) != 2 || e.Attempts[0].Reason != "dial" || e.Attempts[1].Status != 500 || len(e.Backends) != 3 || e.Backends[2].Why != "tried" {
				t.Errorf("%+v", e)
			}
			if strings.Contains(e.String(), "secret") {
				t.Errorf("%s has the session", e)
			}
		}
	}
	mustBeIdle(t, b)
}

// Who gets nothing gets the explanation, of whatever length and in whatever letters it would be, in a line
// that a header may have.
func TestExplanationsAreBounded(t *testing.T) {
	b, pool := balance(t, ok, lb.Config{ExplainTo: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Queue: lb.Queue{Length: 1, Timeout: time.Nanosecond}})
	var specs []lb.Spec
	for i := range 100 {
		specs = append(specs, lb.Spec{ID: fmt.Sprint("größe ", i), URL: "http://a", MaxInFlight: 1})
	}
	_ = pool.Replace(specs...)
	for range 100 {
		resp := lb.Must(b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil)))
		t.Cleanup(func() { resp.Body.Close() })
	}
	resp := get(b)
	got := resp.Header.Get("Lb-Explain")
	if resp.StatusCode != 503 || len(got) > 1024 || len(got) < 500 || !strings.HasPrefix(got, "waited: ") || !strings.Contains(got, "left out: gr??e 0 full, gr??e 1 full") || !strings.HasSuffix(got, "...") {
		t.Errorf("%s with %q", resp.Status, got)
	}
	for _, r := range got {
		if r < ' ' || r > '~' {
			t.Errorf("%q is in it", r)
		}
	}
}

// Nobody asks, nobody is told, and it costs nothing; and who asks and panics leaves nothing behind.
func TestExplainIsOff(t *testing.T) {
	asked := 0
	b, _ := balance(t, ok, lb.Config{
		Policy: func(s lb.Set) lb.Picker { return explainer(func() { asked++ }) },
		Observers: []lb.Observer{{Request: func(s lb.Summary) {
			if s.Explanation != nil {
				t.Errorf("%+v", s.Explanation)
			}
		}}},
	})
	if h := get(b).Header; asked != 0 || h.Get("Lb-Explain") != "" {
		t.Errorf("asked %d times, %v", asked, h)
	}
	b, _ = balance(t, ok, lb.Config{Observers: []lb.Observer{{Explain: func(*http.Request) bool { panic("x") }}}})
	func() { defer func() { _ = recover() }(); get(b) }()
	mustBeIdle(t, b)
}

// explainer refuses all, and says when it is asked why.
type explainer func()

func (explainer) Pick(lb.PickInfo) *lb.Backend { return nil }

func (e explainer) Explain(lb.PickInfo) []lb.Score { e(); return nil }

// Who would get a request, and why.
func ExampleBalancer_Explain() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "blue", URL: "http://10.0.0.1"}, lb.Spec{ID: "green", URL: "http://10.0.0.2", Weight: 3}))
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.LeastLoaded}))
	pool.Mark("blue", lb.Draining, "upgrade")
	for _, s := range balancer.Explain(&http.Request{}).Backends {
		fmt.Println(s.Backend.ID(), s.Eligible, s.Why, s.Weight, s.Detail)
	}
	// Output:
	// green true  3 0 in flight for weight 3
	// blue false draining 0
}
