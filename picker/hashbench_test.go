package picker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// drawn is a key that costs nothing, so that what is measured is the pick.
func drawn(info lb.PickInfo) (uint64, bool) { return info.Rand, true }

// keyOnly is what the others are compared with: it finds the key, and picks nobody.
type keyOnly struct{ key Key }

func (n keyOnly) Pick(info lb.PickInfo) *lb.Backend {
	n.key(info)
	return nil
}

// BenchmarkHashPick has picks without the hashing of a key.
func BenchmarkHashPick(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy lb.Policy
	}{
		{"Nothing", func(lb.Set) lb.Picker { return keyOnly{drawn} }},
		{"Rendezvous", Rendezvous(RendezvousConfig{Key: drawn})},
		{"Maglev", lb.Must(Maglev(MaglevConfig{Key: drawn}))},
		{"Ring", lb.Must(Ring(RingConfig{Key: drawn}))},
	} {
		for _, n := range []int{3, 16, 100, 1000} {
			for _, weights := range []string{"equal", "weighted"} {
				ws := ones(n)
				for i := range ws {
					if weights == "weighted" {
						ws[i] = 1 + i%5
					}
				}
				p := c.policy(lbtest.Set(numbered(ws...)...))
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, weights, n), func(b *testing.B) {
					b.ReportAllocs()
					var info lb.PickInfo
					for b.Loop() {
						info.Rand += 0x9e3779b97f4a7c15
						p.Pick(info)
					}
				})
			}
		}
	}
}

// BenchmarkBounded has loads of which a fifth is at the bound.
func BenchmarkBounded(b *testing.B) {
	for _, name := range []string{"Maglev", "Rendezvous", "Ring"} {
		for _, n := range []int{16, 500} {
			s, rng := serving(ones(n)...), rand.New(rand.NewPCG(1, 1))
			for range 10 * n {
				s.enter(s.bs[rng.IntN(n)])
			}
			p := lb.Must(BoundedLoad(1.25, hashing()[name]))(lbtest.Set(s.bs...))
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				var info lb.PickInfo
				for b.Loop() {
					info.Rand += 0x9e3779b97f4a7c15
					p.Pick(info)
				}
			})
		}
	}
}

// BenchmarkKey hashes a key of 13 bytes.
func BenchmarkKey(b *testing.B) {
	for what, secret := range map[string]Secret{"public": {}, "secret": {1}} {
		for name, c := range keys(secret) {
			info := c.info("tenant-number")
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.key(info)
				}
			})
		}
	}
}

// BenchmarkTable makes tables, anew and when one backend is marked down.
func BenchmarkTable(b *testing.B) {
	for name, policy := range map[string]lb.Policy{
		"Maglev65537":  lb.Must(Maglev(MaglevConfig{})),
		"Maglev655373": lb.Must(Maglev(MaglevConfig{Size: 655373})),
		"Ring160":      lb.Must(Ring(RingConfig{})),
		"Rendezvous":   HashClient,
	} {
		bs := numbered(ones(1000)...)
		first := policy(parted(bs, nil, nil))
		b.Run(name+"/anew", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy(parted(bs, nil, nil))
			}
		})
		b.Run(name+"/down", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy(parted(bs, map[*lb.Backend]bool{bs[3]: true}, first))
			}
		})
	}
}

// numbered returns backends with the given weights whose IDs sort as they are numbered.
func numbered(weights ...int) []*lb.Backend {
	bs := make([]*lb.Backend, len(weights))
	for i, w := range weights {
		bs[i] = lbtest.Backend(lb.Spec{ID: fmt.Sprintf("b%05d", i), Weight: w})
	}
	return bs
}
