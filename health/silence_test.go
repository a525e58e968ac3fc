package health

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// crowd is requests that wait, as somebody sees them who looks at each of them.
type crowd struct {
	tally  lb.Tally
	begun  []int // at which look each of those that wait was begun, in order
	answer int   // at which look the last answer was seen
}

func (c *crowd) begin(n, look int) {
	for range n {
		c.begun = append(c.begun, look)
		c.tally.Begun++
	}
}

func (c *crowd) end(i int, answered bool, look int) {
	c.begun = slices.Delete(c.begun, i, i+1)
	c.tally.Ended++
	if answered {
		c.tally.Answers++
		c.answer = look
	}
}

// waiting returns how many have waited for that many looks.
func (c *crowd) waiting(looks, now int) (n int) {
	for _, begun := range c.begun {
		if now-begun >= looks {
			n++
		}
	}
	return n
}

// A silence is never longer than so many requests have waited without a word; when nothing happens, it
// is as long. Whatever ends in whatever order, and however often the counts wrap around.
func TestSilence(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	longest := 0
	for round := range 3000 {
		c, least := crowd{answer: -1}, 1+rng.IntN(4)
		at := rng.Uint32()
		c.tally = lb.Tally{Begun: at, Ended: at, Answers: ^uint32(rng.IntN(3))}
		s := silence{}.add(c.tally, least)
		calm := rng.IntN(3) == 0
		for look := 1; look < 60; look++ {
			s = s.add(c.tally, least)
			// What began since the last look was there at this one.
			if s.looks > 0 && (c.waiting(s.looks, look-1) < least || look-c.answer <= s.looks) {
				t.Fatalf("round %d, look %d: a silence of %d looks: %+v", round, look, s.looks, c)
			}
			longest = max(longest, s.looks)
			c.begin(rng.IntN(4), look)
			for n := rng.IntN(4); n > 0 && len(c.begun) > 0 && !(calm && look > 20); n-- {
				c.end(rng.IntN(len(c.begun)), rng.IntN(8) == 0, look)
			}
		}
		if old := c.waiting(30, 60); calm && old >= least && s.looks < 30 {
			t.Fatalf("round %d: %d wait for 30 looks, the silence is %d", round, old, s.looks)
		}
	}
	if longest < 30 {
		t.Errorf("the longest was %d looks", longest)
	}
}

// As many as it takes are enough, one less is not, and the first look counts for nothing.
func TestSilenceOfFew(t *testing.T) {
	for n := range uint32(6) {
		s := silence{}
		for look := range 10 {
			s = s.add(lb.Tally{Begun: n}, 3)
			if want := max(0, look) * int(min(1, n/3)); s.looks != want {
				t.Errorf("%d wait: look %d makes %d, want %d", n, look+1, s.looks, want)
			}
		}
	}
}
