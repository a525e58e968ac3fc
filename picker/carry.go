package picker

import (
	"slices"

	"github.com/go-loadbalancer/lb"
)

// owed returns how many turns r is behind with each member, or nil if there was none yet.
func (r *rotation) owed() []float64 {
	at, begun := r.at()
	if !begun {
		return nil
	}
	debt := r.debts(at)
	for i, d := range r.owing {
		debt[i] += d
	}
	if r.rests != nil {
		r.rests.debts(debt, r.rests.share(len(debt)))
	}
	return debt
}

// debts returns each member's share of the first n turns of a cycle, less those it gets, and its
// share of the spare ones.
func (r *rotation) debts(n int) []float64 {
	debt, total, spares := make([]float64, len(r.members)), sum(r.members), 0
	each := float64(n) / total
	for i, c := range r.members {
		debt[i] = each * c.Weight
	}
	for _, i := range r.order[:n] {
		if i == spare {
			spares++
			continue
		}
		debt[i]--
	}
	if spares > 0 {
		for i, x := range r.rests.share(len(debt)) {
			debt[i] -= float64(spares) * x
		}
	}
	return debt
}

// nearest returns the position in r's cycle where what it owes comes closest to a debt, by the
// sum of squares. It takes time in the length of the cycle.
func (r *rotation) nearest(debt []float64) int {
	d := r.distances(debt)
	at, least := 0, 0.0
	for t, i := range r.order[:len(r.order)-1] {
		if d.turn(i); d.sum < least-1e-9 {
			at, least = t+1, d.sum
		}
	}
	return at
}

// distances are the squares of gaps between what a position in a cycle owes and a debt: gap =
// start + turns x share - spares x extra.
type distances struct {
	share, extra, start     []float64
	turns, spares           float64
	sum                     float64 // of squares, from that at the cycle's start
	slope, lift             float64 // sums of share x gap and of extra x gap
	shares, extras, between float64 // sums of share squared, extra squared, and share x extra
}

func (r *rotation) distances(debt []float64) *distances {
	n, total := len(r.members), sum(r.members)
	d := &distances{share: make([]float64, n), extra: make([]float64, n), start: make([]float64, n)}
	if r.rests != nil {
		d.extra = r.rests.share(n)
	}
	for i, c := range r.members {
		d.share[i], d.start[i] = c.Weight/total, -debt[i]
		d.slope += d.share[i] * d.start[i]
		d.lift += d.extra[i] * d.start[i]
		d.shares += d.share[i] * d.share[i]
		d.extras += d.extra[i] * d.extra[i]
		d.between += d.share[i] * d.extra[i]
	}
	return d
}

// turn lets all gaps grow by their share, and then that of the one whose turn it is shrink by one,
// or all by their shares of a spare one.
func (d *distances) turn(i int32) {
	d.turns++
	d.sum += 2*d.slope + d.shares
	d.slope += d.shares
	d.lift += d.between
	if i == spare {
		d.spares++
		d.sum += d.extras - 2*d.lift
		d.slope -= d.between
		d.lift -= d.extras
		return
	}
	d.sum += 1 - 2*(d.start[i]+d.turns*d.share[i]-d.spares*d.extra[i])
	d.slope -= d.share[i]
	d.lift -= d.extra[i]
	d.start[i]--
}

// carry returns what is owed to the members of a successor. What was owed to those who left is
// spread over all by weight. Both are sorted by ID.
func carry(old []lb.Candidate, owed []float64, members []lb.Candidate) []float64 {
	debt, surplus, k := make([]float64, len(members)), 0.0, 0
	for i, c := range members {
		for k < len(old) && old[k].Backend != c.Backend && old[k].ID() < c.ID() {
			k++
		}
		if k < len(old) && same(old[k], c) {
			debt[i] = owed[k]
			surplus += debt[i]
		}
	}
	total := sum(members)
	for i, c := range members {
		debt[i] -= surplus * c.Weight / total
	}
	return debt
}

// alike reports whether both are the same backends with the same weights.
func alike(a, b []lb.Candidate) bool {
	return slices.EqualFunc(a, b, func(a, b lb.Candidate) bool {
		return a.Weight == b.Weight && same(a, b)
	})
}

// same reports whether both are the same backend, perhaps from different snapshots. Most are from the
// same one, or did not change in between: then nothing of them is read.
func same(a, b lb.Candidate) bool { return a.Backend == b.Backend || a.ID() == b.ID() }
