package lbtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

// BreakerTraits says what a breaker promises beyond what all of them do.
type BreakerTraits struct {
	// Pass lets time go by. Nil means time.Sleep, which costs nothing in a bubble of
	// testing/synctest: run the kit in one.
	Pass func(time.Duration)
	// Trials is how many trials may run at a time. Zero means that any number less than 5,000 will
	// do.
	Trials int
	// Allocates says that Allow and Status may allocate, which costs every request.
	Allocates bool
}

const (
	// patience is after how many results of one kind a breaker must have changed its state.
	patience = 2000
	// crowd is how many requests ask for a trial at the same time.
	crowd = 5000
)

// TestBreaker tries a breaker as a balancer would use it, and returns an error that lists every law
// that it breaks, or nil:
//
//   - It is closed at first, and lets requests pass. It opens after 2,000 failures at the latest,
//     says when the next trial is, which is in the future, and refuses until then.
//   - From that time on it lets a trial pass, also when nobody has asked before, and does not let
//     everybody. It closes after 2,000 good trials at the latest, and opens again after 2,000 bad
//     ones at the latest, for a time after which there are trials again.
//   - A neutral result neither opens nor closes. A trial that ends so leaves its place to another.
//   - What was allowed before the last change of state proves nothing: it does not close a breaker
//     that is open or half-open, does not open one that has closed, and makes no place for trials.
//   - Status changes nothing, however often and whenever it is called.
//   - Any number of goroutines may use it at once. Run the test with -race, which finds what is not
//     safe. Afterwards it still opens and closes.
//   - Allow and Status do not allocate, unless the traits say otherwise.
//
// Fresh returns a breaker for a backend that nobody has met; it is called for each law, and must
// not return nil. Time passes by hours, so it needs a bubble, or Pass.
func TestBreaker(fresh func() lb.Breaker, traits BreakerTraits) error {
	if traits.Pass == nil {
		traits.Pass = time.Sleep
	}
	laws := []law[*guard]{
		{"it is closed at first, and opens", (*guard).opens},
		{"it comes back", (*guard).comesBack},
		{"a bad trial opens it again", (*guard).reopens},
		{"trials are bounded", (*guard).bounded},
		{"neutral results prove nothing", (*guard).neutral},
		{"a neutral trial leaves its place", (*guard).neutralTrial},
		{"what is older than the state does not close it", (*guard).staleSuccess},
		{"what is older than the state does not open it", (*guard).staleFailure},
		{"Status has no side effects", (*guard).onlooker},
		{"it is concurrent", (*guard).crowded},
	}
	if !traits.Allocates {
		laws = append(laws, law[*guard]{"it does not allocate", (*guard).thrift})
	}
	return judge(func() *guard { return &guard{BreakerTraits: traits, Breaker: fresh()} }, laws)
}

// guard is where a breaker is tried.
type guard struct {
	lb.Breaker
	BreakerTraits
}

// is returns an error unless the state is one of those.
func (g *guard) is(when string, states ...lb.BreakerState) error {
	if got, _ := g.Status(); !slices.Contains(states, got) {
		return fmt.Errorf("%s it is %v, want %v", when, got, states[0])
	}
	return nil
}

// ask returns the permits of n requests that are under way at the same time.
func (g *guard) ask(n int) (permits []lb.Permit) {
	for range n {
		if p, ok := g.Allow(); ok {
			permits = append(permits, p)
		}
	}
	return permits
}

// end ends requests alike.
func (g *guard) end(o lb.Outcome, permits ...lb.Permit) {
	for _, p := range permits {
		g.Done(p, o)
	}
}

// trip opens the breaker by failures.
func (g *guard) trip() error {
	for range patience {
		p, ok := g.Allow()
		if !ok {
			break
		}
		g.Done(p, lb.Failure)
	}
	state, next := g.Status()
	switch {
	case state != lb.Open:
		return fmt.Errorf("after %d failures in a row it is %v", patience, state)
	case next.IsZero():
		return errors.New("it is open, and does not say when the next trial is")
	}
	return nil
}

// cool waits for the next trial, as Status tells it.
func (g *guard) cool() error {
	_, next := g.Status()
	if wait := time.Until(next); wait > 0 {
		if n := len(g.ask(3)); n > 0 {
			return fmt.Errorf("it lets %d requests pass while it is open, %v before its next trial", n, wait)
		}
		g.Pass(wait)
	}
	return nil
}

// half makes the breaker open and lets its time go by.
func (g *guard) half() error { return first(g.trip, g.cool) }

// heal lets trials succeed until the breaker is closed.
func (g *guard) heal() error {
	for range patience {
		p, ok := g.Allow()
		if !ok {
			return fmt.Errorf("it refuses the only trial")
		}
		g.Done(p, lb.Success)
		if state, _ := g.Status(); state == lb.Closed {
			return nil
		}
	}
	return fmt.Errorf("after %d good trials it has not closed", patience)
}

func (g *guard) opens() error {
	return first(
		func() error { return g.is("at first", lb.Closed) },
		func() error {
			permits := g.ask(20)
			if g.end(lb.Success, permits...); len(permits) != 20 {
				return fmt.Errorf("at first it lets %d of 20 requests pass", len(permits))
			}
			return nil
		},
		func() error { return g.is("after good requests", lb.Closed) },
		g.trip,
		func() error {
			if _, next := g.Status(); !next.After(time.Now()) {
				return nil // its first trial may be at once
			}
			if n := len(g.ask(3)); n > 0 {
				return fmt.Errorf("open, it lets %d of 3 requests pass", n)
			}
			return g.is("after refusing", lb.Open)
		},
	)
}

func (g *guard) comesBack() error {
	for range 3 {
		if err := first(g.half, g.heal); err != nil {
			return err
		}
		permits := g.ask(20)
		if g.end(lb.Success, permits...); len(permits) != 20 {
			return fmt.Errorf("closed again, it lets %d of 20 requests pass", len(permits))
		}
	}
	if err := g.trip(); err != nil {
		return err
	}
	g.Pass(24 * time.Hour)
	return g.heal()
}

func (g *guard) reopens() error {
	if err := g.half(); err != nil {
		return err
	}
	for range 3 {
		for n := 0; ; n++ {
			p, ok := g.Allow()
			if !ok || n > patience {
				return fmt.Errorf("half-open, it neither lets a trial pass nor opens again after %d bad ones", n)
			}
			g.Done(p, lb.Failure)
			if state, _ := g.Status(); state == lb.Open {
				break
			}
		}
		if err := g.cool(); err != nil {
			return err
		}
	}
	return g.heal()
}

func (g *guard) bounded() error {
	if err := g.half(); err != nil {
		return err
	}
	most := g.Trials
	if most == 0 {
		most = crowd - 1
	}
	permits := g.ask(crowd)
	if n := len(permits); n == 0 || n > most {
		return fmt.Errorf("of %d requests that come when a trial is due it lets %d pass, want 1 to %d", crowd, n, most)
	}
	g.end(lb.Success, permits...)
	return g.settled()
}

// settled lets trials go on until the breaker has closed, whatever state it is in.
func (g *guard) settled() error {
	if state, _ := g.Status(); state == lb.Closed {
		return nil
	}
	return first(g.cool, g.heal)
}

func (g *guard) neutral() error {
	for range patience {
		p, ok := g.Allow()
		if !ok {
			return errors.New("it opened after neutral results")
		}
		g.Done(p, lb.Neutral)
	}
	return g.is("after neutral results only", lb.Closed)
}

func (g *guard) neutralTrial() error {
	if err := g.half(); err != nil {
		return err
	}
	for n := range 3 * patience {
		p, ok := g.Allow()
		if !ok {
			return fmt.Errorf("after %d trials that ended neutral it refuses: they keep their places", n)
		}
		g.Done(p, lb.Neutral)
		if err := g.is("after neutral trials", lb.HalfOpen, lb.Open); err != nil {
			return err
		}
	}
	return g.heal()
}

// before returns permits from before the breaker opened, and makes a trial due.
func (g *guard) before() ([]lb.Permit, error) {
	old := g.ask(patience)
	return old, g.half()
}

func (g *guard) staleSuccess() error {
	old := g.ask(patience)
	if err := g.trip(); err != nil {
		return err
	}
	g.end(lb.Success, old[:len(old)/2]...)
	if err := g.is("after late successes of requests from before it opened", lb.Open); err != nil {
		return err
	}
	if err := g.cool(); err != nil {
		return err
	}
	trials := g.ask(crowd)
	g.end(lb.Success, old[len(old)/2:]...)
	if err := g.is("half-open, after late successes of requests from before it opened", lb.HalfOpen, lb.Open); err != nil {
		return err
	}
	if n := len(g.ask(crowd)); n > 0 && len(trials) < crowd {
		return fmt.Errorf("late results of requests from before it opened make places for %d more trials", n)
	}
	g.end(lb.Success, trials...)
	return g.settled()
}

func (g *guard) staleFailure() error {
	old, err := g.before()
	if err != nil {
		return err
	}
	trials := g.ask(crowd)
	if len(trials) == 0 {
		return errors.New("it refuses when a trial is due")
	}
	g.end(lb.Failure, old[:len(old)/2]...)
	if err := g.is("while a trial runs, after late failures of requests from before it opened", lb.HalfOpen); err != nil {
		return err
	}
	g.end(lb.Success, trials...)
	if err := g.settled(); err != nil {
		return err
	}
	g.end(lb.Failure, old[len(old)/2:]...)
	g.end(lb.Failure, trials...)
	return g.is("closed again, after late failures of requests from before", lb.Closed)
}

func (g *guard) onlooker() error {
	look := func(when string, want lb.BreakerState) error {
		state, next := g.Status()
		for range 1000 {
			if s, n := g.Status(); s != state || !n.Equal(next) {
				return fmt.Errorf("%s Status returns %v, %v, then %v, %v", when, state, next, s, n)
			}
		}
		if state != want {
			return fmt.Errorf("%s it is %v, want %v", when, state, want)
		}
		return nil
	}
	return first(
		func() error { return look("at first", lb.Closed) },
		g.trip,
		func() error { return look("tripped", lb.Open) },
		g.cool,
		func() error { g.Pass(time.Hour); g.Status(); g.Status(); return nil },
		func() error {
			for range 1000 {
				g.Status()
			}
			if n := len(g.ask(1)); n != 1 {
				return errors.New("asked for its status when a trial is due, it refuses the trial")
			}
			return nil
		},
	)
}

func (g *guard) crowded() error {
	err := together(6, func(n int) error {
		draws := rand.New(rand.NewPCG(uint64(n), 5))
		var open []lb.Permit
		for range 400 {
			if p, ok := g.Allow(); ok {
				open = append(open, p)
			}
			if len(open) > 0 && draws.IntN(2) == 0 {
				at := draws.IntN(len(open))
				g.Done(open[at], lb.Outcome(draws.IntN(3)))
				open = slices.Delete(open, at, at+1)
			}
			g.Status()
		}
		g.end(lb.Neutral, open...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := g.settled(); err != nil {
		return err
	}
	return first(g.half, g.heal)
}

func (g *guard) thrift() error {
	use := func() {
		g.Status()
		g.Allow()
	}
	if n := allocations(use); n > 0 {
		return fmt.Errorf("%v allocations in Allow and Status", n)
	}
	if err := g.trip(); err != nil {
		return err
	}
	if n := allocations(use); n > 0 {
		return fmt.Errorf("%v allocations in Allow and Status while it is open", n)
	}
	return nil
}
