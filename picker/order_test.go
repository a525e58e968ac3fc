package picker

import (
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// What a picker says is what it does: its first choice is its pick, the second is that of a retry.
func TestHashingPickersExplainTheirOrder(t *testing.T) {
	for name, policy := range consistent() {
		for n := 1; n <= 12; n++ {
			bs := fleet(1, mixed(n)...)
			p, d := policy(lbtest.Set(bs...)), draws(1)
			for range 50 {
				info := lb.PickInfo{Rand: d.next()}
				scores := p.(interface {
					Explain(lb.PickInfo) []lb.Score
				}).Explain(info)
				if len(scores) != min(n, explained) {
					t.Fatalf("%s of %d: %d scores", name, n, len(scores))
				}
				for i, s := range scores {
					if s.Backend != p.Pick(info) || s.Score != float64(i) || s.Why == "" {
						t.Fatalf("%s of %d: place %d is %v", name, n, i, s)
					}
					info = info.WithTried(s.Backend)
				}
			}
		}
	}
}

func TestBoundedLoadsSayWhoIsAtTheBound(t *testing.T) {
	s := serving(1, 1, 1)
	inner := Rendezvous(RendezvousConfig{Key: drawn})
	p := lb.Must(BoundedLoad(1, inner))(lbtest.Set(s.bs...)).(*bounded)
	info := lb.PickInfo{Rand: 1}
	first := p.Pick(info)
	for range 5 {
		s.enter(first)
	}
	scores := p.Explain(info)
	if len(scores) != 3 || scores[0].Backend != p.Pick(info) || scores[0].Backend == first {
		t.Fatalf("%v", scores)
	}
	if scores[1].Backend != first || !strings.Contains(scores[1].Why, "at its bound") || scores[2].Score <= scores[1].Score {
		t.Errorf("%v", scores)
	}
	if got := p.Explain(info.WithTried(s.bs...)); got != nil {
		t.Errorf("%v, though all were tried", got)
	}
	mute := lb.Must(BoundedLoad(1, Random))(lbtest.Set(s.bs...)).(*bounded)
	if got := mute.Explain(info); len(got) != 1 || got[0].Backend == first {
		t.Errorf("%v, want the one that it picks", got)
	}
}
