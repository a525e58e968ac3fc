package lb_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
)

func TestEveryFaultIsNamed(t *testing.T) {
	_, err := lb.New(lb.Config{
		Sessions: store{}, TrustedProxies: make([]netip.Prefix, 1), PanicThreshold: 1.5,
		Upgrades: []string{"web socket"}, Hosts: []string{"http://x/"},
	})
	if err == nil {
		t.Fatal("all of that was taken")
	}
	for _, fault := range []string{"Pool is nil; make one", "Policy is nil; try", "SessionKey", "TrustedProxies", "1.5", `"web socket"`, `"http://x/"`} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not in %v", fault, err)
		}
	}
}

func TestWrongSpecs(t *testing.T) {
	for _, c := range []struct {
		spec lb.Spec
		want string // in the error; "" if it is right
	}{
		{lb.Spec{URL: "http://localhost:8081"}, ""},
		{lb.Spec{URL: "https://h/base/"}, ""},
		{lb.Spec{URL: "h2c://h:1"}, ""},
		{lb.Spec{URL: "unix:///run/app.sock"}, ""},
		{lb.Spec{URL: "http://[::1]:80"}, ""},
		{lb.Spec{URL: "http://[fe80::1%25eth0]:80"}, ""},
		{lb.Spec{}, "http://host:port"},
		{lb.Spec{URL: "localhost:80"}, "http, https, h2c and unix"},
		{lb.Spec{URL: "//h"}, "http, https, h2c and unix"},
		{lb.Spec{URL: "ftp://h"}, "ftp://h"},
		{lb.Spec{URL: "http://"}, "no host"},
		{lb.Spec{URL: "http://h:"}, "port is missing"},
		{lb.Spec{URL: "http://h:0"}, `port "0"`},
		{lb.Spec{URL: "http://h:70000"}, `port "70000"`},
		{lb.Spec{URL: "http://[a.b]:80"}, "a.b"},
		{lb.Spec{URL: "http://a,b"}, `"a,b"`},
		{lb.Spec{URL: "http://h?q"}, "query"},
		{lb.Spec{URL: "http://h#f"}, "fragment"},
		{lb.Spec{URL: "http://u:secret@h"}, "user"},
		{lb.Spec{URL: "http://h/%zz"}, "%zz"},
		{lb.Spec{URL: "unix://run/app.sock"}, "unix:///path"},
		{lb.Spec{URL: "http://h", Weight: -1}, "weight -1"},
		{lb.Spec{URL: "http://h", Weight: 1_000_001}, "weight 1000001"},
		{lb.Spec{URL: "http://h", MaxInFlight: -1}, "MaxInFlight -1"},
		{lb.Spec{ID: "a\nb", URL: "http://h"}, "printed"},
		{lb.Spec{ID: "a\xff", URL: "http://h"}, "UTF-8"},
		{lb.Spec{ID: strings.Repeat("x", 129), URL: "http://h"}, "129 bytes"},
	} {
		_, err := lb.NewPool(c.spec)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: got %v, want %q", c.spec, err, c.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%+v: the error shows a password: %v", c.spec, err)
		}
	}
}

// A spec is taken with its defaults filled in, or refused: never a panic, never a broken URL.
func FuzzSpec(f *testing.F) {
	for _, s := range []string{"http://h:1/b", "unix:///s", "h2c://[::1]", "http://a b", "%", "http://h:99999", "unix://x", "\x00"} {
		f.Add(s, s, 1)
	}
	f.Fuzz(func(t *testing.T, id, url string, weight int) {
		pool, err := lb.NewPool(lb.Spec{ID: id, URL: url, Weight: weight})
		if err != nil {
			return
		}
		b := pool.Snapshot().At(0)
		if b.URL().Host == "" || b.ID() == "" || len(b.ID()) > 128 || b.Weight() < 1 || strings.ContainsAny(b.ID(), "\n\r") {
			t.Errorf("%q became %q at %v with weight %d", url, b.ID(), b.URL(), b.Weight())
		}
	})
}

// Whatever is done to it, a snapshot stays as it was, and what it becomes is sorted, has each ID
// once, and keeps the facts of whoever stays.
func TestSnapshotsAreValues(t *testing.T) {
	var s lb.Snapshot
	abc := lb.Must(s.With(lb.URLs("http://b", "http://a", "http://c")...))
	marked := abc.Mark("http://b", lb.Down, "test")
	ids := func(s *lb.Snapshot) (list []string) {
		for i := range s.Len() {
			list = append(list, s.At(i).ID()[7:]+":"+s.At(i).Facts().String()+":"+strconv.Itoa(s.At(i).Weight()))
		}
		return list
	}
	for _, c := range []struct {
		what string
		got  *lb.Snapshot
		want []string
	}{
		{"the zero value", &s, nil},
		{"with", abc, []string{"a:fit:1", "b:fit:1", "c:fit:1"}},
		{"mark", marked, []string{"a:fit:1", "b:down:1", "c:fit:1"}},
		{"mark more", marked.Mark("http://b", lb.Draining, ""), []string{"a:fit:1", "b:down draining:1", "c:fit:1"}},
		{"clear one", marked.Mark("http://b", lb.Draining, "").Clear("http://b", lb.Down, ""), []string{"a:fit:1", "b:draining:1", "c:fit:1"}},
		{"without", marked.Without("http://a"), []string{"b:down:1", "c:fit:1"}},
		{"weight", marked.WithWeight("http://b", 7), []string{"a:fit:1", "b:down:7", "c:fit:1"}},
		{"no weight", marked.WithWeight("http://b", -7), []string{"a:fit:1", "b:down:1", "c:fit:1"}},
		{"replaced", lb.Must(marked.With(lb.Spec{URL: "http://b", Weight: 2}, lb.Spec{URL: "http://d"})), []string{"b:down:2", "d:fit:1"}},
		{"plus", lb.Must(marked.Plus(lb.Spec{URL: "http://b", Weight: 2}, lb.Spec{URL: "http://aa"})), []string{"a:fit:1", "aa:fit:1", "b:down:2", "c:fit:1"}},
	} {
		if got := ids(c.got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	for what, same := range map[string]*lb.Snapshot{
		"unknown": abc.Mark("x", lb.Down, ""), "no news": abc.Clear("http://a", lb.Down, ""),
		"lacking": abc.Without("x"), "same weight": abc.WithWeight("http://a", 1),
	} {
		if same != abc {
			t.Errorf("%s: made a new snapshot", what)
		}
	}
	if got, err := abc.With(lb.URLs("http://x", "http://x")...); got != abc || err == nil {
		t.Errorf("twice the same ID: %v %v", ids(got), err)
	}
	if abc.Find("http://b").Facts() != 0 || abc.Find("x") != nil || marked.Find("http://b").Cause() != "test" {
		t.Error("an edit changed what it edited")
	}
}

func TestNamesOfThings(t *testing.T) {
	got := fmt.Sprint(lb.Neutral, lb.Success, lb.Failure, lb.Outcome(9), lb.Closed, lb.Open, lb.HalfOpen, lb.Facts(0), lb.Down|lb.Ejected|lb.Draining|lb.Warming|lb.Suspect)
	if want := "neutral success failure unknown closed open half-open fit down ejected draining warming suspect"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
