package redis

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/autoscale"
	"github.com/go-loadbalancer/lb/internal/redistest"
)

func TestFaults(t *testing.T) {
	_, err := New(Config{URL: "redis://:hush@", Secret: []byte("short"), Prefix: "a{b}", Name: "a b", Validity: 1, Timeout: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"URL", "Secret", "Prefix", "Name", "Validity", "Timeout"} {
		if !strings.Contains(err.Error(), "autoscale/redis: Config."+field+" ") {
			t.Errorf("%s is not named in\n%v", field, err)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error shows a password: %v", err)
	}
}

// open returns a Leader until the test ends.
func open(t *testing.T, r *redistest.Redis, key string) *Leader {
	t.Helper()
	l, err := New(Config{URL: r.Address(), Secret: []byte(key), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// full has something in every field.
var full = autoscale.State{Revision: 7, Generation: 3, Leader: "x", Desired: 2, Backends: []autoscale.Launched{
	{Key: "k", By: "x", Phase: autoscale.Serving, Spec: lb.Spec{ID: "m1", URL: "http://10.0.0.1", Weight: 2, MaxInFlight: 3, ServerName: "n", Labels: map[string]string{"zone": "a"}}},
	{Key: "l", By: "y", Phase: autoscale.Starting},
}}

// TestSwap has what is written be read, by another instance, too, and only the last one replaced.
func TestSwap(t *testing.T) {
	r := redistest.Start(t)
	a, b, ctx := open(t, r, string(secret)), open(t, r, string(secret)), t.Context()
	swap := func(l *Leader, old, next autoscale.State, want bool) {
		t.Helper()
		if got, err := l.Swap(ctx, old, next); err != nil || got != want {
			t.Errorf("swapped: %v, %v", got, err)
		}
	}
	swap(a, full, full, false)
	swap(a, autoscale.State{}, full, true)
	swap(b, autoscale.State{}, full, false)
	if got, err := b.Read(ctx); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("read %+v, %v", got, err)
	}
	next := full
	next.Revision++
	swap(b, full, next, true)
	swap(a, full, next, false)
	if s := a.Stats(); s.Conflicts != 2 || s.Desired != 2 || s.Generation != 3 {
		t.Errorf("%+v", s)
	}
}

// TestSwapRace has many instances count up, and none is lost.
func TestSwapRace(t *testing.T) {
	r := redistest.Start(t)
	var all sync.WaitGroup
	for i := range 8 {
		l := open(t, r, string(secret))
		all.Go(func() {
			for done := 0; done < 50; {
				s, err := l.Read(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				next := s
				next.Revision++
				next.Desired++
				next.Leader = fmt.Sprint(i)
				if ok, err := l.Swap(t.Context(), s, next); err != nil {
					t.Error(err)
					return
				} else if ok {
					done++
				}
			}
		})
	}
	all.Wait()
	if s, err := open(t, r, string(secret)).Read(t.Context()); err != nil || s.Revision != 400 || s.Desired != 400 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestHostile has everything but what ours have written be nothing, and be overwritten.
func TestHostile(t *testing.T) {
	r := redistest.Start(t)
	const state, list = "lb:scale:default:state", "lb:scale:default:reports"
	a, ctx := open(t, r, string(secret)), t.Context()
	do := func(args ...string) {
		t.Helper()
		if _, err := r.Do(args...); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := a.seal.write("lb:scale:other:state", full)
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(){
		"nothing":      func() {},
		"text":         func() { do("SET", state, "hello") },
		"a copy":       func() { do("SET", state, copied) },
		"a hash":       func() { do("HSET", state, "a", "b") },
		"a list":       func() { do("RPUSH", state, "a") },
		"two megabyte": func() { do("SET", state, strings.Repeat("x", 2<<20)) },
		"another secret": func() {
			if ok, err := open(t, r, strings.Repeat("other", 7)).Swap(ctx, autoscale.State{}, full); !ok || err != nil {
				t.Error(ok, err)
			}
		},
	} {
		do("DEL", state)
		put()
		if s, err := a.Read(ctx); err != nil || !reflect.DeepEqual(s, autoscale.State{}) {
			t.Errorf("%s: read %+v, %v", name, s, err)
		}
		if ok, err := a.Swap(ctx, autoscale.State{}, full); err != nil || !ok {
			t.Errorf("%s: swapped %v, %v", name, ok, err)
		}
		if s, err := a.Read(ctx); err != nil || !reflect.DeepEqual(s, full) {
			t.Errorf("%s: then read %+v, %v", name, s, err)
		}
	}
	do("SET", list, "hello")
	if all, err := a.Reports(ctx); err != nil || len(all) != 0 {
		t.Errorf("reports of a string: %v, %v", all, err)
	}
	if err := a.Report(ctx, "x", &autoscale.Report{Begun: 1}); err != nil {
		t.Error(err)
	}
	stolen, _ := r.Do("HGET", list, "x")
	do("HSET", list, "y", stolen.(string), "z", "nonsense", "old", "1:"+strings.SplitN(stolen.(string), ":", 2)[1])
	if all, err := a.Reports(ctx); err != nil || len(all) != 1 || all["x"].Begun != 1 {
		t.Errorf("reports: %v, %v", all, err)
	}
	if n, _ := r.Do("HLEN", list); n != int64(2) { // what has no time or an old one has gone
		t.Errorf("%v fields left", n)
	}
}

// TestReports has instances come, speak again and go.
func TestReports(t *testing.T) {
	r := redistest.Start(t)
	l, ctx := open(t, r, string(secret)), t.Context()
	sent := autoscale.Report{Up: 1, Generation: 2, Revision: 3, Draining: []string{"m1"}, Answered: 4, Failed: 5, Begun: 6, Ended: 7, Busy: 8, InFlight: 9}
	for _, name := range []string{"a", "b", "a"} {
		if err := l.Report(ctx, name, &sent); err != nil {
			t.Fatal(err)
		}
	}
	all, err := l.Reports(ctx)
	if err != nil || len(all) != 2 || !reflect.DeepEqual(all["b"], sent) || l.Stats().Instances != 2 {
		t.Errorf("%+v, %v, %+v", all, err, l.Stats())
	}
	if err := l.Report(ctx, "b", nil); err != nil {
		t.Fatal(err)
	}
	if all, err := l.Reports(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestLead has one lead at a time, and the next when it resigns.
func TestLead(t *testing.T) {
	r := redistest.Start(t)
	a, b := open(t, r, string(secret)), open(t, r, string(secret))
	held, resign, err := a.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan context.Context)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		held, _, err := b.Lead(ctx)
		if err != nil {
			t.Error(err)
		}
		second <- held
	}()
	select {
	case <-second:
		t.Error("two lead")
	case <-held.Done():
		t.Error("it was lost")
	case <-time.After(50 * time.Millisecond):
	}
	resign()
	resign()
	<-held.Done()
	other := <-second
	if s := a.Stats(); s.Leading != 0 || s.Terms != 1 || s.Lost != 0 || b.Stats().Leading != 1 {
		t.Errorf("%+v, %+v", s, b.Stats())
	}
	cancel()
	<-other.Done()
}

// TestAway has Redis away: errors in time, and counted.
func TestAway(t *testing.T) {
	r := redistest.Start(t)
	r.Kill()
	l, err := New(Config{URL: r.Address(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Read(t.Context()); err == nil {
		t.Error("it was read")
	}
	if _, err := l.Swap(t.Context(), full, full); err == nil {
		t.Error("it was swapped")
	}
	if err := l.Report(t.Context(), "x", &autoscale.Report{}); err == nil {
		t.Error("it was reported")
	}
	if _, err := l.Reports(t.Context()); err == nil {
		t.Error("there are reports")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Lead(ctx); err == nil {
		t.Error("it leads")
	}
	if n := l.Stats().Failures; n != 4 {
		t.Errorf("%d failures", n)
	}
}
