package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func backend(id, version string, load lb.Load) *lb.Backend {
	return lbtest.Backend(lb.Spec{ID: id, Labels: map[string]string{"version": version}}, load)
}

func of(user int) lb.PickInfo {
	header := make(http.Header)
	header.Set("X-User", fmt.Sprint("user-", user))
	return lb.PickInfo{Request: &http.Request{Header: header}, Rand: uint64(user)}
}

func TestUsersKeepTheirVersion(t *testing.T) {
	idle, busy := lb.Load{}, lb.Load{InFlight: 50}
	blue1, blue2, green := backend("blue-1", "stable", busy), backend("blue-2", "stable", idle), backend("green-1", "canary", busy)
	p := canary(5)(lbtest.Set(blue1, blue2, green))
	met := make(map[*lb.Backend]int)
	for user := range 10_000 {
		first := p.Pick(of(user))
		met[first]++
		again := of(user)
		again.Rand += 99
		if second := p.Pick(again); second.Label("version") != first.Label("version") {
			t.Fatalf("user %d met %s, then %s", user, first.ID(), second.ID())
		}
	}
	if met[green] < 400 || met[green] > 600 {
		t.Errorf("canary has %d of 10000 users, want about 500", met[green])
	}
	if met[blue1] > 0 {
		t.Errorf("%d users met the busier stable backend", met[blue1])
	}
}

func TestOneVersionServesAllWithoutTheOther(t *testing.T) {
	for _, version := range []string{"stable", "canary"} {
		old := canary(5)(lbtest.Set(backend("a", "stable", lb.Load{}), backend("b", "canary", lb.Load{})))
		set := lbtest.Set(backend("b", version, lb.Load{}))
		set.Previous = old
		p := canary(5)(set)
		for user := range 500 {
			if p.Pick(of(user)) == nil {
				t.Fatalf("only %s: nobody serves user %d", version, user)
			}
		}
	}
}

func TestPicksDoNotAllocate(t *testing.T) {
	p, info := canary(5)(lbtest.Set(backend("a", "stable", lb.Load{}), backend("b", "canary", lb.Load{}))), of(1)
	if n := testing.AllocsPerRun(1000, func() { p.Pick(info) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCanaryPassesTheKit(t *testing.T) {
	traits := lbtest.Traits{
		Info:   of,
		Labels: func(i int) map[string]string { return map[string]string{"version": []string{"stable", "canary"}[i%2]} },
	}
	if err := lbtest.TestPolicy(canary(20), traits); err != nil {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "canary answered") || strings.Contains(out.String(), " 0 users") {
		t.Error(out.String())
	}
}
