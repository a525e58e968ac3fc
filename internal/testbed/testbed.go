// Package testbed has the worlds of the paper on Prequal, for the simulator's tests and for the
// simulate example.
package testbed

import (
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// Allocation is how many cores a backend is promised.
const Allocation = 6.4

const (
	meanWork = 86.667                      // ms: of max(0, N(80, 80))
	each     = 1e3 * Allocation / meanWork // requests per second that use up one allocation
)

// headroom returns how many times its allocation the neighbours leave each of n backends. Of a hundred
// the shares are fitted to how the paper's weighted round robin fails; of more, there are more of each kind.
func headroom(n int) []float64 {
	rooms := make([]float64, 0, n)
	for _, some := range []struct {
		n        int // of a hundred
		from, to float64
	}{{1, 1, 1}, {1, 1.2, 1.2}, {5, 1.27, 1.41}, {6, 1.41, 1.57}, {13, 1.57, 1.74}, {74, 2, 6}} {
		k := some.n * n / 100
		for i := range k {
			rooms = append(rooms, some.from+(some.to-some.from)*(float64(i)+0.5)/float64(k))
		}
	}
	return rooms
}

// Bed is the test bed of Prequal (Wydrowski and others, NSDI 2024, section 5), as far as it can be
// had: a hundred clients, a hundred backends with a tenth of a machine of 64 cores each, requests of
// 80 ms with as large a deviation, and neighbours on the machines, which leave some backends what they
// were promised and others several times that. Load is in allocations.
func Bed(seed uint64, load float64, warmup, duration time.Duration) sim.Config {
	return Scaled(seed, 100, 100, load, warmup, duration)
}

// Scaled is [Bed] with so many clients and backends, a multiple of a hundred.
func Scaled(seed uint64, clients, backends int, load float64, warmup, duration time.Duration) sim.Config {
	var fleet []sim.Backend
	for i, room := range headroom(backends) {
		fleet = append(fleet, sim.Backend{
			Spec: lb.Spec{ID: fmt.Sprintf("b%04d", i)}, Cores: Allocation * room, Allocation: Allocation,
		})
	}
	return sim.Config{
		Seed: seed, Clients: clients, Backends: fleet, Discipline: sim.Sharing,
		Arrivals: sim.Poisson(Rate(backends, load)), Work: sim.Normal{Mean: 80 * time.Millisecond, SD: 80 * time.Millisecond},
		Timeout: 5 * time.Second, Antagonists: sim.Antagonists{Every: 20 * time.Second, Pairs: backends / 10},
		Probe:  sim.Probe{Delay: 500 * time.Microsecond},
		Warmup: warmup, Duration: duration,
	}
}

// Rate returns the requests per second that are so many times the allocations of all backends.
func Rate(backends int, load float64) float64 { return load * each * float64(backends) }

// Hobbled is [Bed] with neighbours that take back what a backend has borrowed, and more, while it has
// more requests than cores.
func Hobbled(seed uint64, load float64, warmup, duration time.Duration) sim.Config {
	c := Bed(seed, load, warmup, duration)
	for i, room := range headroom(100) {
		if room < 1.8 {
			c.Backends[i].Hobbled = Allocation / 2
		}
	}
	return c
}

// Unequal is the test bed of the paper's figure 9 with so many clients and backends: half of the
// backends take twice as long, all have twice their allocation, and three quarters of the allocation is
// in use if requests are spread evenly.
func Unequal(seed uint64, clients, backends int, warmup, duration time.Duration) sim.Config {
	fleet := sim.Fleet(backends, sim.Backend{Cores: 2 * Allocation, Allocation: Allocation})
	for i := range backends / 2 {
		fleet[2*i].Speed = 0.5
	}
	const work, inflated = 26, 1.08333 * 1.5 // ms; of max(0, N(1, 1)), of fast and slow
	return sim.Config{
		Seed: seed, Clients: clients, Backends: fleet, Discipline: sim.Sharing,
		Arrivals: sim.Poisson(0.75 * float64(backends) * Allocation * 1e3 / (work * inflated)),
		Work:     sim.Normal{Mean: work * time.Millisecond, SD: work * time.Millisecond},
		Timeout:  5 * time.Second, Probe: sim.Probe{Delay: 500 * time.Microsecond},
		Warmup: warmup, Duration: duration,
	}
}
