package lbtest_test

import (
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// A picker is tried on backends with any load, without a server anywhere.
func ExampleBackend() {
	busy := lbtest.Backend(lb.Spec{ID: "busy"}, lb.Load{InFlight: 9, Latency: 20 * time.Millisecond})
	idle := lbtest.Backend(lb.Spec{ID: "idle"})
	idlest := func(set lb.Set) lb.Picker {
		return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
			best := set.Eligible[0].Backend
			for _, c := range set.Eligible {
				if c.InFlight() < best.InFlight() {
					best = c.Backend
				}
			}
			return best
		})
	}
	fmt.Println(idlest(lbtest.Set(busy, idle)).Pick(lb.PickInfo{}).ID())
	// Output: idle
}
