package limit

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

// Config says how much a client may do. Only Rate is required.
type Config struct {
	// Rate is how many requests per second each client may make in the long run, 0.00001 (about
	// one a day) to 1,000,000.
	Rate float64
	// Burst is how many requests a client may make at once after a pause. Zero means twice
	// Rate, rounded up.
	Burst int
	// MaxClients bounds the clients that have a bucket of their own, which costs about 200 bytes
	// each. Zero means 100,000.
	MaxClients int
	// TrustedProxies are believed about who the client is, as in lb.Config. By default nobody is.
	TrustedProxies []netip.Prefix
	// OnLimited is told of each request that is refused, before it is answered, on the request's
	// goroutine. Nil means nobody.
	OnLimited func(*http.Request)
}

// New returns a Limiter, or an error that names every field that is wrong. It starts nothing.
func New(cfg Config) (*Limiter, error) {
	trusted, err := clientip.New(cfg.TrustedProxies)
	if err != nil {
		err = fmt.Errorf("limit: Config.TrustedProxies: %w", err)
	}
	if err := errors.Join(append(cfg.faults(), err)...); err != nil {
		return nil, err
	}
	cfg.Burst = cmp.Or(cfg.Burst, int(math.Ceil(2*cfg.Rate)))
	cfg.MaxClients = cmp.Or(cfg.MaxClients, 100_000)
	return newLimiter(cfg, trusted), nil
}

// faults lists what is wrong with a Config, each with its cure.
func (cfg Config) faults() (errs []error) {
	if !(cfg.Rate >= 1e-5 && cfg.Rate <= 1e6) { // nor if it is no number
		errs = append(errs, fmt.Errorf("limit: Config.Rate %v is not between 0.00001 and 1,000,000 requests per second", cfg.Rate))
	}
	if cfg.Burst < 0 {
		errs = append(errs, fmt.Errorf("limit: Config.Burst %d is negative; zero means twice Rate", cfg.Burst))
	}
	if cfg.MaxClients < 0 {
		errs = append(errs, fmt.Errorf("limit: Config.MaxClients %d is negative; zero means 100,000", cfg.MaxClients))
	}
	return errs
}
