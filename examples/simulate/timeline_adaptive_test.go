package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/limit"
)

// stage is a load that lasts for a while.
type stage struct {
	until time.Duration
	load  float64 // in what the backend could serve in the beginning
	seats int     // requests that it serves at a time
}

// visit is a request at the backend.
type visit struct {
	came, ends time.Time
	permit     lb.Permit
}

type visits []visit

func (v visits) Len() int           { return len(v) }
func (v visits) Less(i, j int) bool { return v[i].ends.Before(v[j].ends) }
func (v visits) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }
func (v *visits) Push(x any)        { *v = append(*v, x.(visit)) }
func (v *visits) Pop() any {
	last := len(*v) - 1
	x := (*v)[last]
	*v = (*v)[:last]
	return x
}

// gate is what limit.Backends puts before a backend, or nothing.
type gate interface {
	Allow() (lb.Permit, bool)
	DoneIn(lb.Permit, lb.Outcome, time.Duration)
}

type open struct{}

func (open) Allow() (lb.Permit, bool)                    { return 0, true }
func (open) DoneIn(lb.Permit, lb.Outcome, time.Duration) {}

// crowd is a backend that serves in the order of coming, and requests that come whether they are
// served or not.
type crowd struct {
	rng     *rand.Rand
	gate    gate
	serving visits
	waiting []visit
	took    []time.Duration // by those that ended since the last look
	came    int             // since the last look
	refused int             // since the last look
}

const service = 10 * time.Millisecond // on average, exponential

func (c *crowd) fill(now time.Time, seats int) {
	for len(c.waiting) > 0 && len(c.serving) < seats {
		v := c.waiting[0]
		c.waiting = c.waiting[1:]
		v.ends = now.Add(time.Duration(float64(service) * c.rng.ExpFloat64()))
		heap.Push(&c.serving, v)
	}
}

func (c *crowd) arrive(now time.Time) {
	c.came++
	permit, ok := c.gate.Allow()
	if !ok {
		c.refused++
		return
	}
	c.waiting = append(c.waiting, visit{came: now, permit: permit})
}

func (c *crowd) depart(now time.Time) {
	v := heap.Pop(&c.serving).(visit)
	c.took = append(c.took, now.Sub(v.came))
	c.gate.DoneIn(v.permit, lb.Success, now.Sub(v.came))
}

// live goes through stages, and looks after each step.
func (c *crowd) live(stages []stage, step time.Duration, look func(time.Duration)) {
	begin := time.Now()
	next, glance := begin, begin.Add(step)
	rate := float64(stages[0].seats) / service.Seconds()
	for _, s := range stages {
		for until := begin.Add(s.until); ; {
			at := next
			if len(c.serving) > 0 && c.serving[0].ends.Before(at) {
				at = c.serving[0].ends
			}
			if glance.Before(at) {
				at = glance
			}
			if at.After(until) {
				break
			}
			time.Sleep(time.Until(at))
			switch {
			case at.Equal(glance):
				look(at.Sub(begin))
				c.took, c.came, c.refused = c.took[:0], 0, 0
				glance = glance.Add(step)
			case at.Equal(next):
				c.arrive(at)
				next = next.Add(time.Duration(c.rng.ExpFloat64() / (rate * s.load) * float64(time.Second)))
			default:
				c.depart(at)
			}
			c.fill(at, s.seats)
		}
	}
}

// adapting has the load of one backend rise above what it can serve, and then its places become fewer.
func adapting(t *testing.T) page {
	stages := []stage{{20 * time.Second, 0.5, 10}, {50 * time.Second, 2, 10}, {80 * time.Second, 0.5, 10}, {110 * time.Second, 0.75, 5}, {130 * time.Second, 0.5, 10}}
	p := page{
		title: "Adaptive concurrency", head: []string{"", "until", "limit", "p50", "p99", "refused"},
		summary: "One backend of 10 places, 10 ms a request, 1000 a second. Load 0.5; 2 from 20 s; 0.5 from 50 s; from 80 s 0.75, and 5 places; from 110 s as at first.",
		foot:    "Of the last ten seconds of each part, behind limit.Backends with its defaults, or behind nothing. Service times are exponential, and requests come whether they are served or not.",
	}
	limits := chart{title: "Requests that may be in flight", x: "time", y: "limit, and in flight", ys: linear(60, "")}
	for at := 0.0; at <= 120; at += 20 {
		limits.xs.ticks = append(limits.xs.ticks, tick{at, fmt.Sprintf("%g s", at)})
	}
	limits.xs.high = 130
	slow := chart{title: "99th percentile of latency", x: "time", y: "p99 of each second", xs: limits.xs, ys: logarithmic(0.02, 30)}
	limited := limit.NewBackends
	for _, name := range []string{"limited", "unlimited"} {
		synctest.Test(t, func(t *testing.T) {
			b := lb.Must(lb.NewPool(lb.Spec{ID: "b", URL: "http://b"})).Snapshot().At(0)
			all := lb.Must(limited(limit.AdaptiveConfig{}, nil))
			c := &crowd{rng: rand.New(rand.NewPCG(1, 7)), gate: open{}}
			if name == "limited" {
				c.gate = all.Breaker(b).(gate)
			}
			l, used, s := line{name: "limit", step: true}, line{name: "in flight"}, line{name: name}
			part := &span{}
			c.live(stages, time.Second/2, func(at time.Duration) {
				if name == "limited" {
					now := all.Limits()[0]
					l.at = append(l.at, point{at.Seconds(), float64(now.Limit)})
					used.at = append(used.at, point{at.Seconds(), float64(now.InFlight)})
					part.limit += float64(now.Limit)
				}
				part.add(c)
				if at%time.Second == 0 {
					s.at = append(s.at, point{at.Seconds(), part.quantile(part.recent, 0.99).Seconds()})
					part.recent = part.recent[:0]
				}
				i := slices.IndexFunc(stages, func(s stage) bool { return at <= s.until })
				switch stages[i].until - at {
				case 10 * time.Second:
					part = &span{}
				case 0:
					p.rows = append(p.rows, part.row(name, at))
				}
			})
			if slow.lines = append(slow.lines, s); name == "limited" {
				limits.lines = append(limits.lines, l, used)
			}
		})
	}
	p.names = []string{"limit", "in flight", "limited", "unlimited"}
	p.charts = []chart{limits, slow}
	return p
}

// span is what happened in a time.
type span struct {
	took, recent  []time.Duration
	looks         int
	limit         float64 // sum over looks
	came, refused int
}

func (s *span) add(c *crowd) {
	s.took, s.recent = append(s.took, c.took...), append(s.recent, c.took...)
	s.looks, s.came, s.refused = s.looks+1, s.came+c.came, s.refused+c.refused
}

func (s *span) quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))]
}

func (s *span) row(name string, at time.Duration) []string {
	bound := "-"
	if s.limit > 0 {
		bound = fmt.Sprintf("%.1f", s.limit/float64(s.looks))
	}
	return []string{name, at.String(), bound, short(s.quantile(s.took, 0.5)), short(s.quantile(s.took, 0.99)),
		fmt.Sprintf("%.2f %%", 100*float64(s.refused)/float64(s.came))}
}
