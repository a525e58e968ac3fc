package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// The test bed of Prequal (Wydrowski and others, NSDI 2024, section 5), as far as it can be had: a
// hundred clients, a hundred backends with a tenth of a machine of 64 cores each, requests of 80 ms with
// as large a deviation, and neighbours on the machines, which leave some backends what they were
// promised and others several times that. What the neighbours do is not published; here their shares are
// fitted to how the paper's weighted round robin fails.
//
// What it does not reproduce: at 1.74 times the allocation round robin fails 4 % here and over 25 %
// there, since a backend that is short gets no less than what it was promised; Prequal's p99.9 is 375 ms
// there instead of about 700; and the requests in flight have a wider tail under Prequal, since without
// contention latency is but chance.
const (
	allocation = 6.4                    // cores
	meanWork   = 86.667                 // ms: of max(0, N(80, 80))
	perLoad    = 100 * 6.4e3 / meanWork // requests per second that use up all allocations
)

// headroom is how many times its allocation the neighbours leave each of a hundred backends.
func headroom() []float64 {
	rooms := []float64{1, 1.2}
	for _, some := range []struct {
		n        int
		from, to float64
	}{{5, 1.27, 1.41}, {6, 1.41, 1.57}, {13, 1.57, 1.74}, {74, 2, 6}} {
		for i := range some.n {
			rooms = append(rooms, some.from+(some.to-some.from)*(float64(i)+0.5)/float64(some.n))
		}
	}
	return rooms
}

// bed is the test bed at a load, in allocations.
func bed(seed uint64, load float64, warmup, duration time.Duration) sim.Config {
	var backends []sim.Backend
	for i, room := range headroom() {
		backends = append(backends, sim.Backend{
			Spec: lb.Spec{ID: fmt.Sprintf("b%03d", i)}, Cores: allocation * room, Allocation: allocation,
		})
	}
	return sim.Config{
		Seed: seed, Clients: 100, Backends: backends, Discipline: sim.Sharing,
		Arrivals: sim.Poisson(load * perLoad), Work: sim.Normal{Mean: 80 * time.Millisecond, SD: 80 * time.Millisecond},
		Timeout: 5 * time.Second, Antagonists: sim.Antagonists{Every: 20 * time.Second, Pairs: 10},
		Probe:  sim.Probe{Delay: 500 * time.Microsecond},
		Warmup: warmup, Duration: duration,
	}
}

// hobbled is the test bed with neighbours that take back what a backend has borrowed, and more, while
// it has more requests than cores.
func hobbled(seed uint64, load float64, warmup, duration time.Duration) sim.Config {
	c := bed(seed, load, warmup, duration)
	for i, room := range headroom() {
		if room < 1.8 {
			c.Backends[i].Hobbled = allocation / 2
		}
	}
	return c
}

// prequal gives each client a Prequal of its own.
func prequal(c sim.Config, cfg picker.PrequalConfig) sim.Config {
	c.Probe.Policy = func(_ int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		mine := cfg
		mine.Ask = ask
		p := lb.Must(picker.NewPrequal(mine))
		return p.Policy, p.Answer
	}
	return c
}

// by gives each client a policy of its own.
func by(c sim.Config, policy lb.Policy) sim.Config {
	c.Policy = shared(policy)
	return c
}

// tail is what a run's latencies look like, in milliseconds.
type tail struct {
	p50, p90, p99, p999 float64
	failed              float64 // share
	rif99               int64
}

func measure(t *testing.T, what string, c sim.Config) tail {
	t.Helper()
	began := time.Now()
	r, err := sim.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	ms := func(q float64) float64 { return float64(r.Latency.Quantile(q)) / 1e6 }
	out := tail{ms(0.5), ms(0.9), ms(0.99), ms(0.999), float64(r.Errors) / float64(r.Requests), r.InFlight.Quantile(0.99)}
	t.Logf("%s: p50 %.0f p90 %.0f p99 %.0f p99.9 %.0f, failed %.3f %%, in flight p50 %d p90 %d p99 %d (%d requests, %.1f us each)", what,
		out.p50, out.p90, out.p99, out.p999, 100*out.failed, r.InFlight.Quantile(0.5), r.InFlight.Quantile(0.9), out.rif99,
		r.Requests, float64(time.Since(began).Microseconds())/float64(r.Requests))
	return out
}

// unequal is the test bed of the paper's figure 9: half of the backends take twice as long, all have
// twice their allocation, and three quarters of the allocation is in use if requests are spread evenly.
func unequal(seed uint64, warmup, duration time.Duration) sim.Config {
	backends := sim.Fleet(100, sim.Backend{Cores: 2 * allocation, Allocation: allocation})
	for i := range 50 {
		backends[2*i].Speed = 0.5
	}
	const work, inflated = 26, 1.08333 * 1.5 // ms; of max(0, N(1, 1)), of fast and slow
	return sim.Config{
		Seed: seed, Clients: 100, Backends: backends, Discipline: sim.Sharing,
		Arrivals: sim.Poisson(0.75 * 100 * allocation * 1e3 / (work * inflated)),
		Work:     sim.Normal{Mean: work * time.Millisecond, SD: work * time.Millisecond},
		Timeout:  5 * time.Second, Probe: sim.Probe{Delay: 500 * time.Microsecond},
		Warmup: warmup, Duration: duration,
	}
}

// seconds is either of two durations.
func seconds(whole, quick int) time.Duration {
	return time.Duration(either(whole, quick)) * time.Second
}
