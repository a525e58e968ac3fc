package picker_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/picker"
)

func backends(ids ...string) []*lb.Backend {
	bs := make([]*lb.Backend, len(ids))
	for i, id := range ids {
		zone := id[:1]
		bs[i] = lbtest.Backend(lb.Spec{ID: id, Labels: map[string]string{"zone": zone, "region": zone}})
	}
	return bs
}

func Example() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...))
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo})
	fmt.Println(balancer != nil, err)
	// Output: true <nil>
}

func ExampleRoundRobin() {
	p := picker.RoundRobin(lbtest.Set(backends("a", "b", "c")...))
	for range 4 {
		fmt.Print(p.Pick(lb.PickInfo{}).ID(), " ") // the draw 0 starts at the beginning
	}
	// Output: a b c a
}

func ExampleRandom() {
	p, met := picker.Random(lbtest.Set(backends("a", "b", "c")...)), make(map[string]bool)
	for draw := range uint64(100) {
		met[p.Pick(lb.PickInfo{Rand: draw}).ID()] = true
	}
	fmt.Println(len(met))
	// Output: 3
}

func ExampleWeightedRandom() {
	p := picker.WeightedRandom(lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "large", Weight: 9}),
		lbtest.Backend(lb.Spec{ID: "small", Weight: 1}),
	))
	got := make(map[string]int)
	for draw := range uint64(1000) {
		got[p.Pick(lb.PickInfo{Rand: draw}).ID()]++
	}
	fmt.Println(got["large"] > 850 && got["small"] > 50)
	// Output: true
}

func ExampleLeastLoaded() {
	p := picker.LeastLoaded(lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "busy"}, lb.Load{InFlight: 9}),
		lbtest.Backend(lb.Spec{ID: "idle"}),
	))
	fmt.Println(p.Pick(lb.PickInfo{}).ID())
	// Output: idle
}

func ExamplePowerOfTwo() {
	busy, idle := lbtest.Backend(lb.Spec{ID: "busy"}, lb.Load{InFlight: 9}), lbtest.Backend(lb.Spec{ID: "idle"})
	p := picker.PowerOfTwo(lbtest.Set(busy, idle))
	fmt.Println(p.Pick(lb.PickInfo{Rand: 1}).ID())
	fmt.Println(p.Pick(lb.PickInfo{Rand: 2}.WithTried(idle)).ID())
	// Output:
	// idle
	// busy
}

func ExamplePowerOfD() {
	policy := lb.Must(picker.PowerOfD(3))
	slow := lbtest.Backend(lb.Spec{ID: "slow"}, lb.Load{InFlight: 9})
	slower := lbtest.Backend(lb.Spec{ID: "slower"}, lb.Load{InFlight: 12})
	idle := lbtest.Backend(lb.Spec{ID: "idle"})
	fmt.Println(policy(lbtest.Set(idle, slow, slower)).Pick(lb.PickInfo{}).ID()) // up to six are all looked at
	_, err := picker.PowerOfD(1)
	fmt.Println(err)
	// Output:
	// idle
	// picker: 1 draws are not between 2 and 16; try Random for one, LeastLoaded for all
}

func ExampleLeastLoadedBias() {
	p := lb.Must(picker.LeastLoadedBias(1))(lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "busy"}, lb.Load{InFlight: 3}), // a quarter of the other's chance
		lbtest.Backend(lb.Spec{ID: "idle"}),
	))
	got := make(map[string]int)
	for draw := range uint64(1000) {
		got[p.Pick(lb.PickInfo{Rand: draw}).ID()]++
	}
	fmt.Println(got["idle"] > 3*got["busy"], got["busy"] > 0)
	// Output: true true
}

func ExampleAdaptive() {
	set := lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "failing"}, lb.Load{Latency: 1e6, ErrorRate: 0.9}),
		lbtest.Backend(lb.Spec{ID: "well"}, lb.Load{Latency: 4e6, InFlight: 1}),
	)
	fmt.Println(picker.Adaptive(set).Pick(lb.PickInfo{}).ID())
	// Output: well
}

func ExampleHashClient() {
	p := picker.HashClient(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
		fmt.Println(addr, p.Pick(lb.PickInfo{ClientIP: netip.MustParseAddr(addr)}).ID())
	}
	// Output:
	// 192.0.2.1 a
	// 192.0.2.2 d
	// 192.0.2.1 a
}

func ExampleHashCookie() {
	p := picker.HashCookie("user")(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	for _, cookies := range []string{"user=ada", "theme=dark; user=ada", "user=kurt"} {
		r := &http.Request{Header: http.Header{"Cookie": {cookies}}}
		fmt.Println(p.Pick(lb.PickInfo{Request: r}).ID())
	}
	// Output:
	// e
	// e
	// b
}

func ExampleMaglev() {
	policy := lb.Must(picker.Maglev(picker.MaglevConfig{Key: picker.PathKey(picker.Secret{})}))
	p := policy(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	for _, path := range []string{"/films/1", "/films/2", "/films/1"} {
		r := &http.Request{URL: &url.URL{Path: path}}
		fmt.Println(path, p.Pick(lb.PickInfo{Request: r}).ID())
	}
	_, err := picker.Maglev(picker.MaglevConfig{Size: 65536})
	fmt.Println(err)
	// Output:
	// /films/1 e
	// /films/2 b
	// /films/1 e
	// picker: MaglevConfig.Size 65536 is not prime; the nearest primes are 65521 and 65537
}

func ExampleRing() {
	policy := lb.Must(picker.Ring(picker.RingConfig{Key: picker.QueryKey("user", picker.Secret{}), Points: 500}))
	all := backends("a", "b", "c", "d", "e")
	before, after := policy(lbtest.Set(all...)), policy(lbtest.Set(all[1:]...)) // a has left
	for _, user := range []string{"ada", "kurt", "emmy", "alan", "grace", "alonzo"} {
		info := lb.PickInfo{Request: &http.Request{URL: &url.URL{RawQuery: "user=" + user}}}
		fmt.Println(user, before.Pick(info).ID(), after.Pick(info).ID())
	}
	// Output:
	// ada d d
	// kurt d d
	// emmy b b
	// alan c c
	// grace e e
	// alonzo c c
}

func ExampleRendezvous() {
	// Tenants choose their names, but not who serves them.
	secret := picker.Secret([]byte("16 random bytes."))
	policy := picker.Rendezvous(picker.RendezvousConfig{Key: picker.HeaderKey("X-Tenant", secret)})
	p := policy(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	for _, tenant := range []string{"acme", "globex", "acme"} {
		r := &http.Request{Header: http.Header{"X-Tenant": {tenant}}}
		fmt.Println(tenant, p.Pick(lb.PickInfo{Request: r}).ID())
	}
	// Output:
	// acme b
	// globex e
	// acme b
}

func ExampleKey() {
	// The first part of the path, which is a tenant here.
	tenant := func(info lb.PickInfo) (uint64, bool) {
		if info.Request == nil {
			return 0, false
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(info.Request.URL.Path, "/"), "/")
		h := fnv.New64a()
		io.WriteString(h, name)
		return h.Sum64(), name != ""
	}
	p := picker.Rendezvous(picker.RendezvousConfig{Key: tenant})(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	for _, path := range []string{"/acme/1", "/globex/1", "/acme/2"} {
		r := &http.Request{URL: &url.URL{Path: path}}
		fmt.Println(path, p.Pick(lb.PickInfo{Request: r}).ID())
	}
	// Output:
	// /acme/1 e
	// /globex/1 a
	// /acme/2 e
}

func ExampleClientKey() {
	fill := picker.RendezvousConfig{Key: picker.ClientKey(picker.Secret([]byte("16 random bytes.")))}
	p := picker.Rendezvous(fill)(lbtest.Set(backends("a", "b", "c", "d", "e")...))
	fmt.Println(p.Pick(lb.PickInfo{ClientIP: netip.MustParseAddr("192.0.2.1")}).ID())
	// Output:
	// b
}

func ExampleCookieKey() {
	key := picker.CookieKey("user", picker.Secret{})
	a, _ := key(lb.PickInfo{Request: &http.Request{Header: http.Header{"Cookie": {"user=ada"}}}})
	b, _ := key(lb.PickInfo{Request: &http.Request{Header: http.Header{"Cookie": {"theme=dark; user=ada"}}}})
	_, ok := key(lb.PickInfo{Request: &http.Request{}})
	fmt.Println(a == b, ok)
	// Output: true false
}

func ExampleBoundedLoad() {
	// Everybody wants the same film, whose backend has as much as it may.
	film := func(lb.PickInfo) (uint64, bool) { return 1, true }
	favourite := picker.Rendezvous(picker.RendezvousConfig{Key: film})
	set := func(inFlight int64) lb.Set {
		return lbtest.Set(
			lbtest.Backend(lb.Spec{ID: "a"}, lb.Load{InFlight: inFlight}),
			lbtest.Backend(lb.Spec{ID: "b"}, lb.Load{InFlight: 4}),
			lbtest.Backend(lb.Spec{ID: "c"}, lb.Load{InFlight: 4}),
		)
	}
	policy := lb.Must(picker.BoundedLoad(1.25, favourite))
	for _, inFlight := range []int64{4, 5, 6, 7} { // the bound is 1.25 (13/3), 1.25 (14/3), ..., rounded up
		fmt.Println(inFlight, policy(set(inFlight)).Pick(lb.PickInfo{}).ID())
	}
	_, err := picker.BoundedLoad(0.9, favourite)
	fmt.Println(err)
	// Output:
	// 4 a
	// 5 a
	// 6 a
	// 7 c
	// picker: BoundedLoad has c 0.9; want a number from 1 on, such as 1.25
}

func ExamplePrefer() {
	near := func(b *lb.Backend) bool { return b.Label("zone") == "b" }
	policy := picker.Prefer(near, picker.RoundRobin)
	fmt.Println(policy(lbtest.Set(backends("a1", "b1", "c1")...)).Pick(lb.PickInfo{}).ID())
	fmt.Println(policy(lbtest.Set(backends("a1", "c1")...)).Pick(lb.PickInfo{}).ID())
	// Output:
	// b1
	// a1
}

func ExampleRegion() {
	policy := picker.Region(picker.RegionHeader("X-Region", "a"), picker.RoundRobin)
	p := policy(lbtest.Set(backends("a1", "b1", "c1")...))
	r := &http.Request{Header: http.Header{"X-Region": {"b"}}}
	fmt.Println(p.Pick(lb.PickInfo{Request: r, Trusted: true}).ID())
	fmt.Println(p.Pick(lb.PickInfo{Request: r}).ID()) // anybody could say so
	// Output:
	// b1
	// a1
}

func ExampleWeighted() {
	set := lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "large", Weight: 3}),
		lbtest.Backend(lb.Spec{ID: "medium", Weight: 2}),
		lbtest.Backend(lb.Spec{ID: "small", Weight: 1}),
	)
	p := picker.Weighted(set)
	for range 6 {
		fmt.Println(p.Pick(lb.PickInfo{}).ID()) // the draw 0 starts at the beginning
	}
	// Output:
	// large
	// medium
	// large
	// small
	// medium
	// large
}

func ExamplePrequal() {
	prequal, err := picker.NewPrequal(picker.PrequalConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := lb.Must(lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...))
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: prequal.Policy})
	fmt.Println(balancer != nil, err)
	// In the background: lb.Run(ctx, prequal)
	// Output: true <nil>
}

// A program can ask by other means than HTTP.
func ExamplePrequal_Answer() {
	var asked []*lb.Backend
	prequal := lb.Must(picker.NewPrequal(picker.PrequalConfig{
		Ask: func(b *lb.Backend) { asked = append(asked, b) },
	}))
	p := prequal.Policy(lbtest.Set(backends("a", "b", "c", "d", "e", "f", "g", "h")...))
	now := time.Now()
	p.Pick(lb.PickInfo{Now: now, Rand: 1}) // nothing is known yet
	for i, b := range asked {
		prequal.Answer(b, lb.Report{InFlight: 3, Latency: time.Duration(20+i) * time.Millisecond}, now)
	}
	best := p.Pick(lb.PickInfo{Now: now, Rand: 2})
	fmt.Println(len(asked) >= 3, best == asked[0])
	// Output: true true
}

func ExampleNewPrequal() {
	_, err := picker.NewPrequal(picker.PrequalConfig{Quantile: 1})
	fmt.Println(err)
	// Output: picker: PrequalConfig.Quantile 1 is not between 0 and 1; 1 would go by latency alone, try 0.84
}

func ExampleWeightedByLoad() {
	policy, err := picker.WeightedByLoad(picker.WeightedByLoadConfig{Blackout: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	large, small := lbtest.Backend(lb.Spec{ID: "large"}), lbtest.Backend(lb.Spec{ID: "small"})
	p, now := policy(lbtest.Set(large, small)), time.Unix(1e9, 0)
	p.Pick(lb.PickInfo{Now: now})
	learner := p.(interface{ Attempted(lb.Result) }) // the balancer tells it what backends say
	learner.Attempted(lb.Result{Backend: large, Report: &lb.Report{Rate: 100, Utilization: 0.25}})
	learner.Attempted(lb.Result{Backend: small, Report: &lb.Report{Rate: 100, Utilization: 0.75}})
	got := make(map[string]int)
	for range 400 {
		got[p.Pick(lb.PickInfo{Now: now.Add(time.Second)}).ID()]++
	}
	fmt.Println(got)
	// Output: map[large:300 small:100]
}

func ExamplePeakEWMA() {
	fast := lbtest.Backend(lb.Spec{ID: "fast"}, lb.Load{Latency: 5 * time.Millisecond, InFlight: 3})
	slow := lbtest.Backend(lb.Spec{ID: "slow"}, lb.Load{Latency: 80 * time.Millisecond, InFlight: 1})
	p := picker.PeakEWMA(lbtest.Set(fast, slow))
	fmt.Println(p.Pick(lb.PickInfo{Now: time.Now(), Rand: 1}).ID())
	// Output: fast
}

func ExampleHashHeader() {
	p := picker.HashHeader("X-Tenant")(lbtest.Set(
		lbtest.Backend(lb.Spec{ID: "cache-1"}),
		lbtest.Backend(lb.Spec{ID: "cache-2"}),
		lbtest.Backend(lb.Spec{ID: "cache-3"}),
	))
	for _, tenant := range []string{"acme", "globex", "acme"} {
		r := &http.Request{Header: http.Header{"X-Tenant": {tenant}}}
		fmt.Println(tenant, p.Pick(lb.PickInfo{Request: r}).ID())
	}
	// Output:
	// acme cache-3
	// globex cache-1
	// acme cache-3
}
