package lbtest

import (
	"fmt"

	"github.com/go-loadbalancer/lb"
)

// loaded returns backends of weight 1 with that many requests in flight, that answer alike.
func (b *bench) loaded(inFlight ...int64) fleet {
	f := b.fleet(ones(len(inFlight))...)
	for i, n := range inFlight {
		f.loads[i].Set(b.now, n, usual, 0)
	}
	return f
}

func (b *bench) ofTwo() error {
	for _, loads := range [][]int64{{1, 9}, {9, 1}, {0, 3}, {3, 0}} {
		f, busier := b.loaded(loads...), 0
		if loads[1] > loads[0] {
			busier = 1
		}
		got, err := b.counts(b.build(f.set(nil)), 1000, f)
		if err != nil {
			return err
		}
		if got[busier] > chance(1000, b.Explores) {
			return fmt.Errorf("with %v in flight, the busier one gets %v of 1000 picks", loads, got[busier])
		}
	}
	return nil
}

// anyOrder compares what the busiest gets, and the second, wherever they stand.
func (b *bench) anyOrder() error {
	const picks = 800
	loads := []int64{1, 3, 9, 27}
	var rows [][]float64
	total := make([]float64, len(loads))
	for order := range permutations(len(loads)) {
		f := b.loaded(make([]int64, len(loads))...)
		for rank, at := range order {
			f.loads[at].Set(b.now, loads[rank], usual, 0)
		}
		got, err := b.counts(b.build(f.set(nil)), picks, f)
		if err != nil {
			return err
		}
		row := make([]float64, len(loads))
		for rank, at := range order {
			row[rank] = got[at]
			total[rank] += got[at]
		}
		rows = append(rows, row)
	}
	for rank := range len(loads) - 1 {
		if total[rank+1] > total[rank] {
			return fmt.Errorf("with %v in flight, in all orders, they get %.0f picks: a busier one more than one that has less to do", loads, total)
		}
	}
	if err := alike(rows); err != nil {
		return fmt.Errorf("with %v in flight, what each gets depends on where it stands in the set: some pairs are likelier than others: %w", loads, err)
	}
	return nil
}

// permutations yields every order of 0 to n-1.
func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		var permute func(int) bool
		permute = func(k int) bool {
			if k == n {
				return yield(order)
			}
			for i := k; i < n; i++ {
				order[k], order[i] = order[i], order[k]
				if !permute(k + 1) {
					return false
				}
				order[k], order[i] = order[i], order[k]
			}
			return true
		}
		permute(0)
	}
}

// favoured is how many of n picks somebody must get who alone of five has nothing to do. Who
// compares two of them gives two fifths.
func favoured(n float64) float64 { return n / 4 }

// newcomer joins four backends that have work, and answers at once.
func (b *bench) newcomer() error {
	f := b.loaded(8, 8, 8, 8)
	p := b.build(f.set(nil))
	if _, err := b.counts(p, 20, f); err != nil {
		return err
	}
	f = b.join(f, len(f.backends), 1)
	p = b.build(f.set(p))
	got, err := b.answering(p, f, 400, lb.Success)
	if err == nil && got[4] < favoured(400) {
		err = fmt.Errorf("one that has nothing to do got %v of 400 picks, beside four that have 8 in flight", got[4])
	}
	return err
}

// answering picks n times; each request ends before the next comes.
func (b *bench) answering(p lb.Picker, f fleet, n int, o lb.Outcome) ([]float64, error) {
	got := make([]float64, len(f.backends))
	for range n {
		i, err := b.pick(p, f)
		if err != nil {
			return nil, err
		}
		if i >= 0 {
			got[i]++
			b.serve(p, f, i, o)
		}
	}
	return got, nil
}

// drained fills five backends, then lets all requests of one of them end.
func (b *bench) drained() error {
	for _, o := range []lb.Outcome{lb.Success, lb.Neutral} {
		for idle := range 5 {
			f := b.fleet(ones(5)...)
			p := b.build(f.set(nil))
			for range 60 {
				i, err := b.pick(p, f)
				if err != nil {
					return err
				}
				if i >= 0 {
					f.loads[i].Enter(0)
				}
			}
			for f.loads[idle].InFlight() > 0 {
				f.loads[idle].Leave()
				b.serve(p, f, idle, o)
			}
			got, err := b.answering(p, f, 400, lb.Success)
			if err != nil {
				return err
			}
			if got[idle] < favoured(400) {
				return fmt.Errorf("number %d, whose requests have all ended (%v), got %v of 400 picks beside four that are busy", idle, o, got[idle])
			}
		}
	}
	return nil
}

// lightest lets requests and backends come and go, and compares each pick with all others.
func (b *bench) lightest() error {
	f := b.fleet(weightsOf(3)...)
	var open []int
	p := b.build(f.set(nil))
	for k := range 1500 {
		if k%150 == 149 && len(f.backends) < 9 {
			f = b.join(f, len(f.backends), 1+b.below(4))
			p = b.build(f.set(p))
		}
		i, err := b.pick(p, f)
		if err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		mine := float64(f.loads[i].InFlight()) / float64(f.backends[i].Weight())
		for j, be := range f.backends {
			if its := float64(f.loads[j].InFlight()) / float64(be.Weight()); its < mine-1e-9 {
				return fmt.Errorf("pick %d of %d backends has %.2f in flight for its weight, number %d has %.2f", k, len(f.backends), mine, j, its)
			}
		}
		f.loads[i].Enter(0)
		if open = append(open, i); len(open) > 20 && b.below(2) == 0 || len(open) > 60 {
			at := b.below(len(open))
			f.loads[open[at]].Leave()
			b.serve(p, f, open[at], lb.Outcome(k%2))
			open[at] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	return nil
}
