package sim_test

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/picker"
)

// The order of the paper's figure 7, on backends that lose half of their allocation while they are
// overloaded. The figure's own numbers hang on neighbours that are not published; the order and the
// factors are what can be held.
//
// C3 is left out: the paper has it 3 to 8 % behind Prequal, but by the published formula on the same
// probes it fails a sixth of all requests in this model, and more at the higher load. A sixth of the
// requests here are no work at all and end at once even on a backend that has stalled, so a median
// latency that is multiplied with the queue, and no limit to requests in flight by itself, is misled.
func TestPO3Order(t *testing.T) {
	proof(t)
	warmup, duration := seconds(10, 2), seconds(60, 4)
	for _, seed := range seeds() {
		for _, load := range either([]float64{0.93, 1.27}, []float64{0.93}) {
			t.Run(fmt.Sprint(load, "/seed ", seed), func(t *testing.T) {
				c := testbed.Hobbled(seed, load, warmup, duration)
				asked := measure(t, "Prequal", prequal(c, picker.PrequalConfig{}))
				yarp := measure(t, "two, polled", polled(c))
				least := measure(t, "LeastLoaded", by(c, picker.LeastLoaded))
				two := measure(t, "PowerOfTwo", by(c, picker.PowerOfTwo))
				turns := measure(t, "RoundRobin", by(c, picker.RoundRobin))
				chance := measure(t, "Random", by(c, picker.Random))
				if !(asked.p99 < yarp.p99 && yarp.p99 < min(least.p99, two.p99)) || turns.p99 < 4999 || chance.p99 < 4999 {
					t.Error("another order")
				}
				if yarp.p99 < either(2.5, 2)*asked.p99 || two.p99 < 5*asked.p99 {
					t.Error("other factors")
				}
				if !full() {
					return // it takes some seconds until the latencies are known
				}
				byRIF := measure(t, "in flight alone", prequal(c, picker.PrequalConfig{Quantile: 1e-9}))
				if asked.p99 > byRIF.p99 {
					t.Error("latency does harm")
				}
			})
		}
	}
}
