package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/go-loadbalancer/lb"
)

// Pool is what a Fleet needs of a pool; *lb.DynamicPool has it. Mark and Clear must be quick.
type Pool interface {
	lb.Pool
	// Mark records facts about a backend and reports whether that is news.
	Mark(id string, facts lb.Facts, cause string) bool
	// Clear takes facts about a backend back and reports whether that is news.
	Clear(id string, facts lb.Facts, cause string) bool
}

// Config is who belongs together, and how much they believe. Pool, Secret, and URL or Client are
// required.
type Config struct {
	Pool Pool // whose backends are learned about
	// Name is what the pool is called, the same for all instances, at most 128 bytes of printable text
	// without braces. Instances with other names share nothing. Empty means "default".
	Name string
	// Secret is the same for all instances, at least 32 bytes. Who has it belongs to the fleet, and can
	// speak as several instances.
	Secret []byte

	URL     string         // where Redis is, as for session/redisstore
	Client  rueidis.Client // the caller's own client in place of URL; it is not closed
	TLS     *tls.Config    // for rediss; nil: the system's roots and the URL's host
	Timeout time.Duration  // of one command. Nobody waits for them. Zero means 50ms
	Prefix  string         // of keys and channels, at most 64 bytes without braces. Empty means "lb:"
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is reachable
	// again. It must be quick. Nil is not interested.
	OnState func(reachable bool, err error)

	// Interval is the time between two messages when nothing changes, 100ms to 3s. Zero means 1s.
	Interval time.Duration
	// Failures is how many requests in a row have to fail, those of all instances, for a backend of
	// which each has seen too few to eject it by itself. Of another instance no more than two
	// count. Zero means 5, negative switches the rule off.
	Failures int
	// Slow is from where on an answer counts as a failure here, best what breaker.Config.Slow is. Zero means
	// that no answer is too slow: then a slow backend is known to be bad when the first breaker
	// opens, and that takes with little traffic for each as long as without a fleet.
	Slow time.Duration
	// Time is how long that ejection lasts at first; one in a row is twice as long, and so on, up to ten
	// times. Zero means 30s. All others last as long as those that were the reason.
	Time time.Duration
	// MaxShare is which share, 0 to 1, of the backends that do not drain may be ejected at a time, those
	// that others eject included, rounded down but at least one. The last one that is fit is never
	// ejected. Zero means 0.5.
	MaxShare float64

	dial func(ctx context.Context, address string) (net.Conn, error) // tests
}

// faults lists what is wrong with a Config, each with its cure.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("fleet: Config."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(len(cfg.Name) > 128 || !plain(cfg.Name), "Name %.140q is not at most 128 bytes of printable text without braces; empty means \"default\"", cfg.Name)
	add(len(cfg.Secret) < 32, "Secret has %d bytes; take 32 or more from crypto/rand, the same for all instances", len(cfg.Secret))
	add(len(cfg.Prefix) > 64 || !plain(cfg.Prefix), "Prefix %.80q is not at most 64 bytes of printable text without braces; empty means \"lb:\"", cfg.Prefix)
	add(cfg.Interval != 0 && (cfg.Interval < 100*time.Millisecond || cfg.Interval > 3*time.Second), "Interval %v is not between 100ms and 3s; zero means 1s", cfg.Interval)
	add(cfg.Slow < 0, "Slow %v is negative; zero means that no answer is too slow", cfg.Slow)
	add(cfg.Time < 0, "Time %v is negative; zero means 30s", cfg.Time)
	add(!(cfg.MaxShare >= 0 && cfg.MaxShare <= 1), "MaxShare %v is not between 0 and 1; it is a share of the backends", cfg.MaxShare)
	for _, err := range cfg.redis().Faults() {
		errs = append(errs, fmt.Errorf("fleet: Config.%w", err))
	}
	return errs
}

// plain reports whether a name can stand in a key, and in one line.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '{' || r == '}' })
}

// withDefaults fills zero fields in.
func (cfg Config) withDefaults() Config {
	cfg.Name = cmp.Or(cfg.Name, "default")
	cfg.Prefix = cmp.Or(cfg.Prefix, "lb:")
	cfg.Interval = cmp.Or(cfg.Interval, time.Second)
	cfg.Failures = max(0, cmp.Or(cfg.Failures, 5))
	cfg.Time = cmp.Or(cfg.Time, 30*time.Second)
	cfg.MaxShare = cmp.Or(cfg.MaxShare, 0.5)
	cfg.Secret = append([]byte(nil), cfg.Secret...)
	return cfg
}
