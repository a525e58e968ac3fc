package breaker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/go-loadbalancer/lb"
)

// naive is failsafe-go's breaker as one would put it behind lb.Breaker at first.
type naive struct {
	circuit circuitbreaker.CircuitBreaker[any]
}

func (n naive) Allow() (lb.Permit, bool) { return 0, n.circuit.TryAcquirePermit() }

func (n naive) Done(_ lb.Permit, o lb.Outcome) {
	switch o {
	case lb.Success:
		n.circuit.RecordSuccess()
	case lb.Failure:
		n.circuit.RecordFailure()
	}
}

func (n naive) Status() (lb.BreakerState, time.Time) {
	return lb.BreakerState(n.circuit.State()), time.Now().Add(n.circuit.RemainingDelay())
}

// filtering is naive and does not bother an open circuit.
type filtering struct{ naive }

func (f filtering) Allow() (lb.Permit, bool) {
	if f.circuit.IsOpen() {
		return 0, false
	}
	return f.naive.Allow()
}

// watching is naive and knows its state from a listener, which is slow when it hears of the
// opening: as if its goroutine had lost the processor there.
type watching struct {
	naive
	heard chan circuitbreaker.State // holds one
}

func newWatching(cfg Config) watching {
	w := watching{heard: make(chan circuitbreaker.State, 1)}
	w.heard <- circuitbreaker.ClosedState
	w.circuit = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(uint(cfg.Consecutive)).WithDelay(cfg.Cooldown).WithSuccessThreshold(uint(cfg.Trials)).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			if e.NewState == circuitbreaker.OpenState {
				time.Sleep(2 * cfg.Cooldown)
			}
			<-w.heard
			w.heard <- e.NewState
		}).Build()
	return w
}

func (w watching) Status() (lb.BreakerState, time.Time) {
	s := <-w.heard
	w.heard <- s
	return lb.BreakerState(s), time.Now().Add(w.circuit.RemainingDelay())
}

// suspicious is naive and calls a circuit open whose window is full of failures.
type suspicious struct{ naive }

func (s suspicious) Status() (lb.BreakerState, time.Time) {
	if s.circuit.Metrics().FailureRate() > 0.8 {
		return lb.Open, time.Now().Add(time.Hour)
	}
	return s.naive.Status()
}

// unset is naive without a success threshold.
func unset(cfg Config) naive {
	return naive{circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(cfg.FailureRate, uint(cfg.Requests), cfg.Window).WithDelay(cfg.Cooldown).Build()}
}

// hazardous is what the laws are tried with: the first trial is due after five to seven seconds.
var hazardous = Config{Requests: 20, Consecutive: 5, Cooldown: 6 * time.Second, Trials: 3}.withDefaults()

// allowed counts how many of n requests are allowed, and returns their permits.
func allowed(b lb.Breaker, n int) (ps []lb.Permit) {
	for range n {
		if p, ok := b.Allow(); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

func done(b lb.Breaker, o lb.Outcome, ps ...lb.Permit) {
	for _, p := range ps {
		b.Done(p, o)
	}
}

// trip opens a breaker by failures alone and sleeps until its cooldown is over.
func trip(b lb.Breaker) {
	done(b, lb.Failure, allowed(b, 20)...)
	time.Sleep(2 * hazardous.Cooldown)
}

// laws are what failsafe-go's breaker does not give to whoever uses it as it is. Each returns
// what is wrong, or "".
var laws = []struct {
	name  string
	naive func() lb.Breaker
	holds func(lb.Breaker) string
}{
	{
		"an open breaker is asked again",
		func() lb.Breaker { return filtering{naive{hazardous.circuit()}} },
		func(b lb.Breaker) string {
			trip(b)
			if len(allowed(b, 1)) == 0 {
				return "refuses after its cooldown"
			}
			return ""
		},
	},
	{
		"a neutral trial leaves its place",
		func() lb.Breaker { return naive{hazardous.circuit()} },
		func(b lb.Breaker) string {
			trip(b)
			for i := range 100 {
				ps := allowed(b, 1)
				if len(ps) == 0 {
					return fmt.Sprintf("refuses after %d neutral trials", i)
				}
				done(b, lb.Neutral, ps...)
			}
			return ""
		},
	},
	{
		"lost trials are replaced",
		func() lb.Breaker { return naive{hazardous.circuit()} },
		func(b lb.Breaker) string {
			trip(b)
			allowed(b, 3)
			time.Sleep(24 * time.Hour)
			if len(allowed(b, 1)) == 0 {
				return "refuses a day later"
			}
			return ""
		},
	},
	{
		"successes from before the opening do not close",
		func() lb.Breaker { return naive{hazardous.circuit()} },
		func(b lb.Breaker) string {
			old := allowed(b, 5)
			trip(b)
			allowed(b, 1)
			done(b, lb.Success, old...)
			if s, _ := b.Status(); s != lb.HalfOpen {
				return fmt.Sprintf("%v before any trial has ended", s)
			}
			return ""
		},
	},
	{
		"failures from before the opening do not open again",
		func() lb.Breaker { return naive{hazardous.circuit()} },
		func(b lb.Breaker) string {
			old := allowed(b, 5)
			trip(b)
			allowed(b, 1)
			done(b, lb.Failure, old...)
			if s, _ := b.Status(); s != lb.HalfOpen {
				return fmt.Sprintf("%v before any trial has ended", s)
			}
			return ""
		},
	},
	{
		"results of requests allowed while closed make no places for trials",
		func() lb.Breaker { return naive{hazardous.circuit()} },
		func(b lb.Breaker) string {
			old := allowed(b, 2)
			trip(b)
			n := len(allowed(b, 10))
			done(b, lb.Success, old...)
			if n += len(allowed(b, 10)); n != 3 {
				return fmt.Sprintf("%d trials at a time", n)
			}
			return ""
		},
	},
	{
		"no more trials at a time than configured",
		func() lb.Breaker { return unset(hazardous) },
		func(b lb.Breaker) string {
			trip(b)
			if n := len(allowed(b, 100)); n != 3 {
				return fmt.Sprintf("%d trials at a time", n)
			}
			return ""
		},
	},
	{
		"what happened an hour ago says nothing",
		func() lb.Breaker { return suspicious{naive{hazardous.circuit()}} },
		func(b lb.Breaker) string {
			done(b, lb.Failure, allowed(b, 4)...)
			time.Sleep(time.Hour)
			if s, _ := b.Status(); s != lb.Closed {
				return fmt.Sprintf("%v after an hour without requests", s)
			}
			return ""
		},
	},
	{
		"the state is told in order",
		func() lb.Breaker { return newWatching(hazardous) },
		func(b lb.Breaker) string {
			ps := allowed(b, 20)
			go done(b, lb.Failure, ps...) // may be held up in a listener
			time.Sleep(hazardous.Cooldown + hazardous.Cooldown/2)
			synctest.Wait()
			allowed(b, 1)
			time.Sleep(hazardous.Cooldown)
			if s, _ := b.Status(); s != lb.HalfOpen {
				return fmt.Sprintf("said to be %v, while a trial is running", s)
			}
			return ""
		},
	},
}

func TestHazards(t *testing.T) {
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if law.holds(law.naive()) == "" {
					t.Error("holds for failsafe-go as it is: the law proves nothing")
				}
				if wrong := law.holds(newBreaker(hazardous)); wrong != "" {
					t.Error(wrong)
				}
			})
		})
	}
}
