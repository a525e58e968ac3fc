package limit

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A model of one backend behind a limit: a number of places, a line before them, requests that come
// as they like, whether they are served or not (open loop), on virtual time.

// subject is a limit that is tried.
type subject interface {
	allow(reserved int) (done func(), ok bool)
	limit() int
}

// ours is the limit of this package.
type ours struct{ *places }

func (o ours) allow(reserved int) (func(), bool) {
	if !o.enter(reserved) {
		return nil, false
	}
	start := time.Now()
	return func() {
		now := time.Now()
		o.leave()
		o.learn(now, now.Sub(start))
	}, true
}

func (o ours) limit() int { return int(o.places.limit.Load()) }

// phase is a time in which nothing changes.
type phase struct {
	name    string
	long    time.Duration
	load    float64 // offered, in what the backend can serve
	places  int
	service time.Duration
	spread  float64 // of the service time: 0 constant, 1 exponential, 2 one in ten takes 50 times as long
	minor   float64 // share of requests that leave a tenth of the limit to others
}

// figures are what came of a phase's second half, but for most.
type figures struct {
	limit, spread float64       // mean and standard deviation of the limit
	low, high     int           // least and most of it
	good          float64       // served per second, of what could have been
	refused       float64       // share of all, in the whole phase
	important     float64       // share of those that are not minor that were refused
	median, p99   float64       // time taken, in mean service times
	within        time.Duration // until the limit was first within a quarter of its mean in the second half
}

// backend is where requests are served in order.
type backend struct {
	rng     *rand.Rand
	phase   phase
	serving finishes
	line    []*visit
}

type visit struct {
	came, ends time.Time
	done       func()
}

type finishes []*visit

func (f finishes) Len() int           { return len(f) }
func (f finishes) Less(i, j int) bool { return f[i].ends.Before(f[j].ends) }
func (f finishes) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *finishes) Push(x any)        { *f = append(*f, x.(*visit)) }
func (f *finishes) Pop() any {
	last := len(*f) - 1
	v := (*f)[last]
	*f = (*f)[:last]
	return v
}

// draw is one service time.
func (b *backend) draw() time.Duration {
	s := float64(b.phase.service)
	switch b.phase.spread {
	case 1:
		s *= b.rng.ExpFloat64()
	case 2:
		if s /= 5.9; b.rng.IntN(10) == 0 {
			s *= 50
		}
	}
	return max(time.Microsecond, time.Duration(s))
}

// fill lets waiting requests begin.
func (b *backend) fill(now time.Time) {
	for len(b.line) > 0 && len(b.serving) < b.phase.places {
		v := b.line[0]
		b.line = b.line[1:]
		v.ends = now.Add(b.draw())
		heap.Push(&b.serving, v)
	}
}

// try runs phases one after the other, in a bubble.
func try(s subject, seed uint64, phases ...phase) (all []figures) {
	b := &backend{rng: rand.New(rand.NewPCG(seed, 7))}
	for _, p := range phases {
		b.phase = p
		all = append(all, b.live(s))
	}
	return all
}

// live runs one phase.
func (b *backend) live(s subject) (f figures) {
	p := b.phase
	begin := time.Now()
	end, half := begin.Add(p.long), begin.Add(p.long/2)
	gap := float64(p.service) / float64(p.places) / p.load
	next, look := begin, begin
	var limits, early []float64
	var took []float64
	var came, refused [2]float64 // important and minor ones
	served := 0
	b.fill(begin)
	for {
		at := next
		if look.Before(at) {
			at = look
		}
		if len(b.serving) > 0 && b.serving[0].ends.Before(at) {
			at = b.serving[0].ends
		}
		if !at.Before(end) {
			break
		}
		time.Sleep(time.Until(at))
		switch {
		case len(b.serving) > 0 && !b.serving[0].ends.After(at):
			v := heap.Pop(&b.serving).(*visit)
			v.done()
			if at.After(half) {
				served++
				took = append(took, float64(at.Sub(v.came))/float64(p.service))
			}
			b.fill(at)
		case look.Equal(at):
			early = append(early, float64(s.limit()))
			if at.After(half) {
				limits = append(limits, float64(s.limit()))
			}
			look = look.Add(20 * time.Millisecond)
		default:
			minor := 0
			if p.minor > 0 && b.rng.Float64() < p.minor {
				minor = 1
			}
			came[minor]++
			if done, ok := s.allow(minor); ok {
				b.line = append(b.line, &visit{came: at, done: done})
				b.fill(at)
			} else {
				refused[minor]++
			}
			next = next.Add(time.Duration(gap * b.rng.ExpFloat64()))
		}
	}
	f.sum(limits, early, took)
	f.refused = (refused[0] + refused[1]) / (came[0] + came[1])
	f.important = refused[0] / math.Max(1, came[0])
	f.good = float64(served) / (p.long / 2).Seconds() / (math.Min(1, p.load) * float64(p.places) / p.service.Seconds())
	return f
}

func (f *figures) sum(limits, early, took []float64) {
	for _, l := range limits {
		f.limit += l / float64(len(limits))
	}
	for _, l := range limits {
		f.spread += (l - f.limit) * (l - f.limit) / float64(len(limits))
	}
	f.spread = math.Sqrt(f.spread)
	f.low, f.high = int(slices.Min(early)), int(slices.Max(early))
	for i, l := range early {
		if math.Abs(l-f.limit) <= f.limit/4 {
			f.within = time.Duration(i) * 20 * time.Millisecond
			break
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		f.median, f.p99 = took[n/2], took[n*99/100]
	}
}

var scenarios = map[string][]phase{
	"steps": {
		{"half", 20 * time.Second, 0.5, 10, 10 * time.Millisecond, 1, 0},
		{"double", 20 * time.Second, 2, 10, 10 * time.Millisecond, 1, 0},
		{"half", 20 * time.Second, 0.5, 10, 10 * time.Millisecond, 1, 0},
		{"fourfold", 60 * time.Second, 4, 10, 10 * time.Millisecond, 1, 0},
	},
	"large": {
		{"half", 20 * time.Second, 0.5, 200, 20 * time.Millisecond, 1, 0},
		{"double", 20 * time.Second, 2, 200, 20 * time.Millisecond, 1, 0},
		{"nearly", 20 * time.Second, 0.9, 200, 20 * time.Millisecond, 1, 0},
	},
	"small": {
		{"half", 30 * time.Second, 0.5, 1, 5 * time.Millisecond, 1, 0},
		{"nearly", 30 * time.Second, 0.8, 1, 5 * time.Millisecond, 1, 0},
		{"double", 60 * time.Second, 2, 1, 5 * time.Millisecond, 1, 0},
	},
	"slower": {
		{"well", 20 * time.Second, 0.8, 20, 10 * time.Millisecond, 1, 0},
		{"five times", 30 * time.Second, 4, 20, 50 * time.Millisecond, 1, 0},
		{"well", 30 * time.Second, 0.8, 20, 10 * time.Millisecond, 1, 0},
	},
	"other requests": { // they take ten times as long and need no more of the backend
		{"short", 20 * time.Second, 0.3, 100, 10 * time.Millisecond, 1, 0},
		{"long", 40 * time.Second, 0.3, 1000, 100 * time.Millisecond, 1, 0},
	},
	"half is gone": {
		{"whole", 20 * time.Second, 0.8, 40, 20 * time.Millisecond, 1, 0},
		{"half", 20 * time.Second, 1.6, 20, 20 * time.Millisecond, 1, 0},
		{"whole", 20 * time.Second, 0.8, 40, 20 * time.Millisecond, 1, 0},
	},
	"mixed": {
		{"half", 20 * time.Second, 0.5, 20, 20 * time.Millisecond, 2, 0},
		{"double", 40 * time.Second, 2, 20, 20 * time.Millisecond, 2, 0},
	},
	"slow requests": {
		{"half", 60 * time.Second, 0.5, 40, 2 * time.Second, 1, 0},
		{"double", 120 * time.Second, 2, 40, 2 * time.Second, 1, 0},
	},
}

// TestFigures prints what docs/operations.md shows.
func TestFigures(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("for -v")
	}
	compare(t, func() subject { return ours{newPlaces(AdaptiveConfig{}.withDefaults())} })
}

func compare(t *testing.T, fresh func() subject) {
	for _, name := range sorted(scenarios) {
		synctest.Test(t, func(t *testing.T) {
			for i, f := range try(fresh(), 1, scenarios[name]...) {
				p := scenarios[name][i]
				t.Logf("%-14s %-10s places %4d load %.1f: limit %6.1f ±%5.1f (%d to %d, near after %v), good %.3f refused %.3f (%.4f) median %.2f p99 %.2f",
					name, p.name, p.places, p.load, f.limit, f.spread, f.low, f.high, f.within, f.good, f.refused, f.important, f.median, f.p99)
			}
		})
	}
}

func sorted(m map[string][]phase) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
