package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-loadbalancer/lb/fleet"
	"github.com/go-loadbalancer/lb/internal/redisconn"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/limit/redis"
	"github.com/go-loadbalancer/lb/session/redisstore"
)

// sharing is what the command line says about instances that work together.
type sharing struct {
	redis string
	what  string // comma-separated
}

var shared = []string{"sessions", "limit", "learning"}

func (s *sharing) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.redis, "redis", "", "`URL` of a Redis that instances share: host:port, redis://, rediss://, redis-sentinel://host:port,.../master, redis-cluster://host:port,... or unix:///path (default: memory)")
	fs.StringVar(&s.what, "share", strings.Join(shared, ","), "for -redis: `what` instances share, some of sessions, limit and learning (who is out of order)")
}

func (s *sharing) check(secret []byte) error {
	var errs []error
	for _, word := range strings.Split(s.what, ",") {
		if !slices.Contains(shared, word) {
			errs = append(errs, fmt.Errorf("-share %q is none of %s", word, strings.Join(shared, ", ")))
		}
	}
	if s.redis == "" {
		return errors.Join(errs...)
	}
	for _, err := range (redisconn.Config{URL: s.redis}).Faults() {
		errs = append(errs, fmt.Errorf("-redis: %w", err))
	}
	if secret == nil {
		errs = append(errs, errors.New("-redis needs the same secret in every instance: set -session-key, -session-key-file or LB_SESSION_KEY to 32 characters or more"))
	}
	return errors.Join(errs...)
}

// shares reports whether instances share something.
func (s *sharing) shares(what string) bool {
	return s.redis != "" && slices.Contains(strings.Split(s.what, ","), what)
}

// addSharedSessions keeps sessions in Redis.
func (a *app) addSharedSessions() error {
	store, err := redisstore.New(redisstore.Config{URL: a.sharing.redis, Secret: a.sessionKey, TTL: a.sessionTTL, OnState: a.logRedis})
	if err != nil {
		return err
	}
	a.cfg.Sessions, a.closers = store, append(a.closers, store.Close)
	a.recorder.Figures("loadbalancer_sessions", func() any { return store.Stats() })
	a.features = append(a.features, "sticky sessions in Redis")
	return nil
}

// addLearning has instances tell each other which backends are out of order.
func (a *app) addLearning() error {
	if !a.sharing.shares("learning") {
		return nil
	}
	learned, err := fleet.New(fleet.Config{Pool: a.pool, URL: a.sharing.redis, Secret: a.sessionKey, Slow: a.breakerSlow})
	if err != nil {
		return err
	}
	a.cfg.Observers = append(a.cfg.Observers, learned.Observer())
	a.runners = append(a.runners, learned)
	a.recorder.Figures("loadbalancer_fleet", func() any { return learned.Stats() })
	a.features = append(a.features, "learning from other instances")
	return nil
}

// sharedLimit is the limit of all instances together.
func (a *app) sharedLimit(onLimited func(*http.Request)) error {
	limiter, err := redis.New(redis.Config{
		Limit:  limit.Config{Rate: a.rateLimit, Burst: a.rateBurst, TrustedProxies: a.trusted, OnLimited: onLimited},
		URL:    a.sharing.redis,
		Secret: a.sessionKey,
	})
	if err != nil {
		return err
	}
	a.limiter, a.closers = limiter, append(a.closers, limiter.Close)
	a.recorder.Figures("loadbalancer_limit", func() any { return limiter.Stats() })
	a.features = append(a.features, fmt.Sprintf("rate limit of %v/s in all", a.rateLimit))
	return nil
}
