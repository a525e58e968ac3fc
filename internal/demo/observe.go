package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"

	"github.com/go-loadbalancer/lb"
)

// LogObserver writes what a balancer does to a log: DEBUG for each pick, with why for each request, INFO for sessions that
// are bound or moved and for backends and breakers that change, WARN for attempts that fail.
// Sessions are shown hashed.
func LogObserver(log *slog.Logger, policy string) lb.Observer {
	l := logged{log, policy}
	o := lb.Observer{Attempt: l.attempt, Request: l.request, Change: l.change}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		o.AttemptStart = l.pick
		o.Explain = func(*http.Request) bool { return true }
	}
	return o
}

type logged struct {
	log    *slog.Logger
	policy string
}

func (l logged) pick(ctx context.Context, info lb.AttemptInfo, _ http.Header) context.Context {
	l.log.Debug("Picked backend", "backend", info.Backend.ID(), "policy", l.policy, "session", hashed(info.Session), "attempt", info.Attempt)
	return ctx
}

func (l logged) attempt(r lb.Result) {
	if r.Outcome != lb.Failure {
		return
	}
	attrs := []any{"backend", r.Backend.ID(), "kind", r.Reason, "attempt", r.Attempt}
	if r.Status != 0 {
		attrs = append(attrs, "status", r.Status)
	}
	if r.Err != nil {
		attrs = append(attrs, "error", r.Err)
	}
	l.log.Warn("Attempt failed", attrs...)
}

func (l logged) request(s lb.Summary) {
	if s.Explanation != nil && l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("Explained", "status", s.Status, "why", s.Explanation.String())
	}
	switch {
	case s.Bound == "":
	case s.From == "":
		l.log.Info("Session bound", "session", hashed(s.Session), "backend", s.Bound)
	default:
		l.log.Info("Session moved", "session", hashed(s.Session), "from", s.From, "backend", s.Bound)
	}
}

func (l logged) change(c lb.Change) {
	switch id := c.Backend.ID(); {
	case c.Removed:
		l.log.Info("Backend removed", "backend", id)
	case c.Joined:
		l.log.Debug("Backend joined", "backend", id, "state", c.After)
	case c.Before != c.After:
		l.log.Info("Backend changed", "backend", id, "from", c.Before, "to", c.After, "cause", c.Cause)
	}
	if c.WeightBefore != c.WeightAfter && !c.Joined && !c.Removed {
		l.log.Info("Weight changed", "backend", c.Backend.ID(), "from", c.WeightBefore, "to", c.WeightAfter)
	}
	if c.BreakerBefore != c.BreakerAfter && !c.Removed {
		what := []any{"backend", c.Backend.ID(), "from", c.BreakerBefore, "to", c.BreakerAfter}
		if c.BreakerCause != "" {
			what = append(what, "cause", c.BreakerCause)
		}
		l.log.Info("Breaker changed", what...)
	}
}

// hashed is a session for the log: enough to follow one, too little to take it over.
func hashed(session string) string {
	if session == "" {
		return "new"
	}
	sum := sha256.Sum256([]byte(session))
	return hex.EncodeToString(sum[:6])
}
