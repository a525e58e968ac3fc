package redis

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/go-loadbalancer/lb/limit"
)

// bucket is the fleet's bucket of a client as leaseText keeps it: the model for it, in Go.
type bucket struct{ full float64 } // the microsecond at which it is full

func (b *bucket) lease(now float64, t terms, q ask) (k int32, left int64) {
	each := t.emission()
	full := min(max(b.full+float64(q.debt)*each, now+float64(q.owes.Microseconds())), now+(t.burst+t.over)*each)
	free := t.burst - (full-now)/each
	some := math.Max(1, math.Ceil(scarce*t.rate))
	k = int32(max(0, math.Floor(min(float64(q.want), free+0.001, max(some, free/2)))))
	full = math.Ceil(full + float64(k)*each)
	if q.debt+k > 0 || full-now >= t.burst*each {
		b.full = full
	}
	return k, int64(full - now)
}

// event is something that happens at a time.
type event struct {
	at time.Duration
	n  int // in this order at the same time
	do func(now time.Duration)
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// fleet is many instances that share a bucket, one client, and a network, on virtual time.
type fleet struct {
	r       *rand.Rand
	terms   terms
	shards  []shard
	bucket  bucket
	events  events
	n       int
	latency func(now time.Duration) (there, back time.Duration, ok bool)

	came     []time.Duration
	passed   []time.Duration
	by       []int // passed, by instance
	asked    []int // requests, by instance
	commands int
	outages  int // by instance
}

func newFleet(seed uint64, instances int, cfg Config) *fleet {
	f := &fleet{r: rand.New(rand.NewPCG(seed, 7)), by: make([]int, instances), asked: make([]int, instances)}
	f.terms = newTerms(cfg.withDefaults(), instances)
	f.shards = make([]shard, instances)
	for i := range f.shards {
		f.shards[i].limit, f.shards[i].at = 10, map[name]int32{}
	}
	f.latency = func(time.Duration) (there, back time.Duration, ok bool) {
		return f.upTo(time.Millisecond), f.upTo(time.Millisecond), true
	}
	return f
}

func (f *fleet) upTo(d time.Duration) time.Duration {
	return time.Duration(f.r.Int64N(int64(d)))
}

func (f *fleet) at(when time.Duration, do func(now time.Duration)) {
	heap.Push(&f.events, event{when, f.n, do})
	f.n++
}

// run lets everything happen.
func (f *fleet) run() {
	for len(f.events) > 0 {
		e := heap.Pop(&f.events).(event)
		e.do(e.at)
	}
}

// client is the one that asks.
var client = name{1, 2, 3, 4}

// request comes to instance i. It returns whether it passed, and the wait if not.
func (f *fleet) request(i int, now time.Duration) (wait time.Duration, ok bool) {
	f.asked[i]++
	f.came = append(f.came, now)
	s := &f.shards[i]
	before := s.outage()
	v, wait, q, due := s.take(client, now, &f.terms)
	if v != refused {
		f.passed = append(f.passed, now)
		f.by[i]++
	}
	if due {
		f.commands++
		f.send(s, now, q)
	}
	if !before && s.outage() {
		f.outages++
	}
	return wait, v != refused
}

// outage reports whether there was no answer for long.
func (s *shard) outage() bool { return len(s.slots) > 0 && s.slots[0].account.gone }

func (f *fleet) send(s *shard, now time.Duration, q ask) {
	there, back, ok := f.latency(now)
	if !ok {
		before := s.outage()
		defer func() {
			if !before && s.outage() {
				f.outages++
			}
		}()
		s.answer(client, now, &f.terms, q, nil, errReply, f.r.Float64())
		return
	}
	f.at(now+there, func(now time.Duration) {
		k, left := f.bucket.lease(math.Floor(now.Seconds()*1e6)+1e15, f.terms, q)
		f.at(now+back, func(now time.Duration) {
			reply := []string{fmt.Sprint(k), fmt.Sprint(left)}
			s.answer(client, now, &f.terms, q, reply, nil, f.r.Float64())
		})
	})
}

// load sends requests from one time to another, at a rate that changes by chance, to instances of
// these weights.
func (f *fleet) load(from, to time.Duration, perSecond float64, weights ...float64) {
	whole := 0.0
	for _, w := range weights {
		whole += w
	}
	for now := from; now < to; {
		now += time.Duration(f.r.ExpFloat64() / perSecond * float64(time.Second))
		x, i := f.r.Float64()*whole, 0
		for ; i < len(weights)-1 && x >= weights[i]; i++ {
			x -= weights[i]
		}
		f.at(now, func(now time.Duration) { f.request(i, now) })
	}
}

// most is by how much more passed in any window of T seconds than Burst + Rate * T.
func (f *fleet) most() (over float64) {
	level, last := 0.0, time.Duration(0)
	over = -f.terms.burst
	for _, at := range f.passed {
		level = max(0, level-f.terms.rate*(at-last).Seconds()) + 1
		last = at
		over = max(over, level-f.terms.burst)
	}
	return over
}

// overshoot is what the package's comment says is the most.
func (t terms) overshoot() float64 { return t.over + t.rate*(valid+t.patience).Seconds() }

// ideal is how many of the same requests would have passed through one bucket for all.
func (f *fleet) ideal() (n float64) {
	tokens, last := f.terms.burst, time.Duration(0)
	for _, at := range f.came {
		tokens, last = min(f.terms.burst, tokens+f.terms.rate*(at-last).Seconds()), at
		if tokens >= 1 {
			tokens--
			n++
		}
	}
	return n
}

// between counts what passed from one time to another.
func (f *fleet) between(from, to time.Duration) (n int) {
	for _, at := range f.passed {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

func per(rate float64, burst int) Config {
	return Config{Limit: limit.Config{Rate: rate, Burst: burst}, Timeout: defaultTimeout}
}
