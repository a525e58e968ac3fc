package picker

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func tenant(name string) lb.PickInfo {
	return lb.PickInfo{Request: &http.Request{Header: http.Header{"X-Tenant": {name}}}}
}

// homes returns where a picker sends each of n tenants.
func homes(p lb.Picker, n int) []string {
	at := make([]string, n)
	for i := range at {
		at[i] = p.Pick(tenant(fmt.Sprint("tenant-", i))).ID()
	}
	return at
}

// Other processes, and other versions of this one, must agree: these values must never change.
func TestHashesAreTheSameForEver(t *testing.T) {
	bs := named(3, 1, 2, 1, 1)
	for policy, want := range map[string]string{"weights": "caedadacabaa", "equal": "daedaddbabab"} {
		set := lbtest.Set(bs...)
		if policy == "equal" {
			set = lbtest.Set(named(ones(5)...)...)
		}
		p, got := HashHeader("X-Tenant")(set), ""
		for i := range len(want) {
			got += p.Pick(tenant(fmt.Sprint("tenant-", i))).ID()[:1]
		}
		if got != want {
			t.Errorf("header, %s: %s, want %s", policy, got, want)
		}
	}
	p, got := HashClient(lbtest.Set(bs...)), ""
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "::1"} {
		got += p.Pick(lb.PickInfo{ClientIP: netip.MustParseAddr(addr)}).ID()[:1]
	}
	if want := "caabec"; got != want {
		t.Errorf("client: %s, want %s", got, want)
	}
}

func TestTheSameKeyMeansTheSameEverywhere(t *testing.T) {
	set := func() lb.Set { return lbtest.Set(named(ones(9)...)...) }
	for i := range 200 {
		key := fmt.Sprint("k", i)
		header, cookie := make(http.Header), make(http.Header)
		header.Set("x-user", key)
		cookie.Add("Cookie", "theme=dark; user="+key+"; x=y")
		byHeader := HashHeader("x-USER")(set()).Pick(lb.PickInfo{Request: &http.Request{Header: header}, Rand: 5})
		byCookie := HashCookie("user")(set()).Pick(lb.PickInfo{Request: &http.Request{Header: cookie}, Rand: 6})
		byHost := HashHeader("host")(set()).Pick(lb.PickInfo{Request: &http.Request{Host: key}, Rand: 7})
		if byHeader.ID() != byCookie.ID() || byHost.ID() != byCookie.ID() {
			t.Fatalf("key %q: %s by header, %s by cookie, %s by host", key, byHeader.ID(), byCookie.ID(), byHost.ID())
		}
	}
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("::ffff:192.0.2.7")
	p := HashClient(set())
	if p.Pick(lb.PickInfo{ClientIP: four}) != p.Pick(lb.PickInfo{ClientIP: six}) {
		t.Error("an IPv4 address that is written as IPv6 is another client")
	}
}

func TestKeysSpreadByWeight(t *testing.T) {
	for _, ws := range [][]int{{1, 1}, ones(10), {3, 2, 1}, {1, 100}, ones(100)} {
		bs, shares, got := named(ws...), make(map[string]float64), make(map[string]float64)
		for i, b := range bs {
			shares[b.ID()] = float64(ws[i])
		}
		for _, home := range homes(HashHeader("X-Tenant")(lbtest.Set(bs...)), 30_000) {
			got[home]++
		}
		fits(t, got, shares)
		got = make(map[string]float64)
		p := HashClient(lbtest.Set(bs...))
		for i := range 30_000 {
			got[p.Pick(lb.PickInfo{ClientIP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}).ID()]++
		}
		fits(t, got, shares)
	}
}

// Whoever leaves moves its own keys only, and whoever comes back gets exactly those.
func TestOnlyTheKeysOfTheOneThatLeftMove(t *testing.T) {
	for _, ws := range [][]int{ones(8), {3, 2, 1, 5, 4, 1, 1, 9}} {
		bs := named(ws...)
		before := homes(HashHeader("X-Tenant")(lbtest.Set(bs...)), 3000)
		for gone := range bs {
			after := homes(HashHeader("X-Tenant")(lbtest.Set(slices.Delete(slices.Clone(bs), gone, gone+1)...)), 3000)
			heirs := make(map[string]bool)
			for i := range before {
				if before[i] == bs[gone].ID() {
					heirs[after[i]] = true
				} else if after[i] != before[i] {
					t.Fatalf("weights %v without %s: a key of %s moved to %s", ws, bs[gone].ID(), before[i], after[i])
				}
			}
			if len(heirs) < len(bs)-1 {
				t.Errorf("weights %v: the keys of %s went to %d of the %d others", ws, bs[gone].ID(), len(heirs), len(bs)-1)
			}
		}
	}
}

// A backend that warms up takes keys and gives none away.
func TestGrowingWeightOnlyGains(t *testing.T) {
	bs := named(ones(5)...)
	before := homes(HashHeader("X-Tenant")(lbtest.Set(bs...)), 3000)
	cold := homes(HashHeader("X-Tenant")(eligible(bs, 1, 1, 0.1, 1, 1)), 3000)
	moved := 0
	for i := range before {
		if before[i] == cold[i] {
			continue
		}
		moved++
		if before[i] != bs[2].ID() {
			t.Fatalf("a key moved from %s to %s", cold[i], before[i])
		}
	}
	if moved < 300 {
		t.Errorf("%d keys moved, want about 500", moved)
	}
}

// A backend that was tried counts as gone, whoever is left.
func TestTriedBackendsLeaveTheirKeysToTheNext(t *testing.T) {
	bs := named(2, 1, 1, 3)
	p := HashHeader("X-Tenant")(lbtest.Set(bs...))
	without := HashHeader("X-Tenant")(lbtest.Set(bs[1], bs[3]))
	for i := range 500 {
		info := tenant(fmt.Sprint("tenant-", i))
		if got, want := p.Pick(info.WithTried(bs[0], bs[2])), without.Pick(info); got != want {
			t.Fatalf("tenant %d: %s, want %s", i, got.ID(), want.ID())
		}
		if got := p.Pick(info.WithTried(bs...)); got != nil {
			t.Fatalf("tenant %d: %s again", i, got.ID())
		}
	}
}

func TestRequestsWithoutTheKeySpreadByWeight(t *testing.T) {
	shares := map[string]float64{id(0): 3, id(1): 2, id(2): 1}
	for name, policy := range map[string]lb.Policy{"client": HashClient, "header": HashHeader("X-Tenant"), "cookie": HashCookie("user")} {
		got := picks(policy(lbtest.Set(named(3, 2, 1)...)), 20_000, seeded(1)) // without a request
		t.Run(name, func(t *testing.T) { fits(t, got, shares) })
	}
	got, s := make(map[string]float64), seeded(2)
	p := HashHeader("X-Tenant")(lbtest.Set(named(3, 2, 1)...))
	for range 20_000 {
		info := tenant("")
		info.Rand = s.Uint64()
		got[p.Pick(info).ID()]++
	}
	fits(t, got, shares)
}

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"user=x"}, "x"},
		{[]string{"a=b; user=x"}, "x"},
		{[]string{"a=b;user=x;user=y"}, "x"},
		{[]string{"a=b", "user=x"}, "x"},
		{[]string{`user="x y"`}, "x y"},
		{[]string{`user="`}, `"`},
		{[]string{"user=a=b"}, "a=b"},
		{[]string{" user =x "}, "x"},
		{[]string{"User=x; xuser=y; user2=z; user"}, ""},
		{[]string{"user="}, ""},
		{[]string{"; ;=; =x;;user=x;"}, "x"},
		{[]string{strings.Repeat("a=b;", 256) + "user=x"}, "x"},
		{[]string{strings.Repeat("a=b;", 257) + "user=x"}, ""},
		{append(slices.Repeat([]string{"a=b"}, 257), "user=x"), ""},
	} {
		if got := cookie(c.lines, "user"); got != c.want {
			t.Errorf("%.60q: %q, want %q", c.lines, got, c.want)
		}
	}
}

// Where net/http finds a cookie, so does cookie, and the same.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"user=x", "a=b; user=x", `user="x"; user=y`, " user = x ", ";;=;user", "user=\x00;user=y", "user=\u00a0x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		header := http.Header{"Cookie": {line}}
		got := cookie(header["Cookie"], "user")
		if !strings.Contains(line, got) {
			t.Fatalf("%q: %q does not occur", line, got)
		}
		all := (&http.Request{Header: header}).CookiesNamed("user")
		if strings.Count(line, "user") != 1 || len(all) == 0 || strings.Count(line, ";") > 255 {
			return
		}
		if got != all[0].Value {
			t.Fatalf("%q: %q, want %q", line, got, all[0].Value)
		}
	})
}
