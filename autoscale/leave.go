package autoscale

import (
	"cmp"
	"slices"

	"github.com/go-loadbalancer/lb"
)

// surplus chooses up to n of the launched backends, to go: what is unfit first, then what has the
// fewest requests in flight, and of equals the newest. Somebody fit is always left, in the pool
// and in the zone of each, which is what the label "zone" says.
func (s *Scaler) surplus(n int) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.cfg.Pool.Snapshot()
	fit, zones := 0, make(map[string]int)
	for i := range snap.Len() {
		if b := snap.At(i); b.Facts().Fit() {
			fit++
			zones[b.Label("zone")]++
		}
	}
	for _, b := range s.candidates(snap) {
		zone := b.Label("zone")
		switch {
		case len(ids) == n:
			return ids
		case !b.Facts().Fit() && fit > 0:
		case b.Facts().Fit() && zones[zone] > 1:
			fit--
			zones[zone]--
		default:
			continue
		}
		ids = append(ids, b.ID())
		s.launched = slices.DeleteFunc(s.launched, func(id string) bool { return id == b.ID() })
		s.leaving++
	}
	return ids
}

// candidates lists the launched backends, those that should go first in front. One that somebody
// drains already does not count, so that its going would change nothing.
func (s *Scaler) candidates(snap *lb.Snapshot) (all []*lb.Backend) {
	inFlight := make(map[string]int64) // read once: it moves while this sorts
	for _, id := range slices.Backward(s.launched) {
		if b := snap.Find(id); b != nil && !b.Facts().Has(lb.Draining) {
			all = append(all, b)
			inFlight[id] = b.InFlight()
			if !b.Facts().Fit() {
				inFlight[id] = -1
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *lb.Backend) int { return cmp.Compare(inFlight[a.ID()], inFlight[b.ID()]) })
	return all
}
