package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/rueidis"
)

// Config says where Redis is and how long to wait for it. Either URL or Client is required.
type Config struct {
	// URL is host:port, redis://[user[:password]@]host[:port][/database], rediss:// for TLS,
	// redis-sentinel://host:port,.../master, redis-cluster://host:port,... (both with rediss, too), or
	// unix:///path. The account is the servers'; sentinels are asked without one.
	URL string
	// Client is the caller's own. It is never closed here, and cannot tell of changes.
	Client  rueidis.Client
	TLS     *tls.Config   // nil: the system's roots and the URL's host, where the URL asks for TLS
	Timeout time.Duration // of each waiting call; zero means 50 ms
	// Tracked asks for client-side caching. It is told of keys whose values have changed since Get
	// returned them, and nil when any may have: the connection was lost, or all was removed. It is called
	// by who reads the connection: it must only take note.
	Tracked func(keys []string)
	// OnState is told when a part of Redis is found to be unreachable, with the reason, and when all is
	// reachable again, with nil. It is called by whoever found out, so it must be quick and must
	// not panic. Nil is not interested.
	OnState func(reachable bool, err error)
	// Dial makes connections in place of the network. It is for tests.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Faults lists what is wrong. Each begins with the name of its field.
func (cfg Config) Faults() (errs []error) {
	switch {
	case cfg.Client == nil:
		if _, err := locate(cfg.URL); err != nil {
			errs = append(errs, err)
		}
	case cfg.URL != "" || cfg.TLS != nil:
		errs = append(errs, errors.New("URL and TLS must be empty when Client is set: it has its own"))
	}
	if cfg.Timeout < 0 {
		//lint:ignore ST1005 a field's name, behind the caller's prefix
		errs = append(errs, fmt.Errorf("Timeout %v is negative; zero means %v", cfg.Timeout, defaultTimeout))
	}
	return errs
}

const defaultTimeout = 50 * time.Millisecond

// option is what rueidis is told. Most of it departs from its defaults, which suit a program
// that would rather wait than do without Redis.
func (c *Conn) option(tracking bool) rueidis.ClientOption {
	p, security := c.place, c.place.security(c.cfg.TLS)
	by := net.Dialer{Timeout: 250 * time.Millisecond, KeepAlive: 300 * time.Millisecond}
	o := rueidis.ClientOption{
		InitAddress: p.addresses, Username: p.user, Password: p.password, SelectDB: p.database, TLSConfig: security,
		Sentinel:            rueidis.SentinelOption{MasterSet: p.master, Dialer: by, TLSConfig: security, TopologyRefreshInterval: 5 * time.Second},
		ClusterOption:       rueidis.ClusterOption{ShardsRefreshInterval: 10 * time.Second, MaxMovedRedirections: 5},
		ClientName:          "lb",
		ForceSingleClient:   p.form == single, // begins with Redis down, too
		AlwaysPipelining:    true,             // nobody's deadline closes the connection of all
		DisableRetry:        true,             // else reads are tried again for ever
		DisableCache:        true,             // works without CLIENT TRACKING
		PipelineMultiplex:   -1,               // one connection
		RingScaleEachConn:   10,               // 1,024 places, four times maxInFlight
		ReadBufferEachConn:  32 << 10,
		WriteBufferEachConn: 32 << 10,
		// KeepAlive is also the time between PINGs: with a write timeout of 300 ms, a silent
		// connection is closed after about 0.9 s. Less would close that of a Redis that forks.
		Dialer:           by,
		ConnWriteTimeout: 300 * time.Millisecond,
		DialCtxFn:        c.dialer.dial,
	}
	if p.form != sentinel {
		o.Sentinel = rueidis.SentinelOption{}
	}
	if tracking {
		o.DisableCache, o.CacheSizeEachConn = false, 1<<20 // who asks keeps a cache of its own
		o.OnInvalidations = c.invalidated
	}
	return o
}

// invalidated passes on what has changed.
func (c *Conn) invalidated(messages []rueidis.RedisMessage) {
	if messages == nil {
		c.cfg.Tracked(nil)
		return
	}
	keys := make([]string, len(messages))
	for i := range messages {
		keys[i], _ = messages[i].ToString()
	}
	c.cfg.Tracked(keys)
}

// New connects to Redis. That Redis cannot be reached now is no error: OnState is told before
// New returns, and a goroutine tries again until it can. It blocks for a second at most. The connection
// has goroutines of its own: see [Conn.Close].
func New(cfg Config) (*Conn, error) {
	if err := errors.Join(cfg.Faults()...); err != nil {
		return nil, err
	}
	c := &Conn{
		cfg: cfg, timeout: cmp.Or(cfg.Timeout, defaultTimeout), own: cfg.Client == nil, lanes: make([]lane, 1),
	}
	c.life, c.end = context.WithCancel(context.Background())
	if !c.own {
		c.link.Store(&link{Client: cfg.Client})
		if cfg.Client.Mode() == rueidis.ClientModeCluster {
			c.lanes = make([]lane, clusterLanes)
		}
		return c, nil
	}
	c.place, _ = locate(cfg.URL)
	c.dialer = dialer{unix: c.place.unix, own: cfg.Dial}
	if c.place.form == cluster {
		c.lanes = make([]lane, clusterLanes)
	}
	if err := c.connect(cfg.Tracked != nil); err != nil {
		c.shutAll(err)
	}
	return c, nil
}

// connect makes the client, without tracking where Redis has none. After an error there may be a client
// all the same, which goes on trying.
func (c *Conn) connect(tracking bool) error {
	client, err := rueidis.NewClient(c.option(tracking))
	if tracking && errors.Is(err, rueidis.ErrNoCache) {
		if client != nil {
			client.Close()
		}
		tracking = false
		client, err = rueidis.NewClient(c.option(false))
	}
	if client == nil {
		return err
	}
	if old := c.link.Swap(&link{Client: client, tracking: tracking}); old != nil {
		old.Close()
	}
	return err
}
