package redis

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

	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/internal/redisconn"
	"github.com/go-loadbalancer/lb/limit"
)

// Config says how much a client may do of all instances together, and where Redis is. Limit.Rate is
// required, and URL or Client.
type Config struct {
	// Limit is what a client may do, of all instances together. Its fields mean what they mean for a
	// limit.Limiter, and must be the same for all instances, but for MaxClients: that is for this
	// one. A bucket must be full within a year. A client costs about 250 bytes.
	Limit limit.Config
	// Everybody makes one client of all: Limit.Rate is that of all requests together.
	Everybody bool
	// Name tells this limit from others in the same Redis. Instances share those of the same name.
	Name string

	// Share is the part of Rate and Burst that this instance lets a client have while Redis is away,
	// above 0, up to 1. Zero means an equal share of the instances that were there last. As long as
	// none was ever seen, that is all of it.
	Share float64
	// Grant is how many requests of a client pass before Redis is told, and before it is known what the
	// client did elsewhere. Each instance adds so many to what may pass at once. Zero means the
	// share of Burst, one at least. More than Burst is as much as Burst.
	Grant int

	// URL says where Redis is: host:port, redis://, rediss://, redis-sentinel://, redis-cluster:// or
	// unix://, with user and password. It must be empty if there is a Client.
	URL string
	// Client is the caller's own connection, which is never closed. Nil means one by URL.
	Client rueidis.Client
	// TLS is for URLs of rediss and its kin. Nil means the system's roots and the URL's host.
	TLS *tls.Config
	// Prefix begins each key: at most 64 letters, digits and punctuation without braces. Empty means "lb:".
	Prefix string
	// Secret hides who the clients are from who reads Redis: at least 32 random bytes, the same for all
	// instances. Without one, an IPv4 address can be found from its key by trying them all.
	Secret []byte
	// Timeout is how long an answer may take before a client gets this instance's share instead. No
	// request ever waits for it. Zero means 50 ms.
	Timeout time.Duration
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is
	// reachable again, with nil. It is called by requests: it must be quick and must not panic. Nil
	// is not interested.
	OnState func(reachable bool, err error)

	dial func(context.Context, string) (net.Conn, error) // for tests
}

const (
	defaultPrefix  = "lb:"
	defaultTimeout = 50 * time.Millisecond
	maxPrefix      = 64
	minSecret      = 32
	maxRefill      = 366 * 24 * 60 * 60 // seconds, so that Redis' numbers are exact to a microsecond
	maxBurst       = 1 << 30
)

// New returns a Limiter, or an error that names every field that is wrong. That Redis cannot be
// reached is no error. Call [Limiter.Close] when the limiter is not used any more.
func New(cfg Config) (*Limiter, error) {
	_, wrong := limit.New(cfg.Limit)
	trusted, _ := clientip.New(cfg.Limit.TrustedProxies) // its error is in wrong
	cfg = cfg.withDefaults()
	conn := redisconn.Config{URL: cfg.URL, Client: cfg.Client, TLS: cfg.TLS, Timeout: cfg.Timeout, OnState: cfg.OnState, Dial: cfg.dial}
	errs := append(cfg.faults(), wrong)
	for _, err := range conn.Faults() {
		errs = append(errs, fmt.Errorf("limit/redis: Config.%w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c, err := redisconn.New(conn)
	if err != nil {
		return nil, fmt.Errorf("limit/redis: %w", err)
	}
	l := newLimiter(cfg, trusted, c)
	l.conn = c
	return l, nil
}

func (cfg Config) withDefaults() Config {
	cfg.Limit.Burst = cmp.Or(cfg.Limit.Burst, int(min(math.Ceil(2*cfg.Limit.Rate), maxBurst)))
	cfg.Limit.MaxClients = cmp.Or(cfg.Limit.MaxClients, 100_000)
	cfg.Prefix = cmp.Or(cfg.Prefix, defaultPrefix)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	return cfg
}

// faults lists what is wrong with a Config that has its defaults, but for what limit.New finds.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("limit/redis: Config."+format, args...))
		}
	}
	add(cfg.Limit.Burst > maxBurst, "Limit.Burst %d is more than %d", cfg.Limit.Burst, maxBurst)
	add(cfg.Limit.Rate > 0 && float64(cfg.Limit.Burst)/cfg.Limit.Rate > maxRefill, "Limit.Burst %d takes more than a year to come at Limit.Rate %v; lower the one or raise the other", cfg.Limit.Burst, cfg.Limit.Rate)
	add(!(cfg.Share >= 0 && cfg.Share <= 1), "Share %v is not between 0 and 1; zero means an equal share of the instances", cfg.Share)
	add(cfg.Grant < 0, "Grant %d is negative; zero means the share of Burst", cfg.Grant)
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }
	add(len(cfg.Prefix) > maxPrefix || strings.ContainsFunc(cfg.Prefix, odd), "Prefix %q is not at most %d letters, digits and punctuation without braces; try %q", cfg.Prefix, maxPrefix, defaultPrefix)
	add(len(cfg.Secret) > 0 && len(cfg.Secret) < minSecret, "Secret has %d bytes; make it of at least %d random ones, or leave it out", len(cfg.Secret), minSecret)
	return errs
}
