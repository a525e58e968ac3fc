package redisconn

import (
	"context"
	"time"
)

// probeGap is the time between probes while a lane is shut.
const probeGap = 500 * time.Millisecond

// shutting counts lanes that shut, and has them probed. The caller holds the lock.
func (c *Conn) shutting(now time.Time, lanes int) {
	if c.shut == 0 {
		c.since = now
		c.stats.Opened++
	}
	c.shut += lanes
	if !c.probing && !c.closed {
		c.probing = true
		c.running.Go(c.probe)
	}
}

// opening counts lanes that open. The caller holds the lock.
func (c *Conn) opening(now time.Time, lanes int) {
	if c.shut -= lanes; c.shut == 0 {
		c.stats.Away += now.Sub(c.since)
	}
}

// shutAll begins an outage of everything.
func (c *Conn) shutAll(err error) {
	c.mu.Lock()
	for i := range c.lanes {
		c.lanes[i].shut = true
	}
	c.shutting(time.Now(), len(c.lanes))
	c.mu.Unlock()
	c.tell(0, len(c.lanes), err)
}

// probe asks for what is shut until nothing is. Nobody's request does: one that finds a lane shut goes on
// without Redis, at once.
func (c *Conn) probe() {
	tick := time.NewTicker(probeGap)
	defer tick.Stop()
	for c.unfinished() {
		if first := c.link.Load() == nil; c.own && (first || c.lostTracking.Swap(false)) {
			c.reconnect(first)
		}
		for _, key := range c.missing() {
			_, _ = c.start(&call{key: key, probe: true}, read(key), nil)
		}
		select {
		case <-tick.C:
		case <-c.life.Done():
		}
	}
}

// unfinished reports whether there is anything to probe, and ends the probing if not.
func (c *Conn) unfinished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = c.shut > 0 && !c.closed
	return c.probing
}

// missing returns a key of each lane that is shut and not being asked.
func (c *Conn) missing() (keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.lanes {
		if l := &c.lanes[i]; l.shut && !l.probing && (l.key != "" || len(c.lanes) == 1) {
			keys = append(keys, l.key)
		}
	}
	return keys
}

// reconnect makes a client where none could be made before; that opens all lanes.
func (c *Conn) reconnect(first bool) {
	if c.connect(first && c.cfg.Tracked != nil) != nil || !first {
		return
	}
	c.mu.Lock()
	before := c.shut
	for i := range c.lanes {
		c.lanes[i].gate = gate{}
	}
	c.opening(time.Now(), before)
	c.mu.Unlock()
	c.tell(before, 0, nil)
}

// pauseOr waits for a while, or for the end of ctx or of the connection, and reports whether to go on.
func (c *Conn) pauseOr(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.life.Done():
	}
	return false
}
