package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// shared is what all rows of a test run need; nil if it could not be made.
var shared *harness

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := playRole(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "6") // rows wait most of their time
	h, err := newHarness(context.Background(), "", true, io.Discard)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared = h
	code := m.Run()
	h.close()
	os.Exit(code)
}

// Under each fault, what has to hold does, in numbers of requests. How long something took depends
// on what else the machine does: that is told, and decides nothing.
func TestFaults(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.id, func(t *testing.T) {
			t.Parallel()
			res := shared.perform(t.Context(), r, nil)
			if res.outcome == nil && len(r.needs) > 0 {
				t.Skip(res.why)
			}
			if res.outcome == nil {
				t.Fatal(res.why)
			}
			t.Log(res.line())
			for _, n := range res.outcome.notes {
				t.Log(n)
			}
			for _, l := range res.outcome.missed() {
				switch {
				case l.timed:
					t.Log("late: ", l)
				case r.open:
					t.Log("not met yet: ", l, "; ", r.why)
				default:
					t.Error(l)
				}
			}
		})
	}
}

// A tally tells apart what clients and backends saw.
func TestTally(t *testing.T) {
	failed := errors.New("no")
	shots := []shot{
		{id: "get"},
		{id: "failed get", err: failed},
		{id: "once", post: true, took: 400 * time.Millisecond},
		{id: "twice", post: true, took: 2 * time.Second},
		{id: "failed twice", post: true, err: failed},
		{id: "failed once", post: true, err: failed},
		{id: "failed never", post: true, err: failed},
		{id: "lost", post: true},
	}
	o := tally(shots, map[string]int{"once": 1, "twice": 2, "failed twice": 2, "failed once": 1, "failed get": 2})
	got := fmt.Sprint(o.gets, o.posts, o.badGets, o.badPosts, o.twice, o.executed, o.lost, o.slow, o.verySlow, o.slowest)
	if want := "2 6 1 3 2 1 1 2 1 2s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A proxy that sends POSTs twice is found out, and so is one that loses them.
func TestBadProxiesAreFoundOut(t *testing.T) {
	for _, c := range []struct {
		name                  string
		times                 int
		twice, lost, executed bool
	}{{"honest", 1, false, false, false}, {"eager", 2, true, false, false}, {"lazy", 0, false, true, false}, {"lying", -1, false, false, true}} {
		s := &stage{ctx: t.Context(), h: shared, dir: t.TempDir()}
		t.Cleanup(s.close)
		if err := s.addBackends(1, keep); err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewServer(badProxy(s.backends[0].addr, c.times))
		t.Cleanup(proxy.Close)
		o, _, err := s.measure(proxy.Listener.Addr().String(), 200, time.Second/4, nothing)
		if err != nil {
			t.Fatal(err)
		}
		if o.gets != 40 || o.posts != 10 || o.badGets != 0 {
			t.Errorf("%s: %d GETs, %d POSTs, %d GETs failed", c.name, o.gets, o.posts, o.badGets)
		}
		if (o.twice == 10) != c.twice || (o.lost == 10) != c.lost || (o.executed == 10) != c.executed {
			t.Errorf("%s: %d twice, %d lost, %d failed and executed", c.name, o.twice, o.lost, o.executed)
		}
	}
}

// badProxy passes GETs on, and each POST that many times; below zero it says that it has not.
func badProxy(backend string, times int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := newClient(slack)
		defer client.CloseIdleConnections()
		n, post := 1, r.Method == http.MethodPost
		if post {
			n = max(times, -times)
		}
		for range n {
			if _, _, err := exchange(r.Context(), client, backend, "", r.Header.Get("X-Id"), post); err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
		}
		if post && times < 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, "done\n")
	})
}

// A law says what it wants, and whether that holds.
func TestLaws(t *testing.T) {
	var o outcome
	o.count("failed", 3, 2)
	o.count("failed", 2, 2)
	o.least("whole", 1, 2)
	o.least("whole", 2, 2)
	o.percent("share", 1, 8, 10)
	o.percent("share", 0, 0, 10)
	o.within("slowest", 301*time.Millisecond, 300*time.Millisecond)
	o.within("back", positive(-1), time.Second)
	var got []string
	for _, l := range o.missed() {
		got = append(got, l.String())
	}
	want := "failed 3 (≤ 2)|whole 1 (≥ 2)|share 12.50 % (≤ 10.00 %)|slowest 301ms (≤ 300ms)|back never (≤ 1s)"
	if strings.Join(got, "|") != want {
		t.Errorf("got %s", strings.Join(got, "|"))
	}
}

// Moments count from the fault, and what was due outside does not.
func TestMoments(t *testing.T) {
	failed := errors.New("no")
	shots := []shot{
		{at: 1 * time.Second, err: failed},
		{at: 3 * time.Second, err: failed},
		{at: 4 * time.Second, took: time.Second, backend: "b0"},
		{at: 6 * time.Second, backend: "b1", took: time.Millisecond},
		{at: 9 * time.Second, err: failed},
	}
	if got := lastBad(shots, 2*time.Second, 8*time.Second); got != 2*time.Second {
		t.Errorf("the last bad one came %v after", got)
	}
	if got := firstAnswer(shots, 4500*time.Millisecond, "b0"); got != 500*time.Millisecond {
		t.Errorf("b0 answered after %v", got)
	}
	if got := firstAnswer(shots, 5500*time.Millisecond, "b0"); got >= 0 {
		t.Errorf("b0 answered after %v", got)
	}
}

// Nothing outlives the program, not even a process that is suspended.
func TestNothingIsLeft(t *testing.T) {
	h, err := newHarness(t.Context(), shared.demo, true, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{ctx: t.Context(), h: h, dir: t.TempDir()}
	f, err := s.crowd()
	if err != nil {
		h.close()
		t.Fatal(err)
	}
	if err := suspend(s.backends[0].cmd.Process.Pid); err != nil {
		t.Log(err)
	}
	h.close() // as if the program had died: nobody told the processes to end
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for _, p := range []*process{f.process, s.backends[0].process, s.backends[1].process} {
		select {
		case <-p.ended:
		case <-limit.C:
			t.Fatal("a process is left")
		}
	}
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", h.dir, err)
	}
}

// Wrong input is one line that names the value and the cure.
func TestWrongInput(t *testing.T) {
	for args, want := range map[string]string{
		"-run Z9":         `no fault matches "Z9"; -list shows them`,
		"-run (":          "missing closing )",
		"x":               `unexpected argument "x"; -h shows the flags`,
		"-demo /no/where": "/no/where -h: ",
		"-such":           "not defined: -such",
		"-o /no/where":    "-o: open /no/where: ",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// Every row says what it does and what has to hold, under a name of its own.
func TestRows(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-list"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows() {
		if seen[r.id] || r.title == "" || r.inject == "" || r.accept == "" || !strings.Contains(out.String(), r.accept) {
			t.Errorf("%q is not a row", r.id)
		}
		seen[r.id] = true
	}
}
