package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Config says where Redis is and how long to wait for it. Only Address is required.
type Config struct {
	Address  string        // host:port
	Username string        // empty: the default user
	Password string        // empty: none
	TLS      *tls.Config   // nil: plain TCP
	Timeout  time.Duration // of each call; zero means 50 ms
	// OnState is told when Redis is found to be unreachable, with the reason, and when it is
	// reachable again, with nil. It is called by whoever found out, so it must be quick and must
	// not panic. Nil is not interested.
	OnState func(reachable bool, err error)
	// Dial makes connections in place of TCP and TLS. It is for tests.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Faults lists what is wrong. Each begins with the name of its field.
func (cfg Config) Faults() (errs []error) {
	if err := checkAddress(cfg.Address); err != nil {
		errs = append(errs, err)
	}
	if cfg.Timeout < 0 {
		//lint:ignore ST1005 a field's name, behind the caller's prefix
		errs = append(errs, fmt.Errorf("Timeout %v is negative; zero means %v", cfg.Timeout, defaultTimeout))
	}
	return errs
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err == nil && wrong == nil && number > 0 && host != "" && !strings.ContainsAny(host, "/@ ") {
		return nil
	}
	shown := address
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		shown = "..." + address[i:] // a password may stand before it
	}
	//lint:ignore ST1005 a field's name, behind the caller's prefix
	return fmt.Errorf("Address %q is not host:port; write it like 127.0.0.1:6379", shown)
}

const defaultTimeout = 50 * time.Millisecond

// option is what rueidis is told. Most of it departs from its defaults, which suit a program
// that would rather wait than do without Redis.
func (cfg Config) option() rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress:         []string{cfg.Address},
		Username:            cfg.Username,
		Password:            cfg.Password,
		TLSConfig:           cfg.TLS,
		ClientName:          "lb",
		ForceSingleClient:   true, // begins with Redis down, too
		AlwaysPipelining:    true, // nobody's deadline closes the connection of all
		DisableRetry:        true, // else reads are tried again for ever
		DisableCache:        true, // works without CLIENT TRACKING
		PipelineMultiplex:   -1,   // one connection
		RingScaleEachConn:   10,   // 1,024 places, four times maxInFlight
		ReadBufferEachConn:  32 << 10,
		WriteBufferEachConn: 32 << 10,
		// KeepAlive is also the time between PINGs: with a write timeout of 300 ms, a silent
		// connection is closed after about 0.9 s. Less would close that of a Redis that forks.
		Dialer:           net.Dialer{Timeout: 250 * time.Millisecond, KeepAlive: 300 * time.Millisecond},
		ConnWriteTimeout: 300 * time.Millisecond,
	}
	if cfg.Dial != nil {
		o.DialCtxFn = func(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return cfg.Dial(ctx, address)
		}
	}
	return o
}

// New connects to Redis. That Redis cannot be reached now is no error: OnState is told before
// New returns, and later calls try again. It blocks for half a second at most. The connection
// has goroutines of its own: see [Conn.Close].
func New(cfg Config) (*Conn, error) {
	if err := errors.Join(cfg.Faults()...); err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(cfg.option())
	if client == nil {
		return nil, err
	}
	c := &Conn{
		client:  client,
		swap:    rueidis.NewLuaScriptNoSha(swapScript),
		touch:   rueidis.NewLuaScriptNoSha(touchScript),
		timeout: cmp.Or(cfg.Timeout, defaultTimeout),
		onState: cfg.OnState,
	}
	if err != nil {
		c.gate = gate{shut: true} // the first call is a trial
		if c.onState != nil {
			c.onState(false, err)
		}
	}
	return c, nil
}
