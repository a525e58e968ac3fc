package picker

import (
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// What the policies with inner ones explain is what they choose by: the lowest score is the pick,
// whichever group the draw falls to, and whoever was tried.
func TestContainersExplainTheirPicks(t *testing.T) {
	var bs []*lb.Backend
	for i := range 12 {
		bs = append(bs, lbtest.Backend(lb.Spec{ID: id(i), Labels: map[string]string{
			"zone": string("abb"[i%3]), "region": "a", "priority": string("01"[i/8]),
		}}, lb.Load{InFlight: int64(7 * i % 12)}))
	}
	for inside, inner := range containers(LeastLoaded) {
		for outside, policy := range containers(inner) {
			// Half of tier 0 is down, and zone b has most of the room.
			set := lbtest.Set(bs[0], bs[3], bs[6], bs[7], bs[8], bs[9], bs[10], bs[11])
			set.Others = []*lb.Backend{bs[1], bs[2], bs[4], bs[5]}
			p, s := policy(set), seeded(1)
			for n := range len(bs) {
				for range 50 {
					info := s.info().WithTried(bs[:n]...)
					scores := p.(interface {
						Explain(lb.PickInfo) []lb.Score
					}).Explain(info)
					if b := p.Pick(info); len(scores) == 0 || scores[0].Backend != b {
						t.Fatalf("%s of %s, %d tried: picked %s, explained %v", outside, inside, n, b.ID(), scores)
					}
				}
			}
		}
	}
}

// Who has no reasons gives none, and a request that leaves its subset is not reasoned about.
func TestContainersExplainNothing(t *testing.T) {
	mute := func(set lb.Set) lb.Picker { return lb.PickFunc(Random(set).Pick) }
	bs := crowd(3)
	for name, policy := range containers(mute) {
		if scores := policy(lbtest.Set(bs...)).(interface {
			Explain(lb.PickInfo) []lb.Score
		}).Explain(lb.PickInfo{}); scores != nil {
			t.Errorf("%s: %v", name, scores)
		}
	}
	one := lb.Must(Subset(SubsetConfig{Inner: LeastLoaded, Size: 1, Salt: "x"}))(lbtest.Set(bs...)).(*subset)
	if scores := one.Explain(lb.PickInfo{}.WithTried(one.members[0])); scores != nil {
		t.Errorf("Subset: %v", scores)
	}
}
