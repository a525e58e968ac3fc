package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config says where Redis is and which instances belong together. URL and Secret are required.
type Config struct {
	// URL says where Redis is: host:port, redis://[user[:password]@]host[:port][/db], rediss:// for
	// TLS, redis-sentinel://host:port,host:port/master, redis-cluster://host:port,host:port, or
	// unix:///path. There is no field for a client, since a lock needs one of its own.
	URL string
	// TLS is for rediss:// and its kin. Nil means the system's roots and the URL's host.
	TLS *tls.Config
	// Secret signs what is written: at least 32 random bytes, the same for all instances.
	Secret []byte
	// Prefix begins each key: at most 64 letters, digits and punctuation without braces. Empty
	// means "lb:".
	Prefix string
	// Name is that of the fleet: at most 64 letters, digits, dots, dashes and underscores. Instances with
	// the same Prefix and Name scale as one. Empty means "default".
	Name string
	// Validity is for how long an instance leads that is not heard of any more: after that another
	// one does. Zero means 5s, the least is 1s.
	Validity time.Duration
	// Timeout bounds each call. No request waits for one. Zero means 1s.
	Timeout time.Duration
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is
	// reachable again, with nil. It must be quick and must not panic. Nil is not interested.
	OnState func(reachable bool, err error)
}

const (
	minSecret   = 32
	maxName     = 64
	minValidity = time.Second
)

// defaults fills the zero fields in.
func (cfg Config) defaults() Config {
	cfg.Prefix = cmp.Or(cfg.Prefix, "lb:")
	cfg.Name = cmp.Or(cfg.Name, "default")
	cfg.Validity = cmp.Or(cfg.Validity, 5*time.Second)
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Second)
	return cfg
}

// faults lists what is wrong, after the defaults were filled in.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("autoscale/redis: Config."+format, args...))
		}
	}
	add(cfg.Timeout < 0, "Timeout %v is negative; zero means 1s", cfg.Timeout)
	cfg.Timeout = max(0, cfg.Timeout)
	for _, err := range cfg.conn().Faults() {
		errs = append(errs, fmt.Errorf("autoscale/redis: Config.%w", err))
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r))
	}
	add(len(cfg.Secret) < minSecret, "Secret has %d bytes; make it of at least %d random ones", len(cfg.Secret), minSecret)
	add(len(cfg.Prefix) > maxName || strings.ContainsFunc(cfg.Prefix, odd), "Prefix %q is not at most %d letters, digits and punctuation without braces; try %q", cfg.Prefix, maxName, "lb:")
	add(len(cfg.Name) > maxName || strings.ContainsFunc(cfg.Name, plain), "Name %q is not at most %d letters, digits, dots, dashes and underscores; try %q", cfg.Name, maxName, "default")
	add(cfg.Validity < minValidity, "Validity %v is less than %v; zero means 5s", cfg.Validity, minValidity)
	return errs
}

// check returns all of them as one.
func (cfg Config) check() error { return errors.Join(cfg.faults()...) }
