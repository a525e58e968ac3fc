package redisconn

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

const (
	soonest = 100 * time.Millisecond // after a subscription was lost
	latest  = time.Second
)

// Subscribe calls got for each message of a channel until ctx is done, and connects again when it has to,
// up to a second later. got is called by who reads the connection: it must be quick. It returns nil, or
// ErrClosed after Close.
func (c *Conn) Subscribe(ctx context.Context, channel string, got func(message string)) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	wait := soonest
	for ctx.Err() == nil {
		if l := c.link.Load(); l != nil {
			began := time.Now()
			_ = l.Receive(ctx, l.B().Subscribe().Channel(channel).Build(), func(m rueidis.PubSubMessage) { got(m.Message) })
			if time.Since(began) > latest {
				wait = soonest
			}
		}
		if !c.pauseOr(ctx, wait) {
			break
		}
		wait = min(2*wait, latest)
	}
	if c.life.Err() != nil {
		return ErrClosed
	}
	return nil
}
