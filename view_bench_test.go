package lb

import (
	"fmt"
	"testing"
	"time"
)

// What a view costs after one of the backends has changed, without the policy's share: half of
// the times one is marked down, half of the times it is back.
func BenchmarkViewOfAChange(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			specs := make([]Spec, n)
			for i := range specs {
				specs[i].URL = fmt.Sprintf("http://10.%d.%d.1", i/256, i%256)
			}
			pool := Must(NewPool(specs...))
			balancer := Must(New(Config{Pool: pool, Policy: func(s Set) Picker {
				return PickFunc(func(PickInfo) *Backend { return s.Eligible[0].Backend })
			}}))
			now := time.Now()
			balancer.await(now)
			id := pool.Snapshot().At(n / 2).ID()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					pool.Mark(id, Down, "")
				} else {
					pool.Clear(id, Down, "")
				}
				balancer.await(now)
			}
		})
	}
}
