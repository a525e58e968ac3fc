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

// BenchmarkPick has one goroutine, whose draws are counted up.
func BenchmarkPick(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(policies())) {
		for _, n := range []int{3, 10, 100} {
			p, info := benchmarked(name, n)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					info.Rand++
					p.Pick(info)
				}
			})
		}
	}
}

// BenchmarkPickParallel has as many goroutines as there are processors.
func BenchmarkPickParallel(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(policies())) {
		p, info := benchmarked(name, 10)
		b.Run(name+"/10", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				mine := info
				for pb.Next() {
					mine.Rand++
					p.Pick(mine)
				}
			})
		})
	}
}

// benchmarked returns a picker over n backends of different loads and weights.
func benchmarked(name string, n int) (lb.Picker, lb.PickInfo) {
	rng := rand.New(rand.NewPCG(1, 2))
	bs := make([]*lb.Backend, n)
	for i := range bs {
		spec := lb.Spec{ID: id(i), Weight: 1 + i%5, Labels: map[string]string{"zone": string("ab"[i%2]), "region": "eu"}}
		bs[i] = lbtest.Backend(spec, lb.Load{
			InFlight: rng.Int64N(20), Latency: time.Duration(rng.Int64N(1e8)), ErrorRate: float64(i%2) * 0.01,
		})
	}
	slices.SortFunc(bs, func(a, b *lb.Backend) int { return cmp.Compare(a.ID(), b.ID()) })
	return policies()[name](lbtest.Set(bs...)), lb.PickInfo{
		Request: request(1), ClientIP: netip.MustParseAddr("192.0.2.1"), Trusted: true, Now: time.Now(),
	}
}
