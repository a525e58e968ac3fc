package fleet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// Words, as they may be said of a backend, and found here.
func wellWord() word { return word{success: ago(time.Second), results: 100} }
func failWord(n int) word {
	return word{row: n, began: ago(2 * time.Second), last: ago(time.Second), results: n, failures: n}
}
func outWord(s standing) word { w := failWord(5); w.standing = s; return w }

// court is a bench of so many backends and other instances, that were all heard just now.
func court(backends, others int) bench {
	b := bench{now: noon, backends: backends, fit: backends, most: max(1, backends/2), row: 5}
	for range others {
		b.heard = append(b.heard, noon)
	}
	for i := range backends {
		b.matters = append(b.matters, matter{id: fmt.Sprintf("b%03d", i), spare: true})
	}
	return b
}

// say has an instance say something of a backend.
func (b *bench) say(by, backend int, w word) {
	b.matters[backend].words = append(b.matters[backend].words, spoken{by, w})
}

func (b bench) out() (ids []string) {
	for i, v := range b.judge() {
		if v.why != stays {
			ids = append(ids, b.matters[i].id)
		}
	}
	return ids
}

func TestNobodyTalksAwayWhoServesWell(t *testing.T) {
	for liars := range 8 {
		for s := in; s < standings; s++ {
			b := court(10, 7)
			for i := range b.matters {
				b.matters[i].own = wellWord()
				for l := range liars {
					w := outWord(s)
					w.row = 1 << 20
					b.say(l, i, w)
				}
			}
			if out := b.out(); len(out) > 0 {
				t.Errorf("%d instances say %d: %v are out", liars, s, out)
			}
		}
	}
}

func TestNoMinorityEjectsWhereNothingIsKnown(t *testing.T) {
	for others := 1; others < 20; others++ {
		for liars := range others + 1 {
			b := court(10, others)
			for i := range b.matters {
				for l := range liars {
					b.say(l, i, outWord(ejected))
				}
			}
			most := 2*liars > others+1
			want := 0
			if most {
				want = 5
			}
			if out := b.out(); len(out) != want {
				t.Errorf("%d of %d others: %v are out, want %d", liars, others, out, want)
			}
		}
	}
}

// Where each backend has failed here once, liars have no more ejected than their share of the pool.
func TestLiarsHaveTheirShare(t *testing.T) {
	for _, backends := range []int{2, 3, 4, 8, 10, 16, 100, 1000} {
		for _, others := range []int{1, 2, 7, 20} {
			for liars := 1; 2*liars <= others+1 && liars <= others; liars++ {
				b := court(backends, others)
				for i := range b.matters {
					b.matters[i].own = failWord(1)
					for _, l := range rand.New(rand.NewPCG(1, uint64(i))).Perm(liars) {
						b.say(l, i, outWord(standing(1+(l+i)%5)))
					}
				}
				most := int(float64(liars*backends)/float64(others+1) + 1e-6)
				if out := b.out(); len(out) != min(most, backends/2, backends-1) {
					t.Errorf("%d liars of %d others, %d backends: %d are out, want %d", liars, others, backends, len(out), most)
				}
			}
		}
	}
}

// Where honest ones fail now and then, too, they may help a liar to round its share up, not further.
func TestLiarsAreNotHelpedMuch(t *testing.T) {
	for _, backends := range []int{4, 10, 100, 1000} {
		for liars := 1; liars <= 3; liars++ {
			b := court(backends, 7)
			for i := range b.matters {
				b.matters[i].own = failWord(1)
				for by := range 7 {
					w := failWord(1)
					if by < liars {
						w = outWord(ejected)
					}
					b.say(by, i, w)
				}
			}
			most := int(math.Ceil(float64(liars*backends)/8 - 1e-6))
			if out := b.out(); len(out) > most {
				t.Errorf("%d liars, %d backends: %d are out, want %d", liars, backends, len(out), most)
			}
			for i := range b.matters {
				b.matters[i].held = hold{why: followed, own: true, since: noon}
				for j := range b.matters[i].words {
					if w := &b.matters[i].words[j]; w.by >= liars {
						w.standing = following
					}
				}
			}
			if out := b.out(); len(out) > most {
				t.Errorf("%d liars, %d backends: %d stay out, want %d", liars, backends, len(out), most)
			}
		}
	}
}

// The same holds when they only claim to fail, and when honest ones have had successes nothing is pooled.
func TestLiarsCannotPool(t *testing.T) {
	for liars := 1; liars <= 4; liars++ {
		b, c := court(80, 7), court(80, 7)
		for i := range b.matters {
			b.matters[i].own, c.matters[i].own = failWord(1), failWord(1)
			for l := range liars {
				b.say(l, i, failWord(1000))
				c.say(l, i, failWord(1000))
			}
			c.say(6, i, word{success: ago(100 * time.Millisecond)})
		}
		if out := b.out(); len(out) > 10*liars {
			t.Errorf("%d liars pool %d backends away", liars, len(out))
		}
		if out := c.out(); len(out) > 0 {
			t.Errorf("%d liars pool %d backends away that work elsewhere", liars, len(out))
		}
	}
}

func TestOneBadBackendIsFollowed(t *testing.T) {
	b := court(10, 7)
	b.matters[3].own = failWord(1)
	b.say(5, 3, outWord(tripped))
	for i := range b.matters {
		if i != 3 {
			b.matters[i].own = wellWord()
		}
	}
	if out := b.out(); !slices.Equal(out, []string{"b003"}) {
		t.Errorf("%v are out", out)
	}
	b.matters[3].own.last = ago(11 * time.Second)
	if out := b.out(); len(out) > 0 {
		t.Error("an old failure is believed")
	}
	b.matters[3].held = hold{why: followed, own: true, since: ago(9 * time.Second)}
	if out := b.out(); len(out) != 1 {
		t.Error("what is out does not stay out")
	}
	b.matters[3].words[0].standing = trying
	if out := b.out(); len(out) != 1 {
		t.Error("it is let back while another tries it")
	}
	b.matters[3].held = hold{}
	b.matters[3].own = failWord(1)
	if out := b.out(); len(out) != 0 {
		t.Error("an ejection begins while another tries it")
	}
}

// Failures that are spread over the fleet make up a row, but not before all have spoken.
func TestFailuresArePooled(t *testing.T) {
	b := court(10, 7)
	b.matters[0].own = failWord(1)
	for l := range 4 {
		b.say(l, 0, failWord(1))
	}
	if out := b.out(); len(out) != 1 {
		t.Error("five failures of five instances do not eject")
	}
	b.heard[6] = ago(2500 * time.Millisecond)
	if out := b.out(); len(out) != 0 {
		t.Error("they eject before all have spoken")
	}
	b.heard[6] = ago(5 * time.Second)
	if out := b.out(); len(out) != 1 {
		t.Error("they wait for one that has gone")
	}
	b.row = 0
	if out := b.out(); len(out) != 0 {
		t.Error("it is switched off, and ejects")
	}
}

// Whatever is said, the cap holds, one is left that is fit, and no order matters.
func TestTheCapHoldsInEveryOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 3000 {
		b := anyCourt(rnd)
		verdicts := b.judge()
		out := 0
		for i, v := range verdicts {
			if v.why == stays {
				continue
			}
			out++
			if m := b.matters[i]; !m.spare || m.own.well(noon) || m.own.standing.out() {
				t.Fatalf("%+v is out", m)
			}
		}
		if out > 0 && (out+b.ejected > b.most || b.fit-out < 1) {
			t.Fatalf("%d of %d are out, %d by others", out, b.fit, b.ejected)
		}
		before := b.out()
		for i := range b.matters {
			w := b.matters[i].words
			rnd.Shuffle(len(w), func(x, y int) { w[x], w[y] = w[y], w[x] })
		}
		rnd.Shuffle(len(b.matters), func(x, y int) { b.matters[x], b.matters[y] = b.matters[y], b.matters[x] })
		after := b.out()
		slices.Sort(before)
		slices.Sort(after)
		if !slices.Equal(before, after) {
			t.Fatalf("%v are out, and in another order %v", before, after)
		}
	}
}

func anyCourt(rnd *rand.Rand) bench {
	b := court(1+rnd.IntN(20), rnd.IntN(12))
	b.ejected = rnd.IntN(1 + b.backends/2)
	b.fit -= b.ejected
	for i := range b.matters {
		m := &b.matters[i]
		m.spare = i >= b.ejected
		m.own = []word{{}, wellWord(), failWord(1), failWord(7), outWord(ejected)}[rnd.IntN(5)]
		if rnd.IntN(4) == 0 {
			m.held = hold{why: reason(1 + rnd.IntN(3)), own: rnd.IntN(2) == 0, since: ago(time.Duration(rnd.IntN(9)) * time.Second), until: noon.Add(time.Second)}
		}
		m.again = rnd.IntN(20) == 0
		for l := range b.heard {
			if rnd.IntN(2) == 0 {
				b.say(l, i, []word{wellWord(), failWord(1 + rnd.IntN(9)), outWord(standing(rnd.IntN(int(standings))))}[rnd.IntN(3)])
			}
		}
	}
	return b
}
