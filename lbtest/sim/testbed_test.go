package sim_test

import (
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// The worlds of package testbed stand for those of the paper on Prequal, whose neighbours are not published;
// here their shares are fitted to how the paper's weighted round robin fails.
//
// What they do not reproduce: at 1.74 times the allocation round robin fails 4 % here and over 25 %
// there, since a backend that is short gets no less than what it was promised; Prequal's p99.9 is 375 ms
// there instead of about 700; and the requests in flight have a wider tail under Prequal, since without
// contention latency is but chance.
func bed(seed uint64, load float64, warmup, duration time.Duration) sim.Config {
	return testbed.Bed(seed, load, warmup, duration)
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

// seconds is either of two durations.
func seconds(whole, quick int) time.Duration {
	return time.Duration(either(whole, quick)) * time.Second
}
