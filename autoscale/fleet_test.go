package autoscale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// crew is a fleet under test.
type crew struct {
	*machines
	t      *testing.T
	want   *atomic.Int64
	events *events
	random *rand.Rand
	named  int
}

// muster begins n instances over one configured backend.
func muster(t *testing.T, n int, seed uint64) *crew {
	s := &shared{reports: make(map[string]Report), intents: make(map[string]bool)}
	c := &crew{
		t:        t,
		machines: &machines{shared: s, running: make(map[string]*machine)},
		want:     new(atomic.Int64), events: new(events), random: rand.New(rand.NewPCG(seed, 6)),
	}
	c.takes, c.fails = func() time.Duration { return time.Second }, func() bool { return false }
	c.want.Store(1)
	for range n {
		c.join()
	}
	return c
}

// plan wants what it is told to, or what is there if that is nothing.
func (c *crew) plan(l Load) int {
	if n := int(c.want.Load()); n > 0 {
		return n
	}
	return l.Backends
}

// join begins one more instance.
func (c *crew) join() *seat {
	c.named++
	x := &seat{shared: c.shared, name: fmt.Sprintf("s%d", c.named), pool: lb.Must(lb.NewPool(lb.Spec{ID: "c0", URL: "http://10.0.0.1"}))}
	scaler := lb.Must(New(Config{
		Pool: x.pool, Provider: via{c.machines, x}, Leader: x, Plan: swift(c.plan), Max: fleetMax,
		LaunchTimeout: 20 * time.Second, DrainTimeout: 10 * time.Second, Backoff: time.Second, OnEvent: c.events.add,
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- scaler.Run(ctx) }()
	x.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, x)
	return x
}

// leader returns the seat that holds the lock, or nil.
func (c *crew) leader() *seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder == nil || time.Now().After(c.until) {
		return nil
	}
	return c.holder
}

// runs counts the backends that run.
func (c *crew) runs() (n int) {
	c.with(func() { n = len(c.running) })
	return n
}

// with changes something that the lock guards.
func (c *crew) with(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// pause stops an instance, and sever cuts it off from Redis.
func (c *crew) pause(x *seat) { c.with(func() { x.leave(); x.paused = true }) }
func (c *crew) sever(x *seat) { c.with(func() { x.leave(); x.cut = true }) }

// leave notes when an instance was last well, for long enough to say so.
func (x *seat) leave() {
	if !x.paused && !x.cut && time.Since(x.since) > 3*time.Second {
		x.out = time.Now()
	}
}

// resume ends both.
func (c *crew) resume(x *seat) {
	c.with(func() { x.paused, x.cut, x.since = false, false, time.Now() })
}

func (c *crew) kill(x *seat) {
	c.with(func() { x.dead = true })
	go x.stop() // nobody hears of it
}

// flush loses all there is, as FLUSHALL does.
func (c *crew) flush() {
	c.with(func() {
		c.state, c.holder, c.since = State{}, nil, time.Now()
		clear(c.reports)
		for _, x := range c.all {
			x.known = time.Time{}
		}
	})
}

// quit ends all instances.
func (c *crew) quit() {
	for _, x := range c.all {
		if !x.dead {
			c.resume(x)
			x.stop()
		}
	}
	time.Sleep(time.Minute) // whoever held the lock lets go
}

// wait lets time pass and looks at the laws that must hold at any time.
func (c *crew) wait(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		c.with(func() {
			ids, begun := c.unlisted(), 0
			for _, x := range c.all {
				begun += x.launches
			}
			c.fault(len(ids) > 0, "%v run, and nobody knows", ids)
			c.fault(begun > len(c.intents), "%d launches of %d that were written", begun, len(c.intents))
		})
	}
}

// settled lists the laws that were broken, and what is not as it should be when nothing has
// happened for a while.
func (c *crew) settled() (faults []string) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	faults = slices.Clone(c.faults)
	var listed, running []string
	for _, b := range c.state.Backends {
		if b.Phase != Serving {
			faults = append(faults, fmt.Sprintf("%s is %v", b.id(), b.Phase))
		}
		listed = append(listed, b.id())
	}
	for id := range c.running {
		running = append(running, id)
	}
	slices.Sort(listed)
	slices.Sort(running)
	if want := int(c.want.Load()); len(listed)+1 != want || c.state.Desired != want {
		faults = append(faults, fmt.Sprintf("%d backends, %d desired, want %d", len(listed)+1, c.state.Desired, want))
	}
	if !slices.Equal(listed, running) {
		faults = append(faults, fmt.Sprintf("running %v, listed %v", running, listed))
	}
	for _, x := range c.all {
		pool := []string{}
		for i := range x.pool.Snapshot().Len() {
			if id := x.pool.Snapshot().At(i).ID(); id != "c0" {
				pool = append(pool, id)
			}
		}
		if !x.dead && !slices.Equal(pool, listed) && len(pool)+len(listed) > 0 {
			faults = append(faults, fmt.Sprintf("%s has %v, listed %v", x.name, pool, listed))
		}
	}
	return faults
}

// check fails the test unless all is as it should be.
func (c *crew) check(when string) {
	c.t.Helper()
	if faults := c.settled(); len(faults) > 0 {
		c.t.Errorf("%s: %s\n%v", when, strings.Join(faults, "; "), c.events)
	}
}

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
			c.trap = func(x *seat, next State) {
				if old == nil && len(next.in(Starting)) > 0 {
					old = x
					x.paused, x.out = true, time.Now()
				}
			}
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
				c.late = 10 * time.Second
			}
			c.chaos()
			c.check("at the end")
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}

// chaos lasts for some minutes.
func (c *crew) chaos() {
	c.with(func() {
		c.takes = func() time.Duration { return time.Duration(c.random.IntN(25)) * time.Second }
		c.fails = func() bool { return c.random.IntN(6) == 0 }
		c.lag = func() time.Duration { return time.Duration(c.random.IntN(50)) * time.Millisecond }
		c.vague = 7
	})
	for range 60 {
		c.mu.Lock()
		x := c.all[c.random.IntN(len(c.all))]
		if c.holder != nil && c.random.IntN(2) == 0 {
			x = c.holder
		}
		c.mu.Unlock()
		c.happen(x)
		c.wait(time.Duration(c.random.IntN(100)) * 100 * time.Millisecond)
	}
	c.with(func() {
		c.down, c.since, c.vague = false, time.Now(), 0
		c.takes, c.fails = func() time.Duration { return time.Second }, func() bool { return false }
	})
	for _, x := range c.all {
		c.resume(x)
	}
	c.wait(2 * time.Minute)
}

// happen has one thing happen.
func (c *crew) happen(x *seat) {
	switch n := c.random.IntN(12); {
	case x.dead:
	case n < 3:
		c.pause(x)
	case n < 5:
		c.sever(x)
	case n < 6:
		c.with(func() { c.down = true })
	case n < 7:
		c.flush()
	case n < 8:
		c.with(func() { // a replica takes over that has not heard all
			back := c.random.IntN(3)
			if c.down || len(c.history) < back+1 {
				return
			}
			c.state, c.holder, c.since = c.history[len(c.history)-1-back], nil, time.Now()
		})
	case n < 9 && x.well():
		x.retire(c)
		c.join()
	default:
		c.want.Store(int64(1 + c.random.IntN(fleetMax)))
	}
	if c.random.IntN(2) == 0 { // all is well again
		c.with(func() {
			c.down, c.since = false, time.Now()
		})
		for _, x := range c.all {
			c.resume(x)
		}
	}
}
