package health

import (
	"cmp"
	"fmt"
	"time"
)

// EjectorConfig is when an Ejector takes backends out, and for how long. Pool is required.
type EjectorConfig struct {
	Pool Pool // whose backends are ejected

	// Failures is how many requests in a row have to fail. Zero means 5, negative switches the rule
	// off.
	Failures int
	// GatewayFailures is how many requests in a row have to get no answer at all, or 502, 503 or 504.
	// It is for programs whose lb.Config.Classify calls other answers failures, too, and which set
	// Failures higher. Zero and negative switch the rule off.
	GatewayFailures int

	// Interval is how far the rates look back, at least 10ms. It slides by tenths. Zero means 10s.
	Interval time.Duration
	// FailureShare is which share, 0 to 1, of at least 50 results within Interval have to be failures,
	// whatever the others do. Zero means 0.85, negative switches the rule off.
	FailureShare float64
	// Deviations is by how many standard deviations a success rate has to be below the mean. Zero
	// means 1.9, negative switches the comparison with others off, the median's included. The rule
	// needs five backends: of n, one that is unlike all others is off by sqrt(n-1) deviations.
	Deviations float64
	// Requests is how many results within Interval a backend has to have for Deviations. Zero means
	// 100.
	Requests int

	// Time is how long the first ejection lasts. The second in a row lasts twice as long, the
	// third three times, and so on. One is forgotten for every Time that the backend was not
	// ejected. Zero means 30s.
	Time time.Duration
	// MaxTime bounds one ejection, the first included. Zero means 300s, or Time if that is longer.
	MaxTime time.Duration
	// Jitter is by up to which share of it, 0 to 1, each ejection is drawn shorter, so that backends
	// that were ejected together do not come back together. Zero means 0.1, negative no chance at all.
	Jitter float64
	// MaxShare is which share, 0 to 1, of the backends that do not drain may be ejected at a
	// time, rounded down but at least one. The last one that is fit is never ejected. Zero means
	// 0.5.
	MaxShare float64
}

// faults lists what is wrong with an EjectorConfig, each with its cure.
func (cfg EjectorConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("health: EjectorConfig."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Interval != 0 && cfg.Interval < 10*time.Millisecond, "Interval %v is below 10ms; zero means 10s", cfg.Interval)
	add(cfg.FailureShare > 1 || cfg.FailureShare != cfg.FailureShare, "FailureShare %v is not at most 1; zero means 0.85, negative switches it off", cfg.FailureShare)
	add(cfg.Deviations != cfg.Deviations, "Deviations %v is no number; zero means 1.9, negative switches it off", cfg.Deviations)
	add(cfg.Requests < 0, "Requests %d is negative; zero means 100", cfg.Requests)
	add(cfg.Failures < 0 && cfg.GatewayFailures <= 0 && cfg.FailureShare < 0 && cfg.Deviations < 0,
		"Failures, GatewayFailures, FailureShare and Deviations are all off; set one, or leave the Ejector out")
	add(cfg.Time < 0, "Time %v is negative; zero means 30s", cfg.Time)
	add(cfg.MaxTime < 0 || cfg.MaxTime > 0 && cfg.MaxTime < cfg.Time, "MaxTime %v is less than Time %v; zero means 300s", cfg.MaxTime, cfg.Time)
	add(cfg.Jitter > 1 || cfg.Jitter != cfg.Jitter, "Jitter %v is not at most 1; it is a share of the time", cfg.Jitter)
	add(!(cfg.MaxShare >= 0 && cfg.MaxShare <= 1), "MaxShare %v is not between 0 and 1; it is a share of the backends", cfg.MaxShare)
	return errs
}

// withDefaults fills zero fields in. Rules that are off are negative after that, or zero.
func (cfg EjectorConfig) withDefaults() EjectorConfig {
	cfg.Failures = cmp.Or(cfg.Failures, 5)
	cfg.Interval = cmp.Or(cfg.Interval, 10*time.Second)
	cfg.FailureShare = cmp.Or(cfg.FailureShare, 0.85)
	cfg.Deviations = cmp.Or(cfg.Deviations, 1.9)
	cfg.Requests = cmp.Or(cfg.Requests, 100)
	cfg.Time = cmp.Or(cfg.Time, min(30*time.Second, cmp.Or(cfg.MaxTime, time.Hour)))
	cfg.MaxTime = cmp.Or(cfg.MaxTime, max(300*time.Second, cfg.Time))
	cfg.Jitter = max(0, cmp.Or(cfg.Jitter, 0.1))
	cfg.MaxShare = cmp.Or(cfg.MaxShare, 0.5)
	return cfg
}
