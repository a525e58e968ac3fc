package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/go-loadbalancer/lb"
)

// Config says when a breaker opens and how it closes again. Zero fields take the default.
type Config struct {
	// FailureRate is the share of failures within Window that opens, 0.01 to 1; rates are
	// rounded to a hundredth. Zero means 0.5, negative switches this rule off.
	FailureRate float64
	// Requests is how many results there have to be within Window before FailureRate counts.
	// Zero means 20.
	Requests int
	// Window is how far FailureRate looks back, 10ms to a day. It slides by tenths. Zero means 10s.
	Window time.Duration

	// Consecutive is how many failures in a row open, in the order in which they ended. Zero
	// means 5, negative switches this rule off.
	Consecutive int

	// Slow is how long an answer may take to begin. Slower ones count for SlowRate, and as failed trials.
	// Zero means that time does not matter.
	Slow time.Duration
	// SlowRate is the share of slow answers among the results within Window that opens, 0.01 to 1, if
	// there are as many results as Requests says. Zero means 0.5.
	SlowRate float64

	// Cooldown is the longest time from one round of trials to the next, up to a day, and Soonest the time
	// from opening to the first. In between the breaker waits for a quarter of the time that it has been
	// open in all: a backend that is back soon is found soon, and one that stays away is left alone. So
	// that breakers that opened together do not try together, each time is up to a fifth shorter or
	// longer. Zero means 5s for Cooldown, and a twentieth of that for Soonest.
	Cooldown, Soonest time.Duration
	// Trials is how many trials may run at a time, and how many have to succeed to close, up to
	// 1,000. Zero means 3.
	Trials int
	// Patience is how long trials may run before their places go to others; their own results
	// count still. Zero means 30s.
	Patience time.Duration
}

// New returns what makes a backend's breaker, the value for lb.Config.Breakers, or an error
// that names every field that is wrong.
func New(cfg Config) (func(*lb.Backend) lb.Breaker, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	return func(*lb.Backend) lb.Breaker { return newBreaker(cfg) }, nil
}

func (cfg Config) withDefaults() Config {
	cfg.Cooldown = cmp.Or(cfg.Cooldown, 5*time.Second)
	return Config{
		FailureRate: cmp.Or(cfg.FailureRate, 0.5),
		Requests:    cmp.Or(cfg.Requests, 20),
		Window:      cmp.Or(cfg.Window, 10*time.Second),
		Consecutive: cmp.Or(cfg.Consecutive, 5),
		Slow:        cfg.Slow,
		SlowRate:    cmp.Or(cfg.SlowRate, 0.5),
		Cooldown:    cfg.Cooldown,
		Soonest:     cmp.Or(cfg.Soonest, cfg.Cooldown/20),
		Trials:      cmp.Or(cfg.Trials, 3),
		Patience:    cmp.Or(cfg.Patience, 30*time.Second),
	}
}

// faults lists what is wrong with a Config that has its defaults, each with its cure.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("breaker: Config."+format, args...))
		}
	}
	const day = 24 * time.Hour
	rate := cfg.FailureRate
	add(rate != rate || rate >= 0 && rate < 0.01 || rate > 1, "FailureRate %v is not between 0.01 and 1; negative switches it off", rate)
	add(cfg.Requests < 0, "Requests %d is negative; zero means 20", cfg.Requests)
	add(cfg.Window < 10*time.Millisecond || cfg.Window > day, "Window %v is not between 10ms and 24h; zero means 10s", cfg.Window)
	add(rate < 0 && cfg.Consecutive < 0 && cfg.Slow == 0, "FailureRate, Consecutive and Slow are all off; set one, or leave lb.Config.Breakers nil")
	add(cfg.Slow < 0, "Slow %v is negative; zero means that time does not matter", cfg.Slow)
	add(!(cfg.SlowRate >= 0.01 && cfg.SlowRate <= 1), "SlowRate %v is not between 0.01 and 1; zero means 0.5", cfg.SlowRate)
	add(cfg.Cooldown < 0 || cfg.Cooldown > day, "Cooldown %v is not between 0 and 24h; zero means 5s", cfg.Cooldown)
	add(cfg.Soonest < 0 || cfg.Soonest > cfg.Cooldown, "Soonest %v is not between 0 and Cooldown %v; zero means a twentieth of that", cfg.Soonest, cfg.Cooldown)
	add(cfg.Trials < 0 || cfg.Trials > 1000, "Trials %d is not between 1 and 1000; zero means 3", cfg.Trials)
	add(cfg.Patience < 0, "Patience %v is negative; zero means 30s", cfg.Patience)
	return errs
}

// circuit builds failsafe-go's part of a breaker. Without FailureRate it counts failures in a
// row as the breaker does, or none. The success threshold is always set: without one, as many trials
// would be admitted as Requests says.
func (cfg Config) circuit() circuitbreaker.CircuitBreaker[any] {
	builder := circuitbreaker.NewBuilder[any]().
		WithDelay(cfg.Cooldown).
		WithSuccessThreshold(uint(cfg.Trials))
	switch {
	case cfg.FailureRate >= 0:
	case cfg.Consecutive >= 0:
		return builder.WithFailureThreshold(uint(cfg.Consecutive)).Build()
	default: // a window that is never full
		return builder.WithFailureRateThreshold(1, math.MaxUint32, cfg.Window).Build()
	}
	return builder.WithFailureRateThreshold(cfg.FailureRate, uint(cfg.Requests), cfg.Window).Build()
}

// pace builds the circuit of which slow answers are the failures, or nil if time does not matter.
func (cfg Config) pace() circuitbreaker.CircuitBreaker[any] {
	if cfg.Slow == 0 {
		return nil
	}
	return circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(cfg.SlowRate, uint(cfg.Requests), cfg.Window).Build()
}
