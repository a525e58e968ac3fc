package redisconn

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// What a call returns when no command was sent, or its end not waited for.
var (
	ErrDown    = errors.New("redis is unreachable")
	ErrBusy    = errors.New("too many commands wait for redis")
	ErrTimeout = errors.New("redis did not answer in time")
	ErrClosed  = errors.New("the connection to redis is closed")
)

// maxInFlight bounds the commands that have not ended. It must stay well below the length of
// rueidis' pipeline.
const maxInFlight = 256

// Conn is a connection to one Redis that is guarded against its failures: no call takes longer
// than Config.Timeout or its context, and while Redis is unreachable calls return at once, with
// ErrDown. All methods may be called by many goroutines at once.
type Conn struct {
	client  rueidis.Client
	swap    *rueidis.Lua // sent whole each time: always one round trip, and no SHA-1
	touch   *rueidis.Lua
	timeout time.Duration
	onState func(bool, error)
	running sync.WaitGroup // commands

	mu     sync.Mutex
	gate   gate
	closed bool
	stats  Stats
}

// Stats is what a Conn has done so far.
type Stats struct {
	Commands uint64 // sent to Redis, or tried to
	Failures uint64 // of these, those without an answer in time
	Refused  uint64 // not sent, because Redis is unreachable or too many wait for it
	InFlight int    // now
	Most     int    // that ever were in flight
	Down     bool   // Redis is believed to be unreachable
}

// Stats returns the counts up to now.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Down = c.gate.shut
	return s
}

// Close waits until all commands have ended and closes the connection. With a Redis that does
// not answer it takes up to two seconds. Calls made from now on return ErrClosed. Only the
// first Close does anything.
func (c *Conn) Close() {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return
	}
	c.running.Wait() // first, for a command may be dialling, which rueidis' Close does not see
	c.client.Close()
}

// command sends something to Redis and waits for the answer. It runs outside of its caller.
type command func(context.Context, rueidis.Client) (string, error)

// call is one command on its way.
type call struct {
	began  time.Time
	trial  bool
	judged atomic.Bool

	done  chan struct{} // closed after value and err are written
	value string
	err   error
}

// do runs a command and waits for it until the timeout, or until ctx is done: that says nothing
// about Redis.
func (c *Conn) do(ctx context.Context, run command) (string, error) {
	k, err := c.start(run, nil)
	if err != nil {
		return "", err
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case <-k.done:
		return k.value, k.err
	case <-timer.C:
		c.judge(k, ErrTimeout)
		return "", ErrTimeout
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// start runs a command, or returns why not. If the command fails, failed is called, unless nil.
func (c *Conn) start(run command, failed func()) (*call, error) {
	k := &call{began: time.Now(), done: make(chan struct{})}
	if err := c.enter(k); err != nil {
		return nil, err
	}
	go func() {
		defer c.leave()
		k.value, k.err = run(context.Background(), c.client)
		c.judge(k, k.err)
		if k.err != nil && failed != nil {
			failed()
		}
		close(k.done)
	}()
	return k, nil
}

// enter gives a call a place.
func (c *Conn) enter(k *call) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.stats.InFlight >= maxInFlight {
		c.stats.Refused++
		return ErrBusy
	}
	var ok bool
	if c.gate, k.trial, ok = c.gate.enter(k.began); !ok {
		c.stats.Refused++
		return ErrDown
	}
	c.running.Add(1)
	c.stats.Commands++
	c.stats.InFlight++
	c.stats.Most = max(c.stats.Most, c.stats.InFlight)
	return nil
}

// leave gives a call's place back.
func (c *Conn) leave() {
	c.mu.Lock()
	c.stats.InFlight--
	c.mu.Unlock()
	c.running.Done()
}

// judge tells the gate how a call ended, once. An answer that comes too late is a failure.
func (c *Conn) judge(k *call, err error) {
	if k.judged.Swap(true) {
		return
	}
	now := time.Now()
	if err == nil && now.Sub(k.began) > c.timeout {
		err = ErrTimeout
	}
	c.mu.Lock()
	before := c.gate.shut
	c.gate = c.gate.judge(now, k.trial, err == nil)
	after := c.gate.shut
	if err != nil {
		c.stats.Failures++
	}
	c.mu.Unlock()
	if before != after && c.onState != nil {
		c.onState(!after, err)
	}
}
