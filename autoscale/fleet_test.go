package autoscale

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFleet goes up and down, and hands over at an end, a death, a pause and a partition.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 3, 1)
		defer c.quit()
		c.want.Store(5)
		c.wait(10 * time.Second)
		c.check("up")
		c.want.Store(3)
		c.wait(10 * time.Second)
		c.check("down")
		c.leader().retire(c)
		c.wait(10 * time.Second)
		c.check("after the leader's end")
		c.join()
		c.want.Store(4)
		c.kill(c.leader())
		c.wait(20 * time.Second)
		c.check("after its death")
		c.join()
		old := c.leader()
		c.pause(old)
		c.want.Store(6)
		c.wait(60 * time.Second)
		if n := c.runs(); n != 5 {
			t.Errorf("%d run while the former leader is paused", n)
		}
		c.resume(old)
		launches := old.launches
		c.wait(10 * time.Second)
		c.check("after a pause")
		if old.launches != launches {
			t.Error("the former leader launched something when it woke up")
		}
		old = c.leader()
		c.sever(old)
		c.want.Store(2)
		c.wait(60 * time.Second)
		if old.pool.Snapshot().Len() != 6 {
			t.Error("an instance without Redis changed its pool")
		}
		c.resume(old)
		c.wait(20 * time.Second)
		c.check("after a partition")
		if c.state.Generation != 5 {
			t.Errorf("generation %d", c.state.Generation)
		}
	})
}

// well reports whether an instance has had time to tell others what it knows.
func (x *seat) well() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.paused && !x.cut && !x.down && time.Since(x.since) > 3*time.Second && time.Since(x.shared.since) > 3*time.Second
}

// retire ends an instance in an orderly way.
func (x *seat) retire(c *crew) {
	x.stop()
	c.with(func() { x.dead = true })
}

// TestFleetWithoutRedis has it away for ten minutes while the plan wants another number.
func TestFleetWithoutRedis(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := muster(t, 3, 1)
			defer c.quit()
			c.want.Store(4)
			c.wait(10 * time.Second)
			c.want.Store(6)
			c.with(func() { c.takes = func() time.Duration { return 8 * time.Second } })
			c.wait(4 * time.Second)
			c.with(func() { c.down = true })
			c.wait(10 * time.Minute)
			if got := c.runs(); got != 5 {
				t.Errorf("%d run, of 3 that did and 2 that were being launched", got)
			}
			for _, x := range c.all {
				if got := x.pool.Snapshot().Len(); got != 4 {
					t.Errorf("%s serves with %d", x.name, got)
				}
			}
			c.want.Store(2)
			if flushed {
				c.flush()
			}
			c.with(func() { c.down, c.since = false, time.Now() })
			c.wait(30 * time.Second)
			c.check("back")
		})
	}
}

// TestFleetDeath kills a leader while it launches: what it was at counts until it must have ended,
// and is made up for then.
func TestFleetDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 3, 1)
		defer c.quit()
		c.wait(10 * time.Second)
		c.with(func() { c.takes = func() time.Duration { return 15 * time.Second } })
		c.want.Store(4)
		c.wait(4 * time.Second)
		old := c.leader()
		c.kill(old)
		c.want.Store(0)
		c.wait(16 * time.Second)
		if n := len(c.state.in(Starting)); n != 3 {
			t.Errorf("%d launches in the state", n)
		}
		if got := old.launches; got != 3 || c.launched() != 3 {
			t.Errorf("%d launches, %d of them by the first", c.launched(), got)
		}
		c.wait(35 * time.Second)
		c.want.Store(4)
		c.check("after its death")
	})
}

// launched counts launches that were begun.
func (c *crew) launched() (n int) {
	c.with(func() {
		for _, x := range c.all {
			n += x.launches
		}
	})
	return n
}

// TestFleetWakesUp stops a leader between the launches that it has written down and the launches:
// when it wakes up, it is too late for them. A shorter stop does no harm.
func TestFleetWakesUp(t *testing.T) {
	for _, sleep := range []time.Duration{8 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c := muster(t, 3, 1)
			defer c.quit()
			c.wait(10 * time.Second)
			var old *seat
			c.with(func() {
				c.trap = func(x *seat, next State) {
					if old == nil && len(next.in(Starting)) > 0 {
						old = x
						x.paused, x.out = true, time.Now()
					}
				}
			})
			c.want.Store(4)
			c.wait(sleep)
			c.resume(old)
			c.wait(10 * time.Second)
			c.check("awake again")
			if c.launched() != 3 || sleep > 30*time.Second && old.launches != 0 {
				t.Errorf("after %v: %d launches, %d by the one that slept", sleep, c.launched(), old.launches)
			}
		})
	}
}

// TestFleetOwes has a leader die whose plan wanted more than is there, and the next one's plan
// wants what is there.
func TestFleetOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 2, 1)
		defer c.quit()
		c.wait(10 * time.Second)
		c.with(func() { c.fails = func() bool { return true } })
		c.want.Store(4)
		c.wait(4 * time.Second)
		c.kill(c.leader())
		c.want.Store(0)
		c.with(func() { c.fails = func() bool { return false } })
		c.wait(45 * time.Second)
		c.want.Store(4)
		c.check("after its death")
	})
}

// TestFleetWithoutLock has the lock in the hands of somebody who does nothing.
func TestFleetWithoutLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 3, 1)
		defer c.quit()
		c.wait(10 * time.Second)
		c.with(func() { c.holder, c.until = new(seat), time.Now().Add(time.Hour) })
		c.wait(validity) // within which the lock's loss is noticed
		c.want.Store(5)
		c.wait(5 * time.Minute)
		if n := c.launched(); n > 0 {
			t.Errorf("%d launches", n)
		}
		c.with(func() { c.holder = nil })
		c.wait(10 * time.Second)
		c.check("when the lock is free")
	})
}

// TestFleetLateHolds has lost locks noticed a minute late: a later leader decides alone.
func TestFleetLateHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 3, 1)
		defer c.quit()
		c.with(func() { c.late = time.Minute })
		for i := range 20 {
			c.with(func() { c.holder = nil })
			c.want.Store(int64(1 + i%fleetMax))
			c.wait(8 * time.Second)
		}
		c.wait(2 * time.Minute)
		c.check("at the end")
	})
}

// TestFleetVague has what was written last not answered: it is not done, and taken back at once.
func TestFleetVague(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 2, 1)
		defer c.quit()
		c.wait(10 * time.Second)
		c.with(func() { c.vague = c.writes + 1 })
		c.want.Store(3)
		c.wait(3 * time.Second)
		c.with(func() { c.vague = 0 })
		c.wait(7 * time.Second)
		c.check("soon")
	})
}

// TestFleetCalm has Redis lose everything, and an instance that knows little be there first.
func TestFleetCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muster(t, 3, 1)
		defer c.quit()
		c.wait(10 * time.Second)
		first := c.all[0]
		c.sever(first)
		c.wait(10 * time.Second)
		c.want.Store(4)
		c.wait(10 * time.Second)
		for _, x := range c.all[1:] {
			c.sever(x)
		}
		c.flush()
		c.resume(first)
		c.wait(900 * time.Millisecond)
		for _, x := range c.all[1:] {
			c.resume(x)
		}
		c.wait(20 * time.Second)
		c.check("afterwards")
		if n := c.launched(); n != 3 {
			t.Errorf("%d launches", n)
		}
	})
}

// TestFleetChaos has everything happen at random, and then nothing.
func TestFleetChaos(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			c := muster(t, 3+int(seed%3), seed)
			defer c.quit()
			if seed%2 == 1 {
				c.with(func() { c.late = 10 * time.Second })
			}
			c.chaos()
			c.check("at the end")
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}
