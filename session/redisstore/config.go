package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// Config says where Redis is and what to keep there. Secret is required, and one of URL and
// Client.
type Config struct {
	// URL says where Redis is:
	//
	//	host:port
	//	redis://[user[:password]@]host:port[/db]                               and rediss:// for TLS
	//	redis-sentinel://[user[:password]@]host:port,host:port,.../master[/db] and rediss-sentinel://
	//	redis-cluster://[user[:password]@]host:port,host:port,...              and rediss-cluster://
	//	unix:///path/to.sock
	URL string
	// Client is used in place of a connection of the store's own, which then knows of no changes
	// in Redis but by asking: see Fresh. It is never closed. URL and TLS must be empty with it.
	Client rueidis.Client
	// TLS is for URLs that begin with rediss. Nil means the system's roots and the URL's host.
	TLS *tls.Config

	// Secret signs what is written: at least 32 random bytes, the same for all balancers that
	// share sessions. With another secret all sessions are unknown.
	Secret []byte
	// Prefix begins each key: at most 64 letters, digits and punctuation without braces.
	// Balancers with different pools need different ones. Empty means "lb:".
	Prefix string
	// TTL is how long a session is kept that is not used. Zero means an hour, the least is a
	// second.
	TTL time.Duration
	// MaxSessions bounds how many sessions this process remembers. Zero means 250,000. A session
	// takes about 100 bytes, of which nothing is taken before it comes. When there is no room,
	// one goes that was not used for long: Redis has it yet.
	MaxSessions int
	// Fresh is for how long what Redis has said of a session is believed without asking again,
	// where Redis does not tell of changes: with Client, with a service without CLIENT TRACKING,
	// and after the store has bound a session by itself. Zero means 5 s. If it is negative Redis
	// is always asked, and memory serves for outages alone.
	Fresh time.Duration
	// Timeout bounds how long a request waits for Redis. Zero means 50 ms.
	Timeout time.Duration
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is
	// reachable again, with nil: each time worth one line of a log. It may be called by New, by
	// requests and by others, so it must be quick and must not panic. Nil is not interested.
	OnState func(reachable bool, err error)

	dial func(context.Context, string) (net.Conn, error) // for tests
}

const (
	defaultTTL      = time.Hour
	defaultPrefix   = "lb:"
	defaultSessions = 250_000
	defaultFresh    = 5 * time.Second
	minSecret       = 32
	maxPrefix       = 64
)

// New returns a Store, or an error that names every wrong field. That Redis cannot be reached is
// no error. It blocks for half a second at most. Call [Store.Close] when the store is not used
// any more.
func New(cfg Config) (*Store, error) {
	cfg = cfg.filled()
	s := newStore(cfg)
	redis := redisconn.Config{
		URL: cfg.URL, Client: cfg.Client, TLS: cfg.TLS, Timeout: cfg.Timeout, Dial: cfg.dial,
		Tracked: s.changed,
		OnState: func(reachable bool, err error) {
			s.turned(reachable)
			if cfg.OnState != nil {
				cfg.OnState(reachable, err)
			}
		},
	}
	errs := cfg.faults()
	for _, err := range redis.Faults() {
		errs = append(errs, fmt.Errorf("redisstore: Config.%w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Fresh < 0 {
		redis.Tracked = nil
	}
	conn, err := redisconn.New(redis)
	if err != nil {
		s.end()
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	s.conn, s.redis = conn, newShared(conn, cfg.TTL)
	close(s.ready)
	return s, nil
}

// newStore returns a store that has no Redis yet.
func newStore(cfg Config) *Store {
	s := &Store{
		ready: make(chan struct{}), closing: make(chan struct{}), kick: make(chan struct{}, 1),
		codec: newCodec(cfg.Secret, cfg.Prefix), ttl: cfg.TTL, fresh: max(cfg.Fresh, 0), begin: time.Now(),
		known: keep.New[memo](max(1, cfg.MaxSessions)), dirty: dirty{most: maxDirty},
	}
	s.epoch.Store(1) // that of no memo
	return s
}

// filled fills in the defaults.
func (cfg Config) filled() Config {
	cfg.Prefix = cmp.Or(cfg.Prefix, defaultPrefix)
	cfg.TTL = cmp.Or(cfg.TTL, defaultTTL)
	cfg.MaxSessions = cmp.Or(cfg.MaxSessions, defaultSessions)
	cfg.Fresh = cmp.Or(cfg.Fresh, defaultFresh)
	return cfg
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
	if cfg.MaxSessions < 0 || cfg.MaxSessions > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("redisstore: Config.MaxSessions %d is not between 1 and %d; zero means %d", cfg.MaxSessions, math.MaxInt32, defaultSessions))
	}
	return errs
}
