package picker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// policies are all of this package, in some of their forms.
func policies() map[string]lb.Policy {
	zone := func(b *lb.Backend) bool { return b.Label("zone") == "a" }
	return map[string]lb.Policy{
		"RoundRobin":     RoundRobin,
		"Weighted":       Weighted,
		"Random":         Random,
		"WeightedRandom": WeightedRandom,
		"LeastLoaded":    LeastLoaded,
		"PowerOfTwo":     PowerOfTwo,
		"PeakEWMA":       PeakEWMA,
		"Adaptive":       Adaptive,
		"HashClient":     HashClient,
		"HashWeighted":   halves(HashClient),
		"HashHeader":     HashHeader("X-Tenant"),
		"HashCookie":     HashCookie("user"),
		"Prefer":         Prefer(zone, PowerOfTwo),
		"Prequal":        alone,
		"WeightedByLoad": weighing(WeightedByLoadConfig{}),
		"Region":         Region(RegionHeader("X-Region", "eu"), PowerOfTwo),
		"Subset":         lb.Must(Subset(SubsetConfig{Inner: PowerOfTwo, Size: 3, Salt: "a"})),
		"Aperture":       lb.Must(Aperture(ApertureConfig{Inner: PowerOfTwo, Balancers: 5, Index: 3, Size: 2})),
		"ZoneAware":      lb.Must(ZoneAware(ZoneAwareConfig{Inner: PowerOfTwo, Local: "a", MinBackends: 2})),
		"Priority":       lb.Must(Priority(PriorityConfig{Inner: PowerOfTwo, Tier: tierByZone})),
		"PriorityOf":     lb.Must(Priority(PriorityConfig{Inner: lb.Must(ZoneAware(ZoneAwareConfig{Inner: lb.Must(Subset(SubsetConfig{Inner: PowerOfTwo, Salt: "a"})), Local: "b"}))})),
		"Maglev":         lb.Must(Maglev(MaglevConfig{Size: 1009})),
		"MaglevBeside":   beside(lb.Must(Maglev(MaglevConfig{Key: HeaderKey("X-Tenant", Secret{1}), Size: 1009}))),
		"Ring":           lb.Must(Ring(RingConfig{})),
		"RingBeside":     beside(halves(lb.Must(Ring(RingConfig{Key: CookieKey("user", Secret{2})})))),
		"Rendezvous":     Rendezvous(RendezvousConfig{Key: QueryKey("q", Secret{})}),
		"Bounded":        lb.Must(BoundedLoad(1.25, HashHeader("X-Tenant"))),
		"BoundedMaglev":  beside(lb.Must(BoundedLoad(1, lb.Must(Maglev(MaglevConfig{Key: PathKey(Secret{}), Size: 1009}))))),
		"BoundedForeign": lb.Must(BoundedLoad(2, LeastLoaded)),
		"WeightedRests":  halves(Weighted),
		"BiasedLoad":     lb.Must(LeastLoadedBias(1)),
		"BiasedTwice":    lb.Must(LeastLoadedBias(2)),
		"PowerOfThree":   lb.Must(PowerOfD(3)),
	}
}

func tierByZone(b *lb.Backend) int { return strings.Index("ab", b.Label("zone")) }

// halves gives the first backend half its weight, as if it were warming up.
func halves(policy lb.Policy) lb.Policy {
	return func(set lb.Set) lb.Picker {
		set.Eligible[0].Weight /= 2
		return policy(set)
	}
}

// beside puts a backend into the set that is not eligible.
func beside(policy lb.Policy) lb.Policy {
	return func(set lb.Set) lb.Picker {
		set.Others = append(set.Others, lbtest.Backend(lb.Spec{ID: "down", Weight: 3}))
		return policy(set)
	}
}

// named returns backends with the given weights and no load. They are a, b, c and so on.
func named(weights ...int) []*lb.Backend {
	bs := make([]*lb.Backend, len(weights))
	for i, w := range weights {
		zone, region := string("ab"[i%2]), []string{"eu", "us", "ap"}[i%3]
		bs[i] = lbtest.Backend(lb.Spec{ID: id(i), Weight: w, Labels: map[string]string{"zone": zone, "region": region}})
	}
	return bs
}

func id(i int) string { return fmt.Sprintf("%c%02d", 'a'+i%26, i/26) }

// loaded returns backends with the given requests in flight, all answering in the same time.
func loaded(inFlight ...int64) []*lb.Backend {
	bs := make([]*lb.Backend, len(inFlight))
	for i, n := range inFlight {
		bs[i] = lbtest.Backend(lb.Spec{ID: id(i)}, lb.Load{InFlight: n, Latency: 10 * time.Millisecond})
	}
	return bs
}

func ones(n int) []int {
	ws := make([]int, n)
	for i := range ws {
		ws[i] = 1
	}
	return ws
}

// source makes PickInfos that differ in their draw only.
type source struct{ rand.Source }

func seeded(seed uint64) source { return source{rand.NewPCG(seed, 0)} }

func (s source) info() lb.PickInfo { return lb.PickInfo{Rand: s.Uint64(), Now: time.Now()} }

// picks counts n picks by backend.
func picks(p lb.Picker, n int, s source) map[string]float64 {
	got := make(map[string]float64)
	now := time.Now()
	for range n {
		got[p.Pick(lb.PickInfo{Rand: s.Uint64(), Now: now}).ID()]++
	}
	return got
}

// fits fails the test if counts are unlikely, by Pearson's chi-square at one in a thousand, to
// come from shares in these proportions. An ID without a share must not have been picked.
func fits(t *testing.T, got, shares map[string]float64) {
	t.Helper()
	for id, c := range got {
		if shares[id] == 0 && c > 0 {
			t.Errorf("%s got %v picks, want none", id, c)
		}
	}
	if chi, limit := pearson(got, shares); chi > limit {
		t.Errorf("chi-square %.1f above %.1f for %v, want shares %v", chi, limit, got, shares)
	}
}

// pearson returns the chi-square of counts and the limit that it passes once in a thousand times
// if they come from shares in these proportions.
func pearson(got, shares map[string]float64) (chi, limit float64) {
	n, total := 0.0, 0.0
	for _, c := range got {
		n += c
	}
	for _, s := range shares {
		total += s
	}
	df := -1.0
	for id, s := range shares {
		if s > 0 {
			want := n * s / total
			chi += (got[id] - want) * (got[id] - want) / want
			df++
		}
	}
	if df == 0 {
		return 0, 0
	}
	// Wilson and Hilferty's approximation of the quantile; 3.09 is the normal one.
	return chi, df * math.Pow(1-2/(9*df)+3.09*math.Sqrt(2/(9*df)), 3)
}

// request is one that has all the keys.
func request(i int) *http.Request {
	address := &url.URL{Path: fmt.Sprintf("/documents/%d", i), RawQuery: fmt.Sprintf("page=2&q=%d", i)}
	return &http.Request{URL: address, Header: http.Header{
		"X-Tenant": {fmt.Sprint("tenant-", i)},
		"Cookie":   {fmt.Sprintf("a=b; user=u%d", i)},
		"X-Region": {[]string{"eu", "us", "mars"}[i%3]},
	}}
}

func TestEveryPolicyPicksFromItsSet(t *testing.T) {
	for name, policy := range policies() {
		for n := 1; n <= 40; n++ {
			bs := named(ones(n)...)
			known := make(map[*lb.Backend]bool, n)
			for _, b := range bs {
				known[b] = true
			}
			p, s := policy(lbtest.Set(bs...)), seeded(uint64(n))
			for i := range 100 {
				info := s.info()
				info.Request, info.Trusted, info.ClientIP = request(i), i%2 == 0, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				if b := p.Pick(info); !known[b] {
					t.Fatalf("%s of %d: picked %v", name, n, b)
				}
			}
		}
	}
}

// A PickInfo that says nothing is what a balancer may have to offer, too.
func TestEveryPolicyPicksForAnEmptyInfo(t *testing.T) {
	for name, policy := range policies() {
		if policy(lbtest.Set(named(1, 2, 3)...)).Pick(lb.PickInfo{}) == nil {
			t.Errorf("%s: no pick", name)
		}
	}
}

func TestPicksAreReproducible(t *testing.T) {
	for name, policy := range policies() {
		one, two := policy(lbtest.Set(named(3, 2, 1, 5)...)), policy(lbtest.Set(named(3, 2, 1, 5)...))
		s := seeded(7)
		for i := range 200 {
			info := s.info()
			info.Request = request(i)
			if a, b := one.Pick(info), two.Pick(info); a.ID() != b.ID() {
				t.Fatalf("%s: pick %d was %s, then %s", name, i, a.ID(), b.ID())
			}
		}
	}
}

func TestPicksDoNotAllocate(t *testing.T) {
	for name, policy := range policies() {
		bs := named(3, 2, 1, 4, 5)
		info := lb.PickInfo{Request: request(1), ClientIP: netip.MustParseAddr("2001:db8::1"), Trusted: true, Now: time.Now(), Rand: 3}
		for what, info := range map[string]lb.PickInfo{"first": info, "retry": info.WithTried(bs[0], bs[3])} {
			p := policy(lbtest.Set(bs...))
			if n := testing.AllocsPerRun(200, func() { info.Rand++; p.Pick(info) }); n != 0 {
				t.Errorf("%s: %v allocations in a %s pick", name, n, what)
			}
		}
	}
}

// Picks go on while successors are built, as in a balancer.
func TestPicksAreConcurrent(t *testing.T) {
	for name, policy := range policies() {
		bs := named(3, 2, 1)
		set := lbtest.Set(bs...)
		p := policy(set)
		var all sync.WaitGroup
		for g := range uint64(4) {
			all.Go(func() {
				s := seeded(g)
				for i := range 200 {
					info := s.info()
					info.Request = request(i)
					if p.Pick(info) == nil {
						t.Errorf("%s: no pick", name)
					}
				}
			})
		}
		for n := range 20 {
			set := lbtest.Set(bs[:1+n%3]...)
			set.Previous = p
			policy(set).Pick(lb.PickInfo{Now: time.Now()})
		}
		all.Wait()
	}
}

// Whoever was tried is left alone by those who look at all or at two.
func TestTriedBackendsGiveWay(t *testing.T) {
	for _, name := range []string{"LeastLoaded", "PowerOfTwo", "PeakEWMA", "HashClient", "HashWeighted", "HashHeader", "HashCookie", "Subset", "Aperture", "ZoneAware", "Priority",
		"Maglev", "MaglevBeside", "Ring", "RingBeside", "Rendezvous", "Bounded", "BoundedMaglev", "BoundedForeign"} {
		bs := named(1, 1)
		p, s := policies()[name](lbtest.Set(bs...)), seeded(1)
		for i := range 200 {
			info := s.info()
			info.Request = request(i)
			tried := bs[i%2]
			if b := p.Pick(info.WithTried(tried)); b == tried {
				t.Fatalf("%s: picked %s again", name, b.ID())
			}
		}
	}
}
