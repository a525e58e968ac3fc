package redisconn

import (
	"context"
	"errors"
	"strings"
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
	cfg     Config
	place   place
	dialer  dialer
	own     bool // the client is ours
	timeout time.Duration
	link    atomic.Pointer[link] // nil until there is a client
	running sync.WaitGroup       // commands, probes, subscriptions
	life    context.Context
	end     context.CancelFunc

	lostTracking atomic.Bool // Redis turned out to be without it

	mu      sync.Mutex
	lanes   []lane
	shut    int  // of the lanes
	probing bool // a goroutine does
	closed  bool
	locker  *locker
	stats   Stats
	since   time.Time // some lane has been shut
}

// link is a client, and whether it tells of changes.
type link struct {
	rueidis.Client
	tracking bool
}

// Tracking reports whether Redis tells of changes: Config.Tracked was set, and Redis can.
func (c *Conn) Tracking() bool {
	l := c.link.Load()
	return l != nil && l.tracking
}

// Close waits until all commands have ended and closes the connection. With a Redis that does
// not answer it takes up to two seconds. Calls made from now on return ErrClosed. Only the
// first Close does anything.
func (c *Conn) Close() {
	c.mu.Lock()
	again, locker := c.closed, c.locker
	c.closed = true
	c.mu.Unlock()
	if again {
		return
	}
	c.end()
	locker.close()
	c.running.Wait() // first, for a command may be dialling, which rueidis' Close does not see
	if l := c.link.Load(); l != nil && c.own {
		l.Close()
	}
}

// command sends something to Redis and waits for the answer. It runs outside of its caller.
type command func(context.Context, *link) ([]string, error)

// call is one command on its way.
type call struct {
	lane   int
	key    string
	probe  bool
	began  time.Time
	judged atomic.Bool

	done  chan struct{} // closed after reply and err are written
	reply []string
	err   error
}

// do runs a command and waits for it until the timeout, or until ctx is done: that says nothing
// about Redis.
func (c *Conn) do(ctx context.Context, key string, run command) ([]string, error) {
	k, err := c.start(&call{key: key}, run, nil)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case <-k.done:
		return k.reply, k.err
	case <-timer.C:
		c.judge(k, ErrTimeout)
		return nil, ErrTimeout
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// start runs a command, or returns why not. When it has ended, then is called, unless nil.
func (c *Conn) start(k *call, run command, then func([]string, error)) (*call, error) {
	k.lane, k.began, k.done = c.lane(k.key), time.Now(), make(chan struct{})
	l, err := c.enter(k)
	if err != nil {
		return nil, err
	}
	go func() {
		defer c.leave(k)
		k.reply, k.err = run(context.Background(), l)
		c.judge(k, k.err)
		if then != nil {
			then(k.reply, k.err)
		}
		close(k.done)
	}()
	return k, nil
}

// enter gives a call a place.
func (c *Conn) enter(k *call) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	l, lane := c.link.Load(), &c.lanes[k.lane]
	err := error(nil)
	switch {
	case l == nil, lane.shut && !k.probe:
		err = ErrDown
	case c.stats.InFlight >= maxInFlight:
		err = ErrBusy
	}
	if err != nil {
		c.stats.Refused++
		return nil, err
	}
	lane.probing = lane.probing || k.probe
	c.running.Add(1)
	c.stats.Commands++
	c.stats.InFlight++
	c.stats.Most = max(c.stats.Most, c.stats.InFlight)
	return l, nil
}

// leave gives a call's place back.
func (c *Conn) leave(k *call) {
	c.mu.Lock()
	c.stats.InFlight--
	if k.probe {
		c.lanes[k.lane].probing = false
	}
	c.mu.Unlock()
	c.running.Done()
}

// judge tells the gate how a call ended, once. An answer that comes too late is a failure.
func (c *Conn) judge(k *call, err error) {
	if k.judged.Swap(true) {
		return
	}
	now := time.Now()
	if !away(err) {
		err = nil
	}
	if errors.Is(err, rueidis.ErrNoCache) {
		c.lostTracking.Store(true)
	}
	if err == nil && now.Sub(k.began) > c.timeout {
		err = ErrTimeout
	}
	c.mu.Lock()
	lane, before := &c.lanes[k.lane], c.shut
	was, need := lane.shut, enough
	if before > 0 {
		need = another
	}
	lane.gate = lane.judge(k.probe, err == nil, need)
	if err != nil {
		c.stats.Failures++
	}
	switch {
	case lane.shut && !was:
		lane.key = k.key
		c.shutting(now, 1)
	case was && !lane.shut:
		c.opening(now, 1)
	}
	after := c.shut
	c.mu.Unlock()
	c.tell(before, after, err)
}

// tell says that Redis cannot be reached, or can again.
func (c *Conn) tell(before, after int, err error) {
	if (before == 0) != (after == 0) && c.cfg.OnState != nil {
		if after == 0 {
			err = nil
		}
		c.cfg.OnState(after == 0, err)
	}
}

// away reports whether an error says that Redis cannot serve at all. Another reply of Redis is an answer
// like any other: no rights for a command, no memory for a write, a replica that is written to.
func away(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return err != nil && !errors.Is(err, errOdd) && !rueidis.IsParseErr(err)
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	switch word {
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS":
		return true
	}
	return false
}
