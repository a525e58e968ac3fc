package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Config is a world and what happens in it. Policy, Backends, Arrivals, Work and Duration are
// required; all else is off when zero.
type Config struct {
	// Seed makes the run: the same seed and configuration give the same events, in the same
	// order. Arrivals, work, picks, networks, faults and antagonists draw from generators of their
	// own, so that another policy meets the same requests.
	Seed uint64
	// Clients is how many balancers share the backends. Each has its own view of them, its own
	// counts of what it has in flight there, and its own budget of retries. Zero means 1.
	Clients int
	// Policy returns the policy of a client, from 0 on. It is called once for each.
	Policy func(client int) lb.Policy
	// Backends are those that exist from the beginning or come later; see [Fleet].
	Backends []Backend
	// Discipline is how a backend shares itself among its requests.
	Discipline Discipline
	// Arrivals says when requests come.
	Arrivals Arrivals
	// Work is how long a request takes a core of speed 1 that has nothing else to do.
	Work Dist
	// Network is how long a request takes to its backend, and the answer back, each. Nil: no time.
	Network Dist
	// Timeout bounds a request with all its tries. When it is over, the request has failed, and
	// its backends stop working on it at once. Zero: no bound.
	Timeout time.Duration
	// Fanout makes of each arrival this many requests, each picked for by itself. It ends when
	// the last of them does, and fails if one does. Zero means 1.
	Fanout int
	// Tries says what becomes of a request whose attempt fails.
	Tries Tries
	// Hedge sends a slow request to a second backend, as [lb.Config] has it, and takes whoever answers
	// first; the other is cancelled. It spends from the budget of Tries.
	Hedge lb.Hedge
	// Probe lets policies ask the backends themselves.
	Probe Probe
	// Antagonists move the cores about.
	Antagonists Antagonists
	// Changes happen at their times, in any order.
	Changes []Change
	// Notice is how long it takes a client to learn that a backend has come, gone, is down or has
	// another weight, drawn for each client. Nil: no time.
	Notice Dist
	// Request makes what pickers see of a request and of who sent it, for those that hash. It draws
	// from a generator of its own, and may return the same more than once. Nil: a bare GET from any
	// address of 10.0.0.0/8.
	Request func(*rand.Rand) (*http.Request, netip.Addr)
	// Warmup is what the report leaves out: only what arrives in the Duration after it counts.
	// The run goes on, with further arrivals, until all of that has ended, at most for another
	// Duration; then arrivals stop, and it ends when nothing is in flight.
	Warmup, Duration time.Duration
	// Window is the width of the report's series. Zero means a hundredth of Warmup and Duration.
	Window time.Duration
	// Progress, if not nil, is called now and then with the virtual time since the beginning, and
	// when the last request that counts will have arrived.
	Progress func(now, end time.Duration)
}

// Discipline is how a backend shares its cores among its requests.
type Discipline uint8

const (
	// FIFO gives each request a core to itself, in the order in which they came; the others wait.
	FIFO Discipline = iota
	// Sharing lets all requests work at once, each at the rate min(1, cores / requests).
	Sharing
)

// Backend is a backend as it is at one time. Its zero value is a healthy one with one core.
type Backend struct {
	// Spec is what balancers know about it. ID defaults to b and a number, URL to one made of it.
	Spec lb.Spec
	// Cores is how many requests it can work on at full speed. Under FIFO it is rounded down, but
	// not below 1. Zero means 1; [Unlimited] means that requests never meet.
	Cores float64
	// Speed is how much work a core does in a second, in seconds. Zero means 1.
	Speed float64
	// Allocation is the cores that its utilization is reported in proportion to. Zero means Cores.
	Allocation float64
	// Hobbled is the cores that are left while it has more requests than cores, as on a machine
	// whose neighbours take back what it has borrowed. Zero: that does not happen.
	Hobbled float64
	// Fail is the share of requests that fail, 0 to 1, each after FailAfter and without any work.
	Fail      float64
	FailAfter Dist // nil: at once
	// Hang is the share of requests that are never answered, 0 to 1. It needs a timeout.
	Hang float64
	// Down says that balancers are told it is down. It goes on working.
	Down bool
	// Absent says that it is not in the pool. What is in flight there is finished, what still
	// arrives is refused.
	Absent bool
}

// Unlimited is more cores than any number of requests can keep busy.
const Unlimited = math.MaxInt32

// Fleet returns n backends like b. Their IDs are b0000, b0001 and so on, or b's with the number
// behind it.
func Fleet(n int, b Backend) []Backend {
	fleet := make([]Backend, max(0, n))
	prefix := cmp.Or(b.Spec.ID, "b")
	for i := range fleet {
		fleet[i] = b
		fleet[i].Spec.ID = fmt.Sprintf("%s%04d", prefix, i)
	}
	return fleet
}

// Tries bounds the attempts for one request. The zero value makes one.
type Tries struct {
	// Max is how many more attempts are made after one has failed, whatever the failure, each on a
	// backend that was not tried yet; without one, or if what is left of Config.Timeout is less than the
	// backend before takes usually, the request has failed. They come out of the budget that a
	// balancer has: a fifth of its requests, and ten in reserve.
	Max int
	// Timeout bounds each attempt. Zero: no bound.
	Timeout time.Duration
	// Backoff is how long to wait before each of them. Nil: not at all.
	Backoff Dist
	// Unbounded tries without a budget, which is how outages grow.
	Unbounded bool
}

// Antagonists swap the cores of backends, as if the neighbours on their machines had moved.
type Antagonists struct {
	Every time.Duration // zero: never
	Pairs int           // that swap Cores and Hobbled, each time, drawn anew
}

// Change edits one of Config.Backends at a time. Spec.ID and Spec.URL have to stay.
type Change struct {
	At      time.Duration
	Backend int // its index
	Edit    func(*Backend)
}

// check returns all that is wrong with a configuration.
func (c *Config) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Clients < 0 || c.Clients > 1<<20, "Clients %d is not between 0 and %d", c.Clients, 1<<20)
	wrong(c.Policy == nil && c.Probe.Policy == nil, "Policy is nil; try func(int) lb.Policy { return picker.PowerOfTwo }")
	wrong(c.Policy != nil && c.Probe.Policy != nil, "Policy and Probe.Policy are both set; set one")
	wrong(c.Probe.Every > 0 && c.Probe.Policy == nil, "Probe.Every %v has nobody to tell; set Probe.Policy", c.Probe.Every)
	wrong(len(c.Backends) == 0, "Backends is empty; try sim.Fleet(10, sim.Backend{})")
	wrong(c.Discipline > Sharing, "Discipline %d is neither FIFO nor Sharing", c.Discipline)
	wrong(c.Fanout < 0, "Fanout %d is negative; zero means 1", c.Fanout)
	wrong(c.Tries.Max < 0, "Tries.Max %d is negative; zero means one attempt", c.Tries.Max)
	wrong(c.Duration <= 0, "Duration %v is not above zero", c.Duration)
	wrong(c.Antagonists.Pairs < 0 || 2*c.Antagonists.Pairs > len(c.Backends),
		"Antagonists.Pairs %d needs twice as many backends, there are %d", c.Antagonists.Pairs, len(c.Backends))
	wrong(!(c.Hedge.Quantile >= 0 && c.Hedge.Quantile < 1), "Hedge.Quantile %v is not between 0 and 1; try 0.95", c.Hedge.Quantile)
	errs = append(errs, c.checkTimes(), c.checkDists())
	for i := range c.Backends {
		errs = append(errs, c.Backends[i].check(i, c))
	}
	for i, ch := range c.Changes {
		wrong(ch.At < 0, "Changes: %d is at %v, before the beginning", i, ch.At)
		wrong(ch.Backend < 0 || ch.Backend >= len(c.Backends), "Changes: %d is for backend %d of %d", i, ch.Backend, len(c.Backends))
		wrong(ch.Edit == nil, "Changes: %d has no Edit", i)
	}
	return errors.Join(errs...)
}

func (c *Config) checkTimes() error {
	return errors.Join(positive("Timeout", c.Timeout), positive("Tries.Timeout", c.Tries.Timeout),
		positive("Hedge.After", c.Hedge.After), positive("Antagonists.Every", c.Antagonists.Every),
		positive("Warmup", c.Warmup), positive("Duration", c.Duration), positive("Window", c.Window),
		positive("Probe.Delay", c.Probe.Delay), positive("Probe.Every", c.Probe.Every))
}

func (c *Config) checkDists() error {
	errs := []error{
		checkDist("Work", c.Work, true), checkDist("Network", c.Network, false),
		checkDist("Tries.Backoff", c.Tries.Backoff, false), checkDist("Notice", c.Notice, false),
	}
	if c.Arrivals == nil {
		return errors.Join(append(errs, errors.New("Arrivals is nil; try sim.Poisson(100)"))...)
	}
	if a, ok := c.Arrivals.(interface{ check() error }); ok {
		if err := a.check(); err != nil {
			errs = append(errs, fmt.Errorf("Arrivals: %w", err))
		}
	}
	return errors.Join(errs...)
}

// check returns what is wrong with the backend at index i.
func (b *Backend) check(i int, c *Config) error {
	var errs []error
	for what, x := range map[string]float64{"Cores": b.Cores, "Speed": b.Speed, "Allocation": b.Allocation, "Hobbled": b.Hobbled} {
		if !(x >= 0 && x <= Unlimited) {
			errs = append(errs, fmt.Errorf("backend %d: %s %v is not between 0 and Unlimited", i, what, x))
		}
	}
	for what, x := range map[string]float64{"Fail": b.Fail, "Hang": b.Hang, "Fail and Hang": b.Fail + b.Hang} {
		if !(x >= 0 && x <= 1) {
			errs = append(errs, fmt.Errorf("backend %d: %s %v is not between 0 and 1", i, what, x))
		}
	}
	if b.Hang > 0 && c.Timeout == 0 && c.Tries.Timeout == 0 {
		errs = append(errs, fmt.Errorf("backend %d: Hang %v needs a Timeout, or the run would not end", i, b.Hang))
	}
	return errors.Join(append(errs, checkDist(fmt.Sprintf("backend %d: FailAfter", i), b.FailAfter, false))...)
}
