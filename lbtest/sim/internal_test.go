package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Whatever was pushed comes out by time, and by plan where times are equal.
func TestAgendaIsInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for range 200 {
		var h agenda
		var want, got []event
		for seq := range uint64(r.IntN(200)) {
			e := event{at: r.Uint64N(20), seq: seq}
			h.push(e)
			want = append(want, e)
			if r.IntN(4) == 0 && len(want) > 0 {
				i := 0
				for k := range want {
					if want[k].before(&want[i]) {
						i = k
					}
				}
				if e := h.pop(); e != want[i] {
					t.Fatalf("popped %v, want %v", e, want[i])
				}
				want = slices.Delete(want, i, i+1)
			}
		}
		for len(h) > 0 {
			got = append(got, h.pop())
		}
		slices.SortFunc(want, func(a, b event) int {
			if a.before(&b) {
				return -1
			}
			return 1
		})
		if !slices.Equal(got, want) {
			t.Fatalf("popped %v, want %v", got, want)
		}
	}
}

func TestLaneIsAQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	var l lane
	in, out := uint64(0), uint64(0)
	for range 10_000 {
		if r.IntN(5) < 3 || l.size == 0 {
			l.push(event{seq: in})
			in++
			continue
		}
		if head := l.head().seq; head != out {
			t.Fatalf("head is %d, want %d", head, out)
		}
		if got := l.pop().seq; got != out {
			t.Fatalf("popped %d, want %d", got, out)
		}
		out++
	}
}

func TestDueKnowsTheFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for _, n := range []int{1, 2, 5, 40} {
		d := newDue(n)
		for range 5000 {
			at := r.Uint64N(100)
			if r.IntN(3) == 0 {
				at = never
			}
			d.set(int32(r.IntN(n)), at)
			if _, first := d.first(); first != slices.Min(d.at) {
				t.Fatalf("of %d: first at %d, want %d", n, first, slices.Min(d.at))
			}
			for b, place := range d.place {
				if d.heap[place] != int32(b) {
					t.Fatalf("of %d: backend %d is not at its place", n, b)
				}
			}
		}
	}
}

func TestSlabLendsEachThingOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	var s slab[int]
	var lent []int32
	for n := range 20_000 {
		if r.IntN(5) < 3 || len(lent) == 0 {
			i := s.take()
			if slices.Contains(lent[max(0, len(lent)-50):], i) {
				t.Fatalf("%d was lent twice", i)
			}
			*s.at(i) = n
			lent = append(lent, i)
			continue
		}
		k := r.IntN(len(lent))
		s.give(lent[k])
		lent = slices.Delete(lent, k, k+1)
	}
	slices.Sort(lent)
	if len(slices.Compact(lent)) != s.lent {
		t.Errorf("%d different ones are lent, it counts %d", len(lent), s.lent)
	}
}

// A backend's requests are ready in the order of their work, also when some are taken away.
func TestJobsAreAHeap(t *testing.T) {
	c := quick()
	c.Discipline = Sharing
	w, err := newWorld(c)
	if err != nil {
		t.Fatal(err)
	}
	s, r := &w.stations[0], rand.New(rand.NewPCG(6, 0))
	var there []int32
	for range 20_000 {
		if r.IntN(2) == 0 || len(there) == 0 {
			ref := w.tries.take()
			w.tries.at(ref).work = float64(r.IntN(1000))
			s.start(w, ref)
			there = append(there, ref)
		} else {
			k := r.IntN(len(there))
			s.drop(w, w.tries.at(there[k]).place)
			there = slices.Delete(there, k, k+1)
		}
		for i, j := range s.jobs {
			if j.ready < s.jobs[max(0, i-1)/2].ready || w.tries.at(j.ref).place != int32(i) {
				t.Fatalf("job %d of %d is out of order", i, len(s.jobs))
			}
		}
		if len(s.jobs) != len(there) {
			t.Fatalf("%d jobs, want %d", len(s.jobs), len(there))
		}
		if len(there) > 60 {
			for _, ref := range there {
				s.drop(w, w.tries.at(ref).place)
			}
			there = there[:0]
		}
	}
}

// Quantiles are exact as long as all are kept, and within a thousandth after that.
func TestDurationsAreExactThenClose(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	exact, rough := new(Durations), &Durations{counts: make([]int64, bucket(math.MaxUint64)+1)}
	var all []uint64
	for range 9973 {
		v := uint64(math.Exp(r.Float64() * 40))
		all = append(all, v)
		exact.add(v)
		rough.add(v)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := float64(all[max(1, int(math.Ceil(q*9973)))-1])
		if got := float64(exact.Quantile(q)); got != want {
			t.Errorf("exact quantile %v: %v, want %v", q, got, want)
		}
		if got := float64(rough.Quantile(q)); got < want || got > want*1.001+1 {
			t.Errorf("rough quantile %v: %v, want %v", q, got, want)
		}
	}
	if exact.Mean() != rough.Mean() || exact.Max() != rough.Max() || exact.Count() != 9973 {
		t.Error("mean, maximum or count differ")
	}
	if empty := new(Durations); empty.Quantile(0.5) != 0 || empty.Mean() != 0 {
		t.Error("nothing has a quantile or mean")
	}
}

func TestDurationsSpillOver(t *testing.T) {
	d := &Durations{kept: make([]uint64, exactly-1)}
	d.n = exactly - 1
	for range 3 {
		d.add(1000)
	}
	if d.kept != nil || d.Count() != exactly+2 || d.Quantile(0.9) != 0 || d.Quantile(1) != 1000 {
		t.Errorf("after the spill: %d kept, %d counted, %v, %v", len(d.kept), d.Count(), d.Quantile(0.9), d.Quantile(1))
	}
}

func TestBucketsFollowEachOther(t *testing.T) {
	for i := range bucket(math.MaxUint64) {
		if from := floor(i); bucket(from) != i || bucket(floor(i+1)-1) != i || floor(i+1) <= from {
			t.Fatalf("bucket %d is from %d, which is in bucket %d", i, from, bucket(from))
		}
	}
}

func TestLevels(t *testing.T) {
	var l Levels
	l.add(0, 500)
	l.add(3, 300)
	l.add(1, 200)
	if l.Mean() != 1.1 || l.Quantile(0.5) != 0 || l.Quantile(0.7) != 1 || l.Quantile(0.71) != 3 || l.Max() != 3 {
		t.Errorf("mean %v, quantiles %d %d %d, most %d", l.Mean(), l.Quantile(0.5), l.Quantile(0.7), l.Quantile(0.71), l.Max())
	}
	if l.AtLeast(0) != 1 || l.AtLeast(1) != 0.5 || l.AtLeast(4) != 0 {
		t.Errorf("at least 0, 1, 4: %v %v %v", l.AtLeast(0), l.AtLeast(1), l.AtLeast(4))
	}
	if empty := new(Levels); empty.Mean() != 0 || empty.Quantile(0.9) != 0 || empty.AtLeast(0) != 0 {
		t.Error("nothing has a level")
	}
}

func first(set lb.Set) lb.Picker {
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return set.Eligible[0].Backend })
}

func quick() Config {
	return Config{
		Clients: 2, Policy: func(int) lb.Policy { return first }, Backends: Fleet(2, Backend{}), Arrivals: Poisson(50),
		Work: Exponential(10 * time.Millisecond), Duration: 10 * time.Second,
	}
}

// A request that is counted in and never out is found, wherever that is.
func TestLeaksAreReported(t *testing.T) {
	for what, leak := range map[string]func(*world){
		`client 1 ends with 1 in flight on backend "b0001"`: func(w *world) { w.clients[1].loads[1].Enter(0) },
		`client 0 ends with -1 in flight`:                   func(w *world) { w.clients[0].loads[1].Leave() },
		`backend "b0001" ends with 1 in flight`:             func(w *world) { w.count(&w.stations[1], 1) },
		`1 attempts and 0 requests have not ended`:          func(w *world) { w.tries.take() },
	} {
		var w *world
		c := quick()
		c.Changes = []Change{{At: time.Second, Edit: func(*Backend) { leak(w) }}}
		w, err := newWorld(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.run(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
	}
}

// In a steady state nothing is allocated but what the report keeps.
func TestEventsDoNotAllocate(t *testing.T) {
	c := quick()
	c.Timeout, c.Network, c.Hedge = 50*time.Millisecond, Exponential(time.Millisecond), lb.Hedge{After: time.Hour}
	c.Warmup, c.Duration = 10*time.Hour, time.Second
	c.Window = 20 * time.Hour
	w, err := newWorld(c)
	if err != nil {
		t.Fatal(err)
	}
	w.begin()
	step := func() {
		for range 1000 {
			e, _ := w.pop()
			if w.stale(&e) {
				continue
			}
			w.now = e.at
			if err := w.happen(e); err != nil {
				t.Fatal(err)
			}
		}
		w.window.took = w.window.took[:0]
	}
	for range 300 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n > 0 {
		t.Errorf("%v allocations in a thousand events", n)
	}
}
