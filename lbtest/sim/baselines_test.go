package sim_test

import (
	"math"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/estimate"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// polled is YARP's power of two choices: each client polls the requests in flight of all backends every
// 500 ms, and compares two.
func polled(c sim.Config) sim.Config {
	c.Probe.Every = 500 * time.Millisecond
	c.Probe.Policy = func(int, func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		inFlight := make(map[string]int64)
		policy := func(set lb.Set) lb.Picker {
			return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
				n := uint64(len(set.Eligible))
				i, j := info.Rand>>32%n, info.Rand&math.MaxUint32%(n-1)
				if j >= i {
					j++
				}
				a, b := set.Eligible[i].Backend, set.Eligible[j].Backend
				if inFlight[a.ID()] <= inFlight[b.ID()] {
					return a
				}
				return b
			})
		}
		return policy, func(b *lb.Backend, r lb.Report, _ time.Time) { inFlight[b.ID()] = r.InFlight }
	}
	return c
}

// ageing is an estimator with a fault that is easily made: it forgets what is older than a second, and
// takes 80 ms for each that is in flight where nothing is left. A backend that all avoid then looks
// fast again.
type ageing struct{ seen []aged }

type aged struct {
	at       time.Time
	inFlight int64
	latency  time.Duration
}

func (a *ageing) Add(now time.Time, inFlight int64, latency time.Duration) {
	a.seen = append(a.seen, aged{now, inFlight, latency})
	a.seen = a.seen[max(0, len(a.seen)-48):]
}

func (a *ageing) At(now time.Time, inFlight int64) time.Duration {
	for len(a.seen) > 0 && now.Sub(a.seen[0].at) > time.Second {
		a.seen = a.seen[1:]
	}
	var young estimate.Latencies
	for _, s := range a.seen {
		young.Add(s.inFlight, s.latency)
	}
	if len(a.seen) == 0 {
		return 80 * time.Millisecond * time.Duration(inFlight+1) / 10
	}
	return young.At(inFlight)
}
