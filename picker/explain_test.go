package picker

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

type explainer interface {
	Explain(lb.PickInfo) []lb.Score
}

// explaining are the policies whose pickers explain themselves.
func explaining() []string {
	return []string{"RoundRobin", "Weighted", "WeightedRests", "LeastLoaded", "PowerOfTwo", "PowerOfThree", "PeakEWMA", "Adaptive"}
}

// Every backend has a score and a reason, the lowest first, and explaining changes no pick.
func TestExplanationsAreWholeAndChangeNothing(t *testing.T) {
	for _, name := range explaining() {
		bs := named(3, 1, 2, 5)
		p, q := policies()[name](lbtest.Set(bs...)), policies()[name](lbtest.Set(bs...))
		s := seeded(3)
		for i := range 60 {
			info := s.info()
			scores := p.(explainer).Explain(info)
			met := make(map[*lb.Backend]bool)
			for _, score := range scores {
				if math.IsNaN(score.Score) || math.IsInf(score.Score, 0) || score.Why == "" || strings.Contains(score.Why, "\n") {
					t.Fatalf("%s: %+v", name, score)
				}
				met[score.Backend] = true
			}
			if len(scores) != len(bs) || len(met) != len(bs) || !slices.IsSortedFunc(scores, lower) {
				t.Fatalf("%s: %+v", name, scores)
			}
			if a, b := p.Pick(info), q.Pick(info); a != b {
				t.Fatalf("%s: pick %d is %s with explanations, %s without", name, i, a.ID(), b.ID())
			}
		}
	}
}

// Those that do not leave it to the draw pick who has the lowest score.
func TestTheFirstChoiceIsPicked(t *testing.T) {
	for _, name := range []string{"RoundRobin", "Weighted", "WeightedRests", "LeastLoaded"} {
		bs := named(3, 1, 2, 5)
		for i, n := range []int64{4, 1, 1, 9} {
			bs[i] = lbtest.Backend(lb.Spec{ID: id(i), Weight: bs[i].Weight()}, lb.Load{InFlight: n})
		}
		p, s := policies()[name](lbtest.Set(bs...)), seeded(4)
		for i := range 60 {
			info := s.info()
			scores := p.(explainer).Explain(info)
			if got := p.Pick(info); got != scores[0].Backend {
				t.Fatalf("%s: pick %d is %s, explained as %+v", name, i, got.ID(), scores)
			}
		}
	}
}

// Of two, the one with the lower score is picked by those who compare two.
func TestOfTwoTheLowerScoreIsPicked(t *testing.T) {
	slow := lbtest.Backend(lb.Spec{ID: "slow"}, lb.Load{InFlight: 2, Latency: time.Second, ErrorRate: 0.5})
	fast := lbtest.Backend(lb.Spec{ID: "fast"}, lb.Load{InFlight: 1, Latency: 10 * time.Millisecond})
	stranger, _ := fresh("stranger")
	for _, name := range []string{"PowerOfTwo", "PeakEWMA"} {
		for _, pair := range [][]*lb.Backend{{fast, slow}, {slow, stranger}, {fast, stranger}} {
			p, info := policies()[name](lbtest.Set(pair...)), seeded(5).info()
			scores := p.(explainer).Explain(info)
			if got := p.Pick(info); got != scores[0].Backend {
				t.Errorf("%s: picked %s, explained as %+v", name, got.ID(), scores)
			}
		}
	}
}

func TestTriedBackendsAreExplainedLast(t *testing.T) {
	bs := loaded(1, 5)
	scores := LeastLoaded(lbtest.Set(bs...)).(explainer).Explain(lb.PickInfo{}.WithTried(bs[0]))
	if scores[0].Backend != bs[1] || scores[1].Why != "was tried before" {
		t.Errorf("%+v", scores)
	}
}

// Wrappers pass the question on to the picker that would choose.
func TestExplanationsComeThroughWrappers(t *testing.T) {
	a, b := located("1", "a"), located("2", "b")
	p := Prefer(zoneA, LeastLoaded)(lbtest.Set(a, b)).(explainer)
	if got := p.Explain(lb.PickInfo{}); len(got) != 1 || got[0].Backend != a {
		t.Errorf("%+v", got)
	}
	if got := p.Explain(lb.PickInfo{}.WithTried(a)); len(got) != 2 || got[0].Backend != b {
		t.Errorf("all of the zone were tried: %+v", got)
	}
	if got := Prefer(zoneA, Random)(lbtest.Set(a, b)).(explainer).Explain(lb.PickInfo{}); got != nil {
		t.Errorf("Random explains itself as %+v", got)
	}
}
