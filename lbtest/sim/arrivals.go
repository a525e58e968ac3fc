package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Arrivals says when requests come. Rates are in requests per second, of all clients together:
// each client gets an equal part, by a generator of its own.
type Arrivals interface {
	// Stream returns a function that gives the times of one client's requests, one after the
	// other, since the run's beginning. False means that there are no more.
	Stream(Source) func() (time.Duration, bool)
}

// Source is what a stream of arrivals is made of.
type Source struct {
	Client, Clients int        // this one, from zero on, of how many
	Own             *rand.Rand // for this client alone
	Common          *rand.Rand // one like it for each client, all giving the same numbers
}

// Poisson is arrivals that know nothing of each other, this many a second.
type Poisson float64

// Stream returns times with exponential distances.
func (p Poisson) Stream(s Source) func() (time.Duration, bool) {
	return States{{Rate: float64(p)}}.Stream(s)
}

func (p Poisson) check() error { return checkRate("Poisson", float64(p)) }

// Regular is arrivals with the same distance between any two, this many a second. With several
// clients, each begins at a time of its own.
type Regular float64

// Stream returns times with equal distances.
func (g Regular) Stream(s Source) func() (time.Duration, bool) {
	gap := float64(time.Second) * float64(s.Clients) / float64(g)
	t := s.Own.Float64() * gap
	return func() (time.Duration, bool) {
		now := t
		t += gap
		return time.Duration(now), true
	}
}

func (g Regular) check() error { return checkRate("Regular", float64(g)) }

// States is a Poisson process whose rate goes through states in turn, over and over: a Markov
// modulated one if the stays are exponential, steps of load if they are fixed. Two states, one of
// rate zero, are bursts. Each client goes through them by itself.
type States []State

// State is a rate that holds for a while.
type State struct {
	Rate     float64 // requests per second, of all clients together; zero is silence
	Stay     Dist    // how long, at least a millisecond; nil: for good
	Together bool    // all clients stay as long; if that is so in all states, they change at the same times
}

// Stream returns the times of a client. They cost a draw each, and one for each change of state.
func (ss States) Stream(s Source) func() (time.Duration, bool) {
	at, until, now := len(ss)-1, 0.0, 0.0
	rate := 0.0 // per nanosecond
	return func() (time.Duration, bool) {
		need := s.Own.ExpFloat64()
		for {
			if got := rate * (until - now); got >= need {
				break
			} else if got > 0 {
				need -= got
			}
			now, at = until, (at+1)%len(ss)
			rate = ss[at].Rate / float64(s.Clients) / float64(time.Second)
			until = now + ss[at].stay(s)
			if math.IsInf(until, 1) && rate == 0 || now > float64(century) {
				return 0, false
			}
		}
		now += need / rate
		return time.Duration(now), true
	}
}

// briefest is the shortest stay in a state, in nanoseconds.
const briefest = float64(time.Millisecond)

func (s State) stay(from Source) float64 {
	switch {
	case s.Stay == nil:
		return math.Inf(1)
	case s.Together:
		return max(briefest, float64(s.Stay.Draw(from.Common)))
	}
	return max(briefest, float64(s.Stay.Draw(from.Own)))
}

func (ss States) check() error {
	var errs []error
	total := 0.0
	for i, s := range ss {
		if s.Rate != 0 {
			errs = append(errs, checkRate(fmt.Sprintf("States: state %d: Rate", i), s.Rate))
		}
		errs = append(errs, checkDist(fmt.Sprintf("States: state %d: Stay", i), s.Stay, false))
		total += s.Rate
	}
	if !(total > 0) {
		errs = append(errs, errors.New("States: no state has a rate"))
	}
	return errors.Join(errs...)
}

// Diurnal is a Poisson process whose rate swings like a sine, beginning at the mean and rising.
type Diurnal struct {
	Rate   float64       // requests per second on average, of all clients together
	Swing  float64       // how far it goes up and down, as a share of Rate, 0 to 1
	Period time.Duration // zero means 24 hours
}

// Stream returns the times of a client, by thinning: 1+Swing draws for each.
func (d Diurnal) Stream(s Source) func() (time.Duration, bool) {
	if d.Period == 0 {
		d.Period = 24 * time.Hour
	}
	peak := d.Rate * (1 + d.Swing) / float64(s.Clients) / float64(time.Second)
	t := 0.0
	return func() (time.Duration, bool) {
		for t < float64(century) {
			t += s.Own.ExpFloat64() / peak
			now := 1 + d.Swing*math.Sin(2*math.Pi*t/float64(d.Period))
			if s.Own.Float64()*(1+d.Swing) < now {
				return time.Duration(t), true
			}
		}
		return 0, false
	}
}

func (d Diurnal) check() error {
	errs := []error{checkRate("Diurnal.Rate", d.Rate), positive("Diurnal.Period", d.Period)}
	if !(d.Swing >= 0 && d.Swing <= 1) {
		errs = append(errs, fmt.Errorf("Diurnal.Swing %v is not between 0 and 1", d.Swing))
	}
	return errors.Join(errs...)
}

// Trace is the times of all arrivals since the run's beginning, rising. They are dealt to the
// clients in turn.
type Trace []time.Duration

// Stream returns the times of a client.
func (t Trace) Stream(s Source) func() (time.Duration, bool) {
	i := s.Client
	return func() (time.Duration, bool) {
		if i >= len(t) {
			return 0, false
		}
		at := t[i]
		i += s.Clients
		return at, true
	}
}

func (t Trace) check() error {
	for i, at := range t {
		if at < 0 || at > century || i > 0 && at < t[i-1] {
			return fmt.Errorf("Trace: arrival %d at %v is not after the one before", i, at)
		}
	}
	return nil
}

func checkRate(what string, rate float64) error {
	if !(rate > 0 && rate <= 1e9) {
		return fmt.Errorf("%s %v is not above zero and at most 1e9 a second", what, rate)
	}
	return nil
}
