package autoscale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
)

const validity = 5 * time.Second

// shared is what Redis is to a fleet, in this process, with all that may happen to it.
type shared struct {
	mu     sync.Mutex
	all    []*seat
	faults []string // laws that were broken

	state   State
	history []State // all that were ever written
	reports map[string]Report
	holder  *seat // of the lock
	until   time.Time

	lag     func() time.Duration // each way to Redis or back; nil: none
	trap    func(*seat, State)   // called with each write
	late    time.Duration        // how much later than it should a lost lock is noticed
	down    bool
	since   time.Time // when it last came back
	blind   bool      // a defect: Swap compares nothing
	writes  int
	vague   int             // every so many writes, whoever wrote is not told
	intents map[string]bool // keys of launches that were ever written
}

// seat is one instance's way to it.
type seat struct {
	*shared
	name   string
	scaler *Scaler
	pool   *lb.DynamicPool
	paused bool // SIGSTOP: nothing returns and nothing begins
	cut    bool // from Redis
	dead   bool
	known  time.Time // when it first reported after reports were lost
	since  time.Time // when it was last resumed or connected again
	out    time.Time // and when it was paused or cut off
	stop   func()

	launching, launches int
	instance            string // what its Scaler calls itself
}

// fault notes that a law was broken. The caller holds the lock.
func (s *shared) fault(wrong bool, format string, args ...any) {
	if wrong && len(s.faults) < 5 {
		s.faults = append(s.faults, fmt.Sprintf(format, args...))
	}
}

// gate blocks while the seat is paused.
func (x *seat) gate() {
	for {
		x.mu.Lock()
		paused := x.paused && !x.dead
		x.mu.Unlock()
		if !paused {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// travel is the way to Redis and back.
func (x *seat) travel() {
	x.gate()
	x.mu.Lock()
	var d time.Duration
	if x.lag != nil {
		d = x.lag()
	}
	x.mu.Unlock()
	time.Sleep(d)
	x.gate()
}

var errAway = errors.New("away")

// ask does something as one command of the seat.
func (x *seat) ask(command func() error) error {
	x.travel()
	defer x.travel()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.down || x.cut || x.dead {
		return errAway
	}
	return command()
}

func (x *seat) Read(context.Context) (s State, err error) {
	err = x.ask(func() error { s = x.state; return nil })
	return s, err
}

func (x *seat) Swap(_ context.Context, old, next State) (swapped bool, err error) {
	err = x.ask(func() error {
		if !x.blind && !reflect.DeepEqual(x.state, old) {
			return nil
		}
		x.decides(old, next)
		x.fault(next.before(x.state), "what %s writes goes back", x.name)
		x.write(next)
		if x.trap != nil {
			x.trap(x, next)
		}
		if x.writes++; x.vague > 0 && x.writes%x.vague == 0 {
			return errAway
		}
		swapped = true
		return nil
	})
	return swapped, err
}

// decides checks that whoever begins launches or wants another number is the leader. What is put
// back after a loss is no decision.
func (x *seat) decides(old, next State) {
	for _, s := range x.history {
		if s.Generation == next.Generation && s.Revision == next.Revision {
			return
		}
	}
	begun := len(next.in(Starting)) > len(old.in(Starting))
	if begun || next.Desired != old.Desired {
		x.fault(next.Leader != x.instance, "%s decides and does not lead", x.name)
	}
}

// write replaces the State, which must keep the bound.
func (s *shared) write(next State) {
	s.state = next
	s.history = append(s.history, next)
	for _, b := range next.Backends {
		s.intents[b.Key] = true
	}
	n := len(next.in(Starting)) + len(next.in(Serving))
	s.fault(n >= fleetMax, "%d launched backends in the state", n)
}

func (x *seat) Report(_ context.Context, instance string, r *Report) error {
	return x.ask(func() error {
		if r == nil {
			delete(x.reports, instance)
		} else {
			x.reports[instance], x.instance = *r, instance
			if x.known.IsZero() {
				x.known = time.Now()
			}
		}
		return nil
	})
}

func (x *seat) Reports(context.Context) (all map[string]Report, err error) {
	err = x.ask(func() error { all = maps.Clone(x.reports); return nil })
	return all, err
}

// Lead takes the lock when it is free, and keeps it while the seat lives and Redis does.
func (x *seat) Lead(ctx context.Context) (context.Context, func(), error) {
	take := func() error {
		if x.holder != nil && x.holder != x && time.Now().Before(x.until) {
			return errAway
		}
		x.holder, x.until = x, time.Now().Add(validity)
		return nil
	}
	for x.ask(take) != nil {
		if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	held, resign := context.WithCancel(ctx)
	go func() {
		defer resign()
		defer func() { pause(held, x.late) }()
		until := time.Now().Add(validity)
		for held.Err() == nil && time.Now().Before(until) {
			pause(held, validity/2)
			err := x.ask(func() error {
				if x.holder != x {
					until = time.Time{}
					return nil
				}
				if held.Err() != nil {
					x.holder = nil
					return nil
				}
				x.until = time.Now().Add(validity)
				return nil
			})
			if err == nil && !until.IsZero() {
				until = time.Now().Add(validity)
			}
		}
	}()
	return held, resign, nil
}

const fleetMax = 8

// machines is the provider that all instances share, with what must be true of it.
type machines struct {
	*shared
	takes   func() time.Duration
	fails   func() bool
	n       int
	running map[string]*machine
}

type machine struct {
	by *seat
	at time.Time
}

// via is the provider of one instance.
type via struct {
	*machines
	x *seat
}

func (v via) Launch(ctx context.Context) (lb.Spec, error) {
	v.x.gate()
	defer v.x.gate()
	v.mu.Lock()
	v.x.launching++
	v.x.launches++
	takes, fails := v.takes(), v.fails()
	v.mu.Unlock()
	pause(ctx, takes)
	v.x.gate()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.x.launching--
	if ctx.Err() != nil || fails || v.x.dead {
		return lb.Spec{}, errors.New("no machine")
	}
	v.n++
	id := fmt.Sprintf("m%d", v.n)
	v.running[id] = &machine{by: v.x, at: time.Now()}
	return lb.Spec{ID: id, URL: fmt.Sprintf("http://10.2.%d.%d", v.n/250, v.n%250)}, nil
}

func (v via) Terminate(_ context.Context, id string) error {
	v.x.gate()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.x.dead {
		return errAway
	}
	served, left := false, false
	for _, s := range v.history {
		for _, b := range s.in(Serving) {
			served = served || b.id() == id
		}
		left = left || s.leaves(id)
	}
	v.fault(served && !left, "%s is terminated and was never told to leave", id)
	if v.running[id] != nil {
		for _, x := range v.all {
			gone := x.dead || x.known.IsZero() || time.Since(x.known) < 2*time.Second || (x.paused || x.cut) && time.Since(x.out) > 9*time.Second ||
				time.Since(x.since) < 2*time.Second && x.since.Sub(x.out) > 9*time.Second
			v.fault(!gone && x.pool.Snapshot().Find(id) != nil, "%s is terminated while %s has it in its pool", id, x.name)
		}
	}
	delete(v.running, id)
	return nil
}

// unlisted are backends that run and are in no State, though whoever launched them has had five
// seconds to say so or to terminate them. The caller holds the lock.
func (m *machines) unlisted() (ids []string) {
	for id, b := range m.running {
		since := slices.MaxFunc([]time.Time{b.at, b.by.since, m.since}, time.Time.Compare)
		settled := m.down || b.by.paused || b.by.cut || b.by.dead || time.Since(since) < 5*time.Second
		if !settled && !m.state.has(id) {
			ids = append(ids, id)
		}
	}
	return ids
}
