package autoscale

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Pool is what a Scaler needs of a pool; *lb.DynamicPool has it.
type Pool interface {
	lb.Pool
	// Add puts further backends into the pool, or none if any is wrong.
	Add(specs ...lb.Spec) error
	// Remove drains a backend, waits until it is idle or ctx is done, and removes it either way.
	Remove(ctx context.Context, id string) error
}

// Provider starts and stops backends. Its methods may be called by several goroutines at once,
// and must return soon after ctx is done.
type Provider interface {
	// Launch starts a backend and returns what it is once it listens. Its ID, or URL if that is
	// empty, must be new. After an error nothing may be left running.
	Launch(ctx context.Context) (lb.Spec, error)
	// Terminate stops a backend that Launch has started. It is called once for each, when no more
	// requests go there. With Config.Leader, another instance may have launched it, and may have
	// terminated it already: then there is nothing to do. So no ID may ever be used again.
	Terminate(ctx context.Context, id string) error
}

// Config is what a Scaler needs. Pool and Provider are required.
type Config struct {
	Pool     Pool
	Provider Provider

	// Leader lets Scalers of several processes, each with a pool of its own, scale as one: see the
	// package's documentation. Nil means that this process decides alone. A Local is no Provider
	// for it, since its backends end with their process.
	Leader Leader

	// Plan decides. Nil means Step(Threshold). It is obeyed at once, up and down, unless it is a
	// PlanFunc: see Cooldown.
	Plan Plan
	// Threshold is the default plan's: the requests answered per interval above which one more
	// backend is wanted. Zero means 20.
	Threshold int
	// Interval is how often the plan is asked, and how long requests are counted. Zero means 15s
	// for a PlanFunc, and 2s for other plans, which keep windows of their own.
	Interval time.Duration
	// Min and Max bound how many backends there are in the pool, those from configuration
	// included. Zero means 1 and 10, or Min if that is more. When Run begins, what is missing of
	// Min is launched at once.
	Min, Max int
	// Cooldown is for how long a plan that is a PlanFunc must have wanted fewer backends, and
	// nothing else may have moved, until one goes; one at a time. Zero means four intervals.
	// Other plans remember enough to see to that themselves.
	Cooldown time.Duration
	// LaunchTimeout bounds one Launch. Zero means 2m.
	LaunchTimeout time.Duration
	// Backoff is how long no launch is tried after one that failed. It doubles with each further
	// one, up to thirty times as long, and until one succeeds they are tried one by one. Zero
	// means 10s.
	Backoff time.Duration
	// DrainTimeout bounds the wait for the requests of a backend that has to go, and then that
	// for its termination. Zero means 30s.
	DrainTimeout time.Duration

	// OnEvent is told of each move when it is done, for logs and metrics. It may be called by
	// several goroutines at once. Nil means nobody is.
	OnEvent func(Event)
}

// Kind is what an Event is about.
type Kind uint8

const (
	Up     Kind = iota + 1 // a backend was launched and added
	Down                   // a backend was drained and terminated
	Failed                 // a launch or a termination failed
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Up:
		return "up"
	case Down:
		return "down"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// Event is one move of a Scaler. From and To are the numbers of backends, as in Load, that the
// move led from and to; they are the same if it failed.
type Event struct {
	Kind     Kind
	Backend  string // its ID; empty if it has none because it was not launched
	From, To int
	Reason   string // why, on one line
}

// faults lists what is wrong with a Config, each with its cure.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("autoscale: Config."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Provider == nil, "Provider is nil; try &autoscale.Local{...}")
	add(cfg.Threshold < 0, "Threshold %d is negative; zero means 20", cfg.Threshold)
	add(cfg.Plan != nil && cfg.Threshold != 0, "Threshold %d is for the default plan, and there is another; set one of the two", cfg.Threshold)
	add(!forgets(cfg.Plan) && cfg.Cooldown != 0, "Cooldown %v is for a PlanFunc, and the plan sees to that itself; leave it zero", cfg.Cooldown)
	add(cfg.Min < 0, "Min %d is negative; zero means 1", cfg.Min)
	add(cfg.Max < 0 || cfg.Max > 0 && cfg.Max < cfg.Min, "Max %d is less than Min %d; zero means 10", cfg.Max, cfg.Min)
	add(cfg.Interval < 0, "Interval %v is negative; zero means 15s, or 2s", cfg.Interval)
	add(cfg.Cooldown < 0, "Cooldown %v is negative; zero means four intervals", cfg.Cooldown)
	add(cfg.LaunchTimeout < 0, "LaunchTimeout %v is negative; zero means 2m", cfg.LaunchTimeout)
	add(cfg.Backoff < 0, "Backoff %v is negative; zero means 10s", cfg.Backoff)
	add(cfg.DrainTimeout < 0, "DrainTimeout %v is negative; zero means 30s", cfg.DrainTimeout)
	return errs
}

// forgets reports whether a plan remembers nothing, as the default does.
func forgets(p Plan) bool {
	_, is := p.(PlanFunc)
	return p == nil || is
}

// defaults fills the zero fields in.
func (cfg Config) defaults() Config {
	cfg.Threshold = cmp.Or(cfg.Threshold, 20)
	if cfg.Interval == 0 && !forgets(cfg.Plan) {
		cfg.Interval = 2 * time.Second
	}
	cfg.Interval = cmp.Or(cfg.Interval, 15*time.Second)
	cfg.Cooldown = cmp.Or(cfg.Cooldown, 4*cfg.Interval)
	cfg.Min = cmp.Or(cfg.Min, 1)
	cfg.Max = cmp.Or(cfg.Max, max(10, cfg.Min))
	cfg.LaunchTimeout = cmp.Or(cfg.LaunchTimeout, 2*time.Minute)
	cfg.Backoff = cmp.Or(cfg.Backoff, 10*time.Second)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 30*time.Second)
	if cfg.Plan == nil {
		cfg.Plan = Step(cfg.Threshold)
	}
	if ask, is := cfg.Plan.(PlanFunc); is {
		cfg.Plan = patient{ask: ask, min: cfg.Min, max: cfg.Max, cooldown: cfg.Cooldown}
	} else {
		cfg.Plan = bounded{Plan: cfg.Plan, min: cfg.Min, max: cfg.Max}
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	return cfg
}
