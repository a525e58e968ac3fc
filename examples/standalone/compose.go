package main

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/autoscale"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/health"
	"github.com/go-loadbalancer/lb/internal/demo"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/session"
	"github.com/go-loadbalancer/lb/transport"
)

// app is the program put together.
type app struct {
	*options
	log      *slog.Logger
	pool     *lb.DynamicPool
	cfg      lb.Config
	balancer *lb.Balancer
	limiter  interface {
		Wrap(http.Handler) http.Handler
	} // nil without a limit
	overall  *limit.Adaptive // nil without one
	recorder *metrics.Recorder
	export   *metrics.Export
	checker  *health.Checker
	features []string
	runners  []lb.Runner
	closers  []func()
	ready    atomic.Bool
}

func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
}

// addBackends makes the pool: of the backends that were named, or of three of its own.
func (a *app) addBackends() (err error) {
	specs := a.backends
	for i := 0; i < 3 && len(a.backends) == 0; i++ {
		url, stop, err := demo.Start(8081 + i)
		if err != nil {
			return fmt.Errorf("%w; free the port, or name your own backends with -backend", err)
		}
		a.closers = append(a.closers, stop)
		specs = append(specs, lb.Spec{URL: url, Weight: 3 - i})
	}
	for i := range specs {
		specs[i].MaxInFlight = a.waiting.maxInFlight
	}
	if a.pool, err = lb.NewPool(specs...); err != nil {
		return err
	}
	for _, spec := range specs {
		a.log.Info(fmt.Sprintf("Added backend: %s (weight: %d)", spec.URL, max(1, spec.Weight)))
	}
	return nil
}

// compose builds the balancer and all that works beside it.
func (a *app) compose() (err error) {
	if a.pool == nil {
		return nil // and addBackends said why
	}
	a.recorder = metrics.New(metrics.Config{Process: true})
	a.cfg = lb.Config{
		Pool: a.pool, Policy: a.policy, TrustedProxies: a.trusted, ExplainTo: a.explainTo, MaxBody: a.maxBody,
		Transport: transport.New(transport.Config{HeaderTimeout: a.headerTimeout}),
		Observers: []lb.Observer{a.recorder.Observer(), demo.LogObserver(a.log, a.policyName)},
	}
	a.retrying.apply(&a.cfg)
	a.waiting.apply(&a.cfg)
	if a.policyRunner != nil {
		a.runners = append(a.runners, a.policyRunner)
	}
	for _, add := range []func() error{a.addSessions, a.addBreakers, a.addAdapting, a.addHealth, a.addEjection, a.addLearning, a.addScaler, a.addLimit} {
		if err := add(); err != nil {
			return err
		}
	}
	if a.balancer, err = lb.New(a.cfg); err != nil {
		return err
	}
	a.export = a.recorder.Export(a.balancer, metrics.ExportConfig{
		Title: "Go Load Balancer", Policy: a.policyName, Features: a.features, Probe: a.checker.Latency,
	})
	return nil
}

func (a *app) addSessions() error {
	if !a.sticky {
		return nil
	}
	key := a.sessionKey
	if key == nil {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	cookie, err := session.NewCookie(session.CookieConfig{Keys: [][]byte{key}, TTL: a.sessionTTL, Pool: a.pool})
	if err != nil {
		return err
	}
	a.cfg.SessionKey = cookie
	if !a.sharing.shares("sessions") {
		memory, err := session.NewMemory(session.MemoryConfig{TTL: a.sessionTTL})
		a.cfg.Sessions, a.runners = memory, append(a.runners, memory)
		a.recorder.Gauge("loadbalancer_sessions", func() float64 { return float64(memory.Len()) })
		a.features = append(a.features, "sticky sessions")
		return err
	}
	return a.addSharedSessions()
}

func (a *app) addBreakers() (err error) {
	if a.breaker {
		a.cfg.Breakers, err = breaker.New(breaker.Config{Slow: a.breakerSlow})
		a.features = append(a.features, "circuit breakers")
	}
	return err
}

func (a *app) addHealth() error {
	probe, kind := health.Probe(health.TCP), "TCP health checks"
	if a.healthPath != "" {
		asked, err := health.HTTP(health.HTTPConfig{Path: a.healthPath})
		if err != nil {
			return err
		}
		probe, kind = asked, "health checks"
	}
	checker, err := health.New(health.Config{
		Pool: a.pool, Probe: probe, Interval: a.healthInterval, Timeout: a.healthTimeout, StartDown: a.startDown,
		Pauses: a.cfg.Pauses,
	})
	if err != nil {
		return err
	}
	a.checker = checker
	a.runners = append(a.runners, checker)
	a.features = append(a.features, kind)
	return nil
}

// addEjection has real requests tell who is not well.
func (a *app) addEjection() error {
	if a.eject {
		ejector, err := health.NewEjector(health.EjectorConfig{Pool: a.pool, GatewayFailures: 3})
		if err != nil {
			return err
		}
		a.cfg.Observers = append(a.cfg.Observers, ejector.Observer())
		a.runners = append(a.runners, ejector)
		a.features = append(a.features, "outlier ejection")
	}
	if a.suspect {
		suspector, err := health.NewSuspector(health.SuspectorConfig{Pool: a.pool, Pauses: a.cfg.Pauses})
		if err != nil {
			return err
		}
		a.runners = append(a.runners, suspector)
		a.features = append(a.features, "suspicion")
	}
	return nil
}

func (a *app) addScaler() error {
	if !a.autoscale || len(a.backends) > 0 {
		return nil
	}
	scaler, err := autoscale.New(autoscale.Config{
		Pool: a.pool, Provider: &autoscale.Local{Handler: demo.Backend}, Min: 3, Max: 6,
		Interval: a.scaling.interval, Plan: a.scaling.plan, OnEvent: a.logScaling,
	})
	if err != nil {
		return err
	}
	a.cfg.Observers = append(a.cfg.Observers, scaler.Observer())
	a.runners = append(a.runners, scaler)
	a.features = append(a.features, "autoscaling")
	return nil
}

func (a *app) addLimit() (err error) {
	if a.rateLimit == 0 {
		return nil
	}
	limited := a.recorder.Counter("loadbalancer_rate_limited_total")
	onLimited := func(*http.Request) { limited.Inc() }
	if a.sharing.shares("limit") {
		return a.sharedLimit(onLimited)
	}
	a.limiter, err = limit.New(limit.Config{Rate: a.rateLimit, Burst: a.rateBurst, TrustedProxies: a.trusted, OnLimited: onLimited})
	a.features = append(a.features, fmt.Sprintf("rate limit of %v/s", a.rateLimit))
	return err
}

func (a *app) logScaling(e autoscale.Event) {
	text := fmt.Sprintf("%s: %s (%d to %d backends): %s", e.Kind, e.Backend, e.From, e.To, e.Reason)
	a.recorder.Event("autoscale " + text)
	a.recorder.Counter("loadbalancer_autoscale_events_total", "kind", e.Kind.String()).Inc()
	a.log.Info("Autoscale: " + text)
}

func (a *app) logRedis(reachable bool, err error) {
	if reachable {
		a.log.Info("Redis is reachable again")
	} else {
		a.log.Warn("Redis is unreachable, this instance goes on alone", "error", err)
	}
}
