package redisconn

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/rueidis/rueidislock"
)

// lockGap is the time between attempts to get a lock that somebody else has.
const lockGap = 200 * time.Millisecond

// locker has a client of its own, since rueidislock insists.
type locker struct {
	mu       sync.Mutex
	validity time.Duration
	inner    rueidislock.Locker
	closed   bool
}

// Lock waits until the lock of that name is ours, or ctx ends. held ends when the lock is lost, within
// validity after the last time that Redis knew of us; release gives it back. All locks of a Conn have
// the validity of the first. It is no fence: who was stopped for longer than validity may act for a
// moment after another has the lock. It needs Config.URL.
func (c *Conn) Lock(ctx context.Context, name string, validity time.Duration) (held context.Context, release func(), err error) {
	if !c.own {
		return nil, nil, errors.New("a lock needs Config.URL: it has a connection of its own")
	}
	c.mu.Lock()
	if c.locker == nil && !c.closed {
		c.locker = &locker{validity: validity}
	}
	l := c.locker
	c.mu.Unlock()
	for {
		held, cancel, err := l.try(ctx, c, name)
		if err == nil {
			return held, cancel, nil
		}
		if c.life.Err() != nil {
			return nil, nil, ErrClosed
		}
		if !c.pauseOr(ctx, lockGap) && ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
	}
}

// try asks for the lock once.
func (l *locker) try(ctx context.Context, c *Conn, name string) (context.Context, context.CancelFunc, error) {
	if l == nil {
		return nil, nil, ErrClosed
	}
	inner, err := l.open(c)
	if err != nil {
		return nil, nil, err
	}
	return inner.TryWithContext(ctx, name)
}

// open makes the client when it is needed first, and Redis can be reached.
func (l *locker) open(c *Conn) (rueidislock.Locker, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.inner != nil {
		return l.inner, nil
	}
	inner, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: c.option(false), KeyMajority: 1, KeyValidity: l.validity, TryNextAfter: lockGap,
	})
	if err != nil {
		return nil, err
	}
	l.inner = inner
	return inner, nil
}

func (l *locker) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.inner != nil {
		l.inner.Close()
	}
}
