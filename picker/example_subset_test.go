package picker_test

import (
	"fmt"
	"strings"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/picker"
)

// numbered returns n backends of a zone.
func numbered(zone string, n int) []*lb.Backend {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%02d", zone, i)
	}
	return backends(ids...)
}

// met returns how many of a thousand picks were in each zone, and of how many backends.
func met(p lb.Picker) (zones map[string]int, backends int) {
	zones, ids := make(map[string]int), make(map[string]bool)
	for i := range uint64(1000) {
		b := p.Pick(lb.PickInfo{Rand: i})
		zones[b.Label("zone")]++
		ids[b.ID()] = true
	}
	return zones, len(ids)
}

func ExampleSubset() {
	policy, err := picker.Subset(picker.SubsetConfig{Size: 20, Salt: "balancer-7", Inner: picker.PowerOfTwo})
	if err != nil {
		panic(err)
	}
	_, n := met(policy(lbtest.Set(numbered("a", 100)...)))
	fmt.Println(n, "of 100 backends")

	_, err = picker.Subset(picker.SubsetConfig{Size: -1, Inner: picker.PowerOfTwo})
	fmt.Println(err)
	// Output:
	// 20 of 100 backends
	// picker: SubsetConfig.Size is -1, an empty subset; give 1 or more, or 0 for 20
}

// Four balancers, told apart by their numbers, and eight backends: each backend has two of them.
func ExampleAperture() {
	used := make(map[string]int)
	for index := range 4 {
		record := func(set lb.Set) lb.Picker {
			for _, c := range set.Eligible {
				used[c.ID()]++
			}
			return picker.Weighted(set)
		}
		policy := lb.Must(picker.Aperture(picker.ApertureConfig{Balancers: 4, Index: index, Size: 4, Inner: record}))
		policy(lbtest.Set(numbered("a", 8)...))
	}
	fmt.Println(used)
	// Output: map[a00:2 a01:2 a02:2 a03:2 a04:2 a05:2 a06:2 a07:2]
}

func ExampleZoneAware() {
	policy := lb.Must(picker.ZoneAware(picker.ZoneAwareConfig{Local: "a", Inner: picker.RoundRobin}))
	even := append(numbered("a", 4), numbered("b", 4)...)
	zones, _ := met(policy(lbtest.Set(even...)))
	fmt.Println(zones)

	uneven := append(numbered("a", 2), numbered("b", 6)...) // a is half of the traffic, not of the room
	zones, _ = met(policy(lbtest.Set(uneven...)))
	fmt.Println(zones["a"] > 450 && zones["a"] < 550)
	// Output:
	// map[a:1000]
	// true
}

func ExamplePriority() {
	policy := lb.Must(picker.Priority(picker.PriorityConfig{
		Inner: picker.PowerOfTwo,
		Tier:  func(b *lb.Backend) int { return strings.Index("ab", b.Label("zone")) }, // instead of the label "priority"
	}))
	near, far := numbered("a", 10), numbered("b", 10)
	zones, _ := met(policy(lbtest.Set(append(near, far...)...)))
	fmt.Println(zones)

	half := lbtest.Set(append(numbered("a", 5), far...)...)
	half.Others = near[5:] // five of ten are down: the others bear seven tenths
	zones, _ = met(policy(half))
	fmt.Println(zones["a"] > 650 && zones["a"] < 750)
	// Output:
	// map[a:1000]
	// true
}
