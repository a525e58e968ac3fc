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
	random *rand.Rand // what the fakes do, under the lock
	script *rand.Rand // what happens
	named  int
	seen   func(Load) // by each plan; nil: nobody looks
}

// muster begins n instances over one configured backend.
func muster(t *testing.T, n int, seed uint64) *crew {
	s := &shared{reports: make(map[string]Report), intents: make(map[string]bool)}
	c := &crew{
		t:        t,
		machines: &machines{shared: s, running: make(map[string]*machine)},
		want:     new(atomic.Int64), events: new(events), random: rand.New(rand.NewPCG(seed, 6)), script: rand.New(rand.NewPCG(seed, 7)),
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
	c.with(func() {
		if c.seen != nil {
			c.seen(l)
		}
	})
	if n := int(c.want.Load()); n > 0 {
		return n
	}
	return l.Backends
}

// join begins one more instance.
func (c *crew) join() *seat {
	c.with(func() { c.named++ })
	x := &seat{shared: c.shared, name: fmt.Sprintf("s%d", c.named), pool: lb.Must(lb.NewPool(lb.Spec{ID: "c0", URL: "http://10.0.0.1"}))}
	x.scaler = lb.Must(New(Config{
		Pool: x.pool, Provider: via{c.machines, x}, Leader: x, Plan: swift(c.plan), Max: fleetMax,
		LaunchTimeout: 20 * time.Second, DrainTimeout: 10 * time.Second, Backoff: time.Second, OnEvent: c.events.add,
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.scaler.Run(ctx) }()
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
		x := c.all[c.script.IntN(len(c.all))]
		if c.holder != nil && c.script.IntN(2) == 0 {
			x = c.holder
		}
		c.mu.Unlock()
		c.happen(x)
		c.wait(time.Duration(c.script.IntN(100)) * 100 * time.Millisecond)
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
	switch n := c.script.IntN(12); {
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
			back := c.script.IntN(3)
			if c.down || len(c.history) < back+1 {
				return
			}
			c.state, c.holder, c.since = c.history[len(c.history)-1-back], nil, time.Now()
		})
	case n < 9 && x.well():
		x.retire(c)
		c.join()
	default:
		c.want.Store(int64(1 + c.script.IntN(fleetMax)))
	}
	if c.script.IntN(2) == 0 { // all is well again
		c.with(func() {
			c.down, c.since = false, time.Now()
		})
		for _, x := range c.all {
			c.resume(x)
		}
	}
}
