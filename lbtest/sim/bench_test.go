package sim_test

import (
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// BenchmarkRun says what one request costs, the pick included: 100 clients and 100 backends that
// share their cores at nine tenths of what they can do, with a deadline.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy lb.Policy
	}{
		{"RoundRobin", picker.RoundRobin}, {"PowerOfTwo", picker.PowerOfTwo}, {"PeakEWMA", picker.PeakEWMA},
		{"Adaptive", picker.Adaptive}, {"LeastLoaded", picker.LeastLoaded},
	} {
		b.Run(c.name, func(b *testing.B) {
			const rate = 100 * 6.4 * 0.9 / 0.0867
			b.ReportAllocs()
			_, err := sim.Run(sim.Config{
				Clients: 100, Policy: shared(c.policy), Backends: sim.Fleet(100, sim.Backend{Cores: 6.4}), Discipline: sim.Sharing,
				Arrivals: sim.Poisson(rate), Work: sim.Normal{Mean: 80 * ms, SD: 80 * ms}, Timeout: 5 * time.Second,
				Duration: time.Duration(float64(b.N) / rate * float64(time.Second)),
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
