package picker

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// What a Prequal says it would pick it picks.
func TestPrequalExplains(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	for range 300 {
		s := survey(quiet, 32)
		for range 4 + rng.IntN(40) {
			s.hear(rng.IntN(32), rng.Int64N(6), time.Duration(1+rng.Int64N(1e9)))
		}
		if len(s.pool) < 2 {
			continue
		}
		info := s.info()
		scores := s.picker.Explain(info)
		if len(scores) != 32 || scores[31].Why == "" {
			t.Fatalf("%d scores of 32: %+v", len(scores), scores[len(scores)-1])
		}
		if got := s.picker.Pick(info); got != scores[0].Backend {
			t.Fatalf("picked %s, explained %s: %s", got.ID(), scores[0].Backend.ID(), scores[0].Why)
		}
	}
	few := survey(quiet, 2)
	few.hear(0, 7, 1)
	few.hear(1, 3, 1)
	if s := few.picker.Explain(few.info()); s[0].Backend != few.pick() || !strings.Contains(s[0].Why, "as it says") {
		t.Errorf("%+v", s)
	}
	if s := few.picker.Explain(few.info().WithTried(few.bs[1])); s[0].Backend != few.bs[0] {
		t.Errorf("%+v", s)
	}
}

func TestWeightedByLoadExplains(t *testing.T) {
	bs := named(ones(4)...)
	p := telling(WeightedByLoadConfig{Blackout: -1}, bs...)
	p.shares(1)
	p.say(bs[2], 100, 0.5)
	p.say(bs[1], 100, 1)
	p.now = p.now.Add(time.Second)
	p.shares(1)
	for _, info := range []lb.PickInfo{{Now: p.now}, lb.PickInfo{Now: p.now}.WithTried(bs[0])} {
		scores := p.Explain(info)
		if scores[0].Backend != bs[2] || math.Abs(scores[0].Score+1.0/3) > 1e-9 || !strings.Contains(scores[0].Why, "200") {
			t.Errorf("%+v", scores)
		}
	}
	if scores := p.Explain(lb.PickInfo{Now: p.now}); scores[3].Backend != bs[1] || !strings.Contains(scores[1].Why, "mean") {
		t.Errorf("%+v", scores)
	}
}
