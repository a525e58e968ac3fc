package redisconn

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	dialGap   = 400 * time.Millisecond // between dials of one address in the long run
	dialBurst = 3                      // that need not wait
	dialWait  = time.Second            // at most
)

// dialer makes connections, and no address more often than the gap allows: rueidis dials anew for each
// command that finds no connection, and a Redis that comes back must not find all balancers at its door.
type dialer struct {
	unix bool
	own  func(ctx context.Context, address string) (net.Conn, error) // nil: the network

	mu    sync.Mutex
	next  map[string]time.Time // when the burst of an address will be whole again
	dials uint64
}

// dial has the signature that rueidis wants.
func (d *dialer) dial(ctx context.Context, address string, by *net.Dialer, security *tls.Config) (net.Conn, error) {
	if err := pause(ctx, d.book(address, time.Now())); err != nil {
		return nil, err
	}
	switch {
	case d.own != nil:
		return d.own(ctx, address)
	case d.unix:
		return by.DialContext(ctx, "unix", address)
	case security != nil:
		return (&tls.Dialer{NetDialer: by, Config: security}).DialContext(ctx, "tcp", address)
	}
	return by.DialContext(ctx, "tcp", address)
}

// book counts a dial, and returns how long it has to wait: a virtual schedule (GCRA).
func (d *dialer) book(address string, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials++
	if d.next == nil {
		d.next = make(map[string]time.Time)
	}
	if len(d.next) > 1024 { // addresses come from Redis itself
		clear(d.next)
	}
	at := d.next[address]
	if at.Before(now) {
		at = now
	}
	d.next[address] = at.Add(dialGap)
	return min(max(0, at.Sub(now)-(dialBurst-1)*dialGap), dialWait)
}

func (d *dialer) count() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dials
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
