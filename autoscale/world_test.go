package autoscale

import (
	"math"
	"math/rand/v2"
	"time"
)

// world is a pool on virtual time: Poisson arrivals, backends with slots whose requests take an
// exponential time, one queue for what finds no slot, and a time to start a backend.
type world struct {
	rate     func(t float64) float64 // arrivals per second at a second
	slots    float64                 // of one backend
	service  float64                 // seconds that a request takes
	startup  float64                 // seconds that a backend takes to start
	patience float64                 // seconds until a waiting client leaves; 0: never
	first    int                     // backends at the beginning
	length   float64                 // seconds
	broken   func(t float64) bool    // every request fails at once; nil: never
	slower   func(t float64) float64 // how many times as long a request takes; nil: once
	unfit    bool                    // and then backends are unfit
}

// step is the time that the simulation advances by.
const step = 0.1

// run is what became of a world.
type run struct {
	paid, overload float64 // backend-seconds, and seconds in which something waited
	moves          []simMove
	sizes          []int // at every tick
	wants          []int
	ticks          []float64
}

// simMove is a change of the number of backends.
type simMove struct {
	at    float64
	by    int
	panic bool // in one
}

// play lets a plan run a world.
func (w world) play(cfg Config, seed uint64) (r run) {
	cfg = cfg.defaults()
	random := rand.New(rand.NewPCG(seed, 10))
	begin := time.Unix(1e9, 0)
	at := func(t float64) time.Time { return begin.Add(time.Duration(math.Round(t*10)) * 100 * time.Millisecond) }
	plan, _ := cfg.Plan.Next(Load{Now: at(0), Moved: at(0), Backends: w.first, Fit: w.first})
	ready, inside, tick := w.first, 0.0, cfg.Interval.Seconds()
	var starting []float64 // when they are ready
	var l Load
	moved := 0.0
	for i := 1; float64(i)*step <= w.length; i++ {
		t := float64(i) * step
		for len(starting) > 0 && starting[0] <= t {
			ready, starting, moved = ready+1, starting[1:], t
		}
		broken := w.broken != nil && w.broken(t)
		came := poisson(random, w.rate(t)*step)
		service := w.service
		if w.slower != nil {
			service *= w.slower(t)
		}
		done := served(random, min(inside, float64(ready)*w.slots), step/service)
		l.Begun += int64(came)
		if broken {
			l.Failed += int64(came + inside)
			l.Ended += int64(came + inside)
			inside = 0
		} else {
			inside += came - done
			l.Requests += int64(done)
			l.Ended += int64(done)
			if most := float64(ready) * w.slots * (1 + w.patience/w.service); w.patience > 0 && inside > most {
				l.Failed += int64(inside - most)
				l.Ended += int64(inside - most)
				inside = most
			}
		}
		l.Concurrency += inside * step / tick
		if inside > float64(ready)*w.slots {
			r.overload += step
		}
		n := ready + len(starting)
		r.paid += float64(n) * step
		if math.Mod(t+step/2, tick) >= step {
			continue
		}
		l.Now, l.Moved, l.Interval = at(t), at(moved), cfg.Interval
		l.Backends, l.Starting, l.Fit, l.InFlight = n, len(starting), ready, int64(inside)
		if broken && w.unfit {
			l.Fit = 0
		}
		var want int
		plan, want = plan.Next(l)
		r.ticks, r.wants, r.sizes = append(r.ticks, t), append(r.wants, want), append(r.sizes, n)
		if want != n {
			r.moves, moved = append(r.moves, simMove{at: t, by: want - n, panic: panics(plan, l.Now)}), t
		}
		for range want - n {
			starting = append(starting, t+w.startup)
		}
		for range n - want { // what is starting goes first
			if len(starting) > 0 {
				starting = starting[:len(starting)-1]
			} else {
				ready--
			}
		}
		l = Load{}
	}
	return r
}

// panics reports whether a plan is in a panic.
func panics(p Plan, now time.Time) bool {
	switch p := p.(type) {
	case bounded:
		return panics(p.Plan, now)
	case mutant:
		return panics(p.Plan, now)
	case tracking:
		return p.panics(now)
	}
	return false
}

// needed is how many backends a rate needs.
func (w world) needed(rate float64) int {
	return max(1, int(math.Ceil(rate*w.service/(w.slots*0.7)-1e-9)))
}

// oracle is what somebody pays who knows the rate: at each time, what is needed now or within the
// time that a start takes.
func (w world) oracle() (paid float64) {
	for t := 0.0; t < w.length; t++ {
		most := 0.0
		for ahead := 0.0; ahead <= w.startup; ahead++ {
			most = max(most, w.rate(t+ahead))
		}
		paid += float64(w.needed(most))
	}
	return paid
}

// poisson draws a number of arrivals: exactly if few are expected, else by the normal law.
func poisson(random *rand.Rand, mean float64) float64 {
	if mean > 30 {
		return max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64()))
	}
	n, p, stop := 0.0, random.Float64(), math.Exp(-mean)
	for ; p > stop; n++ {
		p *= random.Float64()
	}
	return n
}

// served draws how many of n end, each with probability p, in the same way.
func served(random *rand.Rand, n, p float64) (ended float64) {
	if n > 30 {
		return min(n, max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*random.NormFloat64())))
	}
	for range int(n) {
		if random.Float64() < p {
			ended++
		}
	}
	return ended
}
