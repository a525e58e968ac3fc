package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// Config says where Redis is. Address and Secret are required.
type Config struct {
	Address  string      // host:port
	Username string      // of a Redis account; empty means the default one
	Password string      // empty means none
	TLS      *tls.Config // nil means plain TCP

	// Secret signs what is written: at least 32 random bytes, the same for all balancers that
	// share sessions. With another secret all sessions are unknown.
	Secret []byte
	// Prefix begins each key: at most 64 letters, digits and punctuation without braces.
	// Balancers with different pools need different ones. Empty means "lb:".
	Prefix string
	// TTL is how long a session is kept that is not used. Zero means an hour, the least is a
	// second.
	TTL time.Duration
	// Timeout bounds how long a request waits for Redis. Zero means 50 ms.
	Timeout time.Duration
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is
	// reachable again, with nil: each time worth one line of a log. It is called by New if Redis
	// cannot be reached then, and later by requests: it must be quick and must not panic. Nil is
	// not interested.
	OnState func(reachable bool, err error)

	dial func(context.Context, string) (net.Conn, error) // for tests
}

const (
	defaultTTL    = time.Hour
	defaultPrefix = "lb:"
	minSecret     = 32
	maxPrefix     = 64
)

// Store is an lb.SessionStore in Redis. All its methods may be called by many goroutines at
// once, and none blocks for longer than Config.Timeout, but for Close.
type Store struct {
	conn   *redisconn.Conn
	codec  codec
	ttl    time.Duration
	recent *recent

	hits, misses, rejected, failures atomic.Uint64
}

// New returns a Store, or an error that names every wrong field. That Redis cannot be reached is
// no error. It blocks for half a second at most. Call [Store.Close] when the store is not used
// any more.
func New(cfg Config) (*Store, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, defaultPrefix)
	cfg.TTL = cmp.Or(cfg.TTL, defaultTTL)
	redis := redisconn.Config{
		Address: cfg.Address, Username: cfg.Username, Password: cfg.Password, TLS: cfg.TLS,
		Timeout: cfg.Timeout, Dial: cfg.dial,
	}
	errs := cfg.faults()
	for _, err := range redis.Faults() {
		errs = append(errs, fmt.Errorf("redisstore: Config.%w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Store{codec: newCodec(cfg.Secret, cfg.Prefix), ttl: cfg.TTL, recent: newRecent(cfg.TTL / 2)}
	redis.OnState = func(reachable bool, err error) {
		if reachable {
			s.recent.reset() // it may have lost everything
		}
		if cfg.OnState != nil {
			cfg.OnState(reachable, err)
		}
	}
	conn, err := redisconn.New(redis)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	s.conn = conn
	return s, nil
}

// faults lists what is wrong, after the defaults were filled in.
func (cfg Config) faults() (errs []error) {
	if n := len(cfg.Secret); n < minSecret {
		errs = append(errs, fmt.Errorf("redisstore: Config.Secret has %d bytes; make it of at least %d random ones", n, minSecret))
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }
	if len(cfg.Prefix) > maxPrefix || strings.ContainsFunc(cfg.Prefix, odd) {
		errs = append(errs, fmt.Errorf("redisstore: Config.Prefix %q is not at most %d letters, digits and punctuation without braces; try %q", cfg.Prefix, maxPrefix, defaultPrefix))
	}
	if cfg.TTL < time.Second {
		errs = append(errs, fmt.Errorf("redisstore: Config.TTL %v is less than a second; zero means %v", cfg.TTL, defaultTTL))
	}
	return errs
}

// Close waits for commands on their way and closes the connection, in two seconds at most. Calls
// from now on return an error.
func (s *Store) Close() { s.conn.Close() }

// Lookup returns the backend that the session is bound to, or "", and prolongs the session.
func (s *Store) Lookup(ctx context.Context, session string) (backend string, err error) {
	key := s.codec.key(session)
	value, err := s.conn.Get(ctx, key)
	if err != nil {
		return "", s.failed(err)
	}
	backend = s.codec.open(key, value)
	if backend == "" {
		s.misses.Add(1)
		if value != "" {
			s.rejected.Add(1)
		}
		return "", nil
	}
	s.hits.Add(1)
	s.prolong(session, backend)
	return backend, nil
}

// Bind moves a session as lb.SessionStore says: one balancer of all moves it, the others are
// told where to.
func (s *Store) Bind(ctx context.Context, session, from, to string) (backend string, err error) {
	key := s.codec.key(session)
	old := ""
	if from != "" {
		old = s.codec.seal(key, from)
	}
	ours := func(value string) bool { return s.codec.open(key, value) != "" }
	value, err := s.conn.Swap(ctx, key, old, s.codec.seal(key, to), s.ttl, ours)
	if err != nil {
		return "", s.failed(err)
	}
	if backend = s.codec.open(key, value); backend == "" {
		return "", s.failed(errContested)
	}
	if backend == to {
		s.recent.claim(session, to)
	} else {
		s.prolong(session, backend)
	}
	return backend, nil
}

// Forget removes a session.
func (s *Store) Forget(ctx context.Context, session string) error {
	err := s.conn.Delete(ctx, s.codec.key(session))
	s.recent.forget(session)
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// Seen binds a session that Redis does not know, and prolongs one that it does. It does not wait
// for Redis, and tells it of the same session once in half the TTL.
func (s *Store) Seen(session, backend string) {
	s.touch(session, backend, func(key string) string { return s.codec.seal(key, backend) })
}

// prolong is Seen for a session that Redis has just said it knows. It binds nothing: if the session
// has been forgotten when Redis hears of it, it stays so.
func (s *Store) prolong(session, backend string) {
	s.touch(session, backend, func(string) string { return "" })
}

func (s *Store) touch(session, backend string, value func(key string) string) {
	if !s.recent.claim(session, backend) {
		return
	}
	s.conn.Touch(func() (string, string) {
		key := s.codec.key(session)
		return key, value(key)
	}, s.ttl, func() { s.recent.release(session, backend) })
}

var errContested = errors.New("somebody else writes to the session")

// failed counts an error and says whose it is.
func (s *Store) failed(err error) error {
	s.failures.Add(1)
	if err == redisconn.ErrDown { // for every request of an outage: costs nothing
		return errDown
	}
	return fmt.Errorf("redisstore: %w", err)
}

var errDown = fmt.Errorf("redisstore: %w", redisconn.ErrDown)

// Stats is what a Store has done so far.
type Stats struct {
	Hits     uint64 // look-ups that found a backend
	Misses   uint64 // look-ups that found none
	Rejected uint64 // of the misses, those with a value that is not ours
	Errors   uint64 // calls that failed, most of them because Redis is unreachable
	Commands uint64 // sent to Redis
	Refused  uint64 // commands that were not sent, as Redis is unreachable or too busy
	InFlight int    // commands that have not ended, at most 256
	Down     bool   // Redis is believed to be unreachable
}

// Stats returns the counts up to now.
func (s *Store) Stats() Stats {
	c := s.conn.Stats()
	return Stats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), Rejected: s.rejected.Load(), Errors: s.failures.Load(),
		Commands: c.Commands, Refused: c.Refused, InFlight: c.InFlight, Down: c.Down,
	}
}
