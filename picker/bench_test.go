package picker

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// sizes are numbers of backends.
func sizes() []int { return []int{3, 10, 100, 1000, 10_000} }

// BenchmarkPick has one goroutine, whose draws are counted up. Nothing is a picker that does
// nothing: what the call and the loop cost.
func BenchmarkPick(b *testing.B) {
	eachPolicy(b, func(b *testing.B, p lb.Picker, info lb.PickInfo) {
		for b.Loop() {
			info.Rand++
			p.Pick(info)
		}
	})
}

// BenchmarkPickParallel has as many goroutines as there are processors, on the same picker.
func BenchmarkPickParallel(b *testing.B) {
	eachPolicy(b, func(b *testing.B, p lb.Picker, info lb.PickInfo) {
		b.RunParallel(func(pb *testing.PB) {
			mine := info
			for pb.Next() {
				mine.Rand++
				p.Pick(mine)
			}
		})
	})
}

// BenchmarkBuild builds a picker anew because one backend has come or gone.
func BenchmarkBuild(b *testing.B) {
	all := policies()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, n := range sizes() {
			bs := benched(n)
			whole, less := lbtest.Set(bs...), lbtest.Set(slices.Delete(slices.Clone(bs), n/2, n/2+1)...)
			p := all[name](lbtest.Set(bs...))
			p.Pick(known())
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					set := []lb.Set{less, whole}[i%2]
					set.Eligible, set.Previous = slices.Clone(set.Eligible), p
					p = all[name](set)
				}
			})
		}
	}
}

// nothing is a picker that looks at nothing.
type nothing struct{ *lb.Backend }

func (n *nothing) Pick(lb.PickInfo) *lb.Backend { return n.Backend }

func eachPolicy(b *testing.B, f func(*testing.B, lb.Picker, lb.PickInfo)) {
	all := policies()
	all["Nothing"] = func(set lb.Set) lb.Picker { return &nothing{set.Eligible[0].Backend} }
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, n := range sizes() {
			p, info := all[name](lbtest.Set(benched(n)...)), known()
			p.Pick(info) // where it begins is no part of a pick
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				f(b, p, info)
			})
		}
	}
}

// known is a PickInfo that says all there is.
func known() lb.PickInfo {
	return lb.PickInfo{Request: request(1), ClientIP: netip.MustParseAddr("192.0.2.1"), Trusted: true, Now: time.Now()}
}

// benched returns n backends of different loads and weights.
func benched(n int) []*lb.Backend {
	rng := rand.New(rand.NewPCG(1, 2))
	bs := make([]*lb.Backend, n)
	for i := range bs {
		spec := lb.Spec{ID: id(i), Weight: 1 + i%5, Labels: map[string]string{"zone": string("ab"[i%2]), "region": "eu"}}
		bs[i] = lbtest.Backend(spec, lb.Load{
			InFlight: rng.Int64N(20), Latency: time.Duration(rng.Int64N(1e8)), ErrorRate: float64(i%2) * 0.01,
		})
	}
	slices.SortFunc(bs, func(a, b *lb.Backend) int { return cmp.Compare(a.ID(), b.ID()) })
	return bs
}
