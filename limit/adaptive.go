package limit

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Adaptive bounds how many requests are in flight, at what their latency says is enough: see the
// package's comment. Its methods may be called by many goroutines at once.
type Adaptive struct {
	cfg    AdaptiveConfig
	places *places
	told   atomic.Bool // by an observer, of what attempts took
}

// NewAdaptive returns an Adaptive, or an error that names every field that is wrong. It starts
// nothing.
func NewAdaptive(cfg AdaptiveConfig) (*Adaptive, error) {
	cfg = cfg.withDefaults()
	if err := cfg.faults(); err != nil {
		return nil, err
	}
	return &Adaptive{cfg: cfg, places: newPlaces(cfg)}, nil
}

// Wrap returns a handler that passes requests on to next within the limit, and answers others with
// 503 and Retry-After. Handlers of one Adaptive share its limit. What a request takes is how long
// next has it, unless Observer knows better; one whose client has left, or that panics, tells nothing.
// It costs no allocation, and about 0.2 µs.
func (a *Adaptive) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reserved := a.reserved(r)
		switch {
		case a.cfg.Exempt(r):
			next.ServeHTTP(w, r)
		case a.places.enter(reserved):
			a.serve(next, w, r)
		default:
			a.refuse(w, r)
		}
	})
}

// reserved is how many fifths of the limit are not for a request.
func (a *Adaptive) reserved(r *http.Request) int {
	if a.cfg.Priority == nil {
		return 0
	}
	return min(max(0, -max(a.cfg.Priority(r), -mostReserved)), mostReserved)
}

// mostReserved leaves a fifth of the limit to whoever is least important.
const mostReserved = 4

// serve holds a place while next has the request.
func (a *Adaptive) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	start, whole := time.Now(), false
	defer func() {
		a.places.leave()
		if whole && !a.told.Load() && r.Context().Err() == nil {
			now := time.Now()
			a.places.learn(now, now.Sub(start))
		}
	}()
	next.ServeHTTP(w, r)
	whole = true
}

func (a *Adaptive) refuse(w http.ResponseWriter, r *http.Request) {
	if a.cfg.OnRefused != nil {
		a.cfg.OnRefused(r)
	}
	if a.cfg.ReasonHeader != "" {
		w.Header().Set(a.cfg.ReasonHeader, "overload")
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// Observer returns what tells of attempts, for lb.Config.Observers of a balancer behind Wrap. From
// then on it is the time to the headers of backends' answers that counts: not that of a client who
// takes a large answer slowly, nor of an error that came fast, nor a pause of our own.
func (a *Adaptive) Observer() lb.Observer {
	a.told.Store(true)
	return lb.Observer{Attempt: func(res lb.Result) { a.places.judge(res.Outcome, res.Latency) }}
}

// Limit returns how many requests may be in flight now, between Min and Max.
func (a *Adaptive) Limit() int { return int(a.places.limit.Load()) }

// InFlight returns how many are, without those that are exempt.
func (a *Adaptive) InFlight() int { return int(a.places.inFlight.Load()) }

// lasting reports whether a request asks for what lasts.
func lasting(r *http.Request) bool {
	if r.Header["Upgrade"] != nil {
		return true
	}
	for _, accept := range r.Header["Accept"] {
		if strings.HasPrefix(accept, "text/event-stream") {
			return true
		}
	}
	return false
}
