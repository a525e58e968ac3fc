package redis

import (
	"math"
	"time"
)

// terms are what is the same for all clients of an instance, until it sees more instances or fewer.
type terms struct {
	rate      float64       // tokens per second, of the fleet
	burst     float64       // tokens that the fleet's bucket holds
	own       float64       // tokens per second of this instance's share
	line      int32         // tokens that pass here before Redis knows: at least one
	over      float64       // tokens by which all lines may overdraw the fleet's bucket
	spacing   time.Duration // between commands for a client whose bucket is empty, on average
	patience  time.Duration // with an answer
	instances int
}

const (
	lead    = 100 * time.Millisecond // of a client's use that is asked for at a time
	valid   = 3 * lead               // for so long a lease may be used, from when it was asked for
	scarce  = 0.1                    // seconds of Rate that an ask gets at most when there is little
	outage  = time.Second            // of no answers, after which what an instance has of its own is not owed
	steepen = 4                      // an ask is at most so many times what was used since the last
)

// newTerms says what an instance may do that has seen so many, itself included.
func newTerms(cfg Config, instances int) terms {
	t := terms{rate: cfg.Limit.Rate, burst: float64(cfg.Limit.Burst), patience: cfg.Timeout, instances: instances}
	share := cfg.Share
	if share == 0 {
		share = 1 / float64(instances)
	}
	t.own = t.rate * share
	t.line = int32(min(max(1, t.burst*share), 1<<30))
	if cfg.Grant > 0 {
		t.line = int32(min(cfg.Grant, cfg.Limit.Burst))
	}
	t.over = float64(instances) * float64(t.line)
	t.spacing = min(max(seconds(t.burst/t.rate/4), time.Millisecond), lead)
	return t
}

// unpaid is how much of what is left in the fleet's bucket an instance may let pass before Redis knows:
// its part, rounded up.
func (t terms) unpaid(left float64) float64 {
	return max(0, min(left, math.Ceil(float64(t.line)*min(1, left/t.burst))))
}

// refill is how long an empty bucket takes to be full, the fleet's as well as an instance's share.
func (t terms) refill() time.Duration { return seconds(t.burst / t.rate) }

// emission is the time in which one token comes, in microseconds: Redis counts in these.
func (t terms) emission() float64 { return 1e6 / t.rate }

// seconds makes a Duration of s, the longest one if s is longer.
func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), math.MaxInt64/4))
}
