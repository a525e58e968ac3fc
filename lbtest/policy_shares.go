package lbtest

import (
	"fmt"
	"math"

	"github.com/go-loadbalancer/lb"
)

// enough is how many picks a distribution is judged by.
const enough = 2000

// chance is what a count out of n stays below, if its share is at most p, but for one case in a
// million.
func chance(n, p float64) float64 { return n*p + unlikely*math.Sqrt(n*p) }

// mixes are weights to divide picks by.
func (t Traits) mixes() [][]int {
	if t.Shares == Fair {
		return [][]int{{1}, ones(2), ones(3), ones(4), ones(10)}
	}
	return [][]int{{1}, ones(2), ones(3), {3, 2, 1}, {1, 2, 9}, {1, 40}, weightsOf(10)}
}

// expected returns how n picks would divide over a set's eligible backends, as indexes of f.
func (b *bench) expected(f fleet, set lb.Set, n float64) []float64 {
	want, total := make([]float64, len(f.backends)), 0.0
	weight := func(c lb.Candidate) float64 {
		if b.Shares == Proportional {
			return c.Weight
		}
		return 1
	}
	for _, c := range set.Eligible {
		total += weight(c)
	}
	for _, c := range set.Eligible {
		want[f.index(c.Backend)] = n * weight(c) / total
	}
	return want
}

// divide picks n times from a set and compares the shares.
func (b *bench) divide(f fleet, set lb.Set, n int, out ...int) (lb.Picker, error) {
	want := b.expected(f, set, float64(n))
	p := b.build(set)
	got, err := b.counts(p, n, f, out...)
	if err == nil {
		err = fits(got, want, b.Spread)
	}
	return p, err
}

func (b *bench) shares() error {
	for _, ws := range b.mixes() {
		f := b.fleet(ws...)
		if _, err := b.divide(f, f.set(nil), enough); err != nil {
			return fmt.Errorf("weights %v: %w", ws, err)
		}
	}
	if b.Shares != Fair {
		return nil
	}
	f := b.fleet(1, 1, 8)
	got, err := b.counts(b.build(f.set(nil)), enough, f)
	if err == nil && got[2] < max(got[0], got[1])*(1-b.Spread)-unlikely*math.Sqrt(enough) {
		err = fmt.Errorf("weights 1, 1, 8: got %.0f picks", got)
	}
	return err
}

// oneDown takes each backend out in turn, after a picker over all of them.
func (b *bench) oneDown() error {
	for _, ws := range b.mixes() {
		for down := range ws {
			if len(ws) == 1 || len(ws) > 5 {
				continue
			}
			f := b.fleet(ws...)
			all := b.build(f.set(nil))
			if _, err := b.counts(all, 7, f); err != nil {
				return err
			}
			if _, err := b.divide(f, f.set(all, down), enough, down); err != nil {
				return fmt.Errorf("weights %v, number %d down: %w", ws, down, err)
			}
		}
	}
	return nil
}

// sharesUnderChurn sums what each backend should have got, over sets that live for a few picks.
func (b *bench) sharesUnderChurn() error {
	const n = 5
	for _, ws := range [][]int{ones(n), {1, 2, 3, 4, 5}} {
		if b.Shares == Fair && ws[1] != 1 {
			continue
		}
		f, want, got := b.fleet(ws...), make([]float64, n), make([]float64, n)
		var p lb.Picker
		for range 1500 {
			f = b.again(f)
			out, k := b.some(n), 1+b.below(4)
			set := f.set(p, out...)
			for i, w := range b.expected(f, set, float64(k)) {
				want[i] += w
			}
			p = b.build(set)
			counts, err := b.counts(p, k, f, out...)
			if err != nil {
				return err
			}
			for i, c := range counts {
				got[i] += c
			}
		}
		if err := fits(got, want, b.Spread); err != nil {
			return fmt.Errorf("weights %v: %w", ws, err)
		}
	}
	return nil
}

// slowStart lets a backend have a tenth of its weight, a half, and all of it.
func (b *bench) slowStart() error {
	f := b.fleet(ones(4)...)
	var p lb.Picker
	mine := make([]float64, 0, 3)
	for _, share := range []float64{0.1, 0.5, 1} {
		set := f.set(p)
		set.Eligible[0].Weight = share
		want := b.expected(f, set, enough)
		p = b.build(set)
		got, err := b.counts(p, enough, f)
		if err == nil && (b.Shares != Fair || share == 1) {
			err = fits(got, want, b.Spread)
		}
		if err != nil {
			return fmt.Errorf("the first of four at %v of its weight: %w", share, err)
		}
		mine = append(mine, got[0])
	}
	if b.Shares == Fair && mine[0] >= mine[2] {
		return fmt.Errorf("the first of four had %v picks at a tenth of its weight, %v with all of it", mine[0], mine[2])
	}
	return nil
}

// exactness counts from a moment on, while pickers follow each other over the same backends.
func (b *bench) exactness() error {
	for _, ws := range b.mixes() {
		for _, life := range []int{1000, 1, 7} {
			if err := b.drift(b.fleet(ws...), life); err != nil {
				return fmt.Errorf("weights %v, a new picker every %d picks: %w", ws, life, err)
			}
		}
	}
	return nil
}

// drift returns an error when somebody gets too far from its share.
func (b *bench) drift(f fleet, life int) error {
	p := b.build(f.set(nil))
	if _, err := b.counts(p, 5, f); err != nil {
		return err
	}
	got, share := make([]float64, len(f.backends)), b.expected(f, f.set(nil), 1)
	for n := 1.0; n <= 1000; n++ {
		if int(n)%life == 0 {
			f = b.again(f)
			p = b.build(f.set(p))
		}
		i, err := b.pick(p, f)
		if err != nil {
			return err
		}
		if i >= 0 {
			got[i]++
		}
		for i := range got {
			if off := got[i] - n*share[i]; math.Abs(off) > b.Within+1e-6 {
				return fmt.Errorf("after %v picks number %d is %.2f from its share", n, i, off)
			}
		}
	}
	return nil
}

// noTrace picks from one backend alone, without a request ever following, as if it were full. If
// loads count, the others have work then.
func (b *bench) noTrace() error {
	for lone := range 3 {
		f, out := b.fleet(1, 1, 1), []int{(lone + 1) % 3, (lone + 2) % 3}
		if b.Loads != Blind {
			f.loads[out[0]].Set(b.now, 3, usual, 0)
			f.loads[out[1]].Set(b.now, 3, usual, 0)
		}
		p := b.build(f.set(nil, out...))
		if _, err := b.counts(p, 200, f, out...); err != nil {
			return err
		}
		p = b.build(f.set(p))
		got, err := b.counts(p, 600, f)
		if err != nil {
			return err
		}
		if got[lone] < 100 && b.Spread < 0.5 {
			return fmt.Errorf("after 200 picks that no request followed, number %d got %v of 600 picks among three, of which none has less to do", lone, got[lone])
		}
	}
	return nil
}
