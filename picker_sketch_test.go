package lb_test

import (
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// A picker of one's own, as in the README: the cheapest backend.
func ExamplePolicy() {
	cheapest := func(set lb.Set) lb.Picker {
		best := set.Eligible[0].Backend
		for _, c := range set.Eligible {
			if c.Label("price") < best.Label("price") {
				best = c.Backend
			}
		}
		return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return best })
	}
	dear := lbtest.Backend(lb.Spec{ID: "dear", Labels: map[string]string{"price": "9"}})
	fair := lbtest.Backend(lb.Spec{ID: "fair", Labels: map[string]string{"price": "2"}})
	fmt.Println(cheapest(lbtest.Set(dear, fair)).Pick(lb.PickInfo{Now: time.Now()}).ID())
	// Output: fair
}
