package pickers

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/picker"
)

func sizes() []int { return []int{3, 10, 100, 1000, 10_000} }

// contender is a policy of some library.
type contender struct {
	name  string
	build func(b testing.TB, n int) (pick func())
}

func contenders() []contender {
	return slices.Concat(ours(), httplbs(), grpcs())
}

// BenchmarkPick has one goroutine.
func BenchmarkPick(b *testing.B) {
	for _, c := range contenders() {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				pick := c.build(b, n)
				b.ReportAllocs()
				for b.Loop() {
					pick()
				}
			})
		}
	}
}

// BenchmarkPickParallel has as many as there are processors, on the same picker.
func BenchmarkPickParallel(b *testing.B) {
	for _, c := range contenders() {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				pick := c.build(b, n)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						pick()
					}
				})
			})
		}
	}
}

// Every contender picks, and goes on to.
func TestContendersPick(t *testing.T) {
	for _, c := range contenders() {
		t.Run(c.name, func(t *testing.T) {
			pick := c.build(t, 10)
			for range 1000 {
				pick()
			}
		})
	}
}

func weight(i int) int { return 1 + i%5 }

func ours() []contender {
	policies := []struct {
		name   string
		policy lb.Policy
	}{
		{"RoundRobin", picker.RoundRobin},
		{"Weighted", picker.Weighted},
		{"Random", picker.Random},
		{"WeightedRandom", picker.WeightedRandom},
		{"LeastLoaded", picker.LeastLoaded},
		{"PowerOfTwo", picker.PowerOfTwo},
		{"PowerOfThree", lb.Must(picker.PowerOfD(3))},
		{"PeakEWMA", picker.PeakEWMA},
		{"HashHeader", picker.HashHeader("X-Key")},
	}
	var all []contender
	for _, p := range policies {
		all = append(all, contender{"lb/" + p.name, func(_ testing.TB, n int) func() {
			bs := make([]*lb.Backend, n)
			for i := range bs {
				bs[i] = lbtest.Backend(lb.Spec{ID: fmt.Sprintf("%05d", i), Weight: weight(i)}, lb.Load{
					InFlight: int64(i * 7 % 20), Latency: time.Duration(1+i*37%100) * time.Millisecond,
				})
			}
			chooser := p.policy(lbtest.Set(bs...))
			info := lb.PickInfo{Request: request(), ClientIP: netip.MustParseAddr("192.0.2.1"), Now: time.Now()}
			return func() {
				mine := info
				mine.Rand = draw()
				chooser.Pick(mine)
			}
		}})
	}
	return all
}

func request() *http.Request {
	return &http.Request{Header: http.Header{"X-Key": {"some-tenant-or-other"}}}
}
