package lbtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

// keys is how many keys are followed.
const keys = 1000

// homes returns where the first keys are. What is not decisive differs each time.
func (b *bench) homes(p lb.Picker, f fleet, out ...int) ([]int, error) {
	at := make([]int, keys)
	for k := range at {
		b.now = b.now.Add(time.Millisecond)
		i, err := b.picked(p.Pick(b.about(k)), f, out...)
		if err != nil {
			return nil, err
		}
		at[k] = i
	}
	return at, nil
}

func (b *bench) stickiness() error {
	f := b.fleet(weightsOf(7)...)
	p := b.build(f.set(nil))
	first, err := b.homes(p, f)
	if err != nil {
		return err
	}
	for what, q := range map[string]lb.Picker{"again": p, "after a rebuild": b.build(f.set(p)), "by another process": b.build(f.set(nil))} {
		now, err := b.homes(q, f)
		if err != nil {
			return err
		}
		for k := range now {
			if now[k] != first[k] {
				return fmt.Errorf("key %d was with number %d, and %s with number %d", k, first[k], what, now[k])
			}
		}
	}
	return nil
}

func (b *bench) markedDown() error {
	for _, n := range []int{2, 5, 12} {
		f := b.fleet(weightsOf(n)...)
		p := b.build(f.set(nil))
		first, err := b.homes(p, f)
		if err != nil {
			return err
		}
		for down := range n {
			p = b.build(f.set(p, down))
			now, err := b.homes(p, f, down)
			if err != nil {
				return err
			}
			if moved := strays(first, now, down, down); moved > 0 {
				return fmt.Errorf("with number %d of %d down, %d keys of others have moved, too", down, n, moved)
			}
		}
		p = b.build(f.set(p))
		now, err := b.homes(p, f)
		if err == nil && !slices.Equal(first, now) {
			err = fmt.Errorf("of %d: with all of them back, %d keys are elsewhere", n, strays(first, now, -1, -1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// strays counts the keys that have moved, but for those that left from one backend or came to
// another.
func strays(before, after []int, from, to int) (n int) {
	for k := range before {
		if before[k] != after[k] && before[k] != from && after[k] != to {
			n++
		}
	}
	return n
}

// membershipMoves compares the keys of a pool with those of the same pool without one backend.
func (b *bench) membershipMoves() error {
	for _, n := range []int{2, 5, 12} {
		all := b.fleet(weightsOf(n)...)
		before, err := b.homes(b.build(all.set(nil)), all)
		if err != nil {
			return err
		}
		for gone := range n {
			set := all.set(nil, gone)
			set.Others = nil
			after, err := b.homes(b.build(set), all, gone)
			if err != nil {
				return err
			}
			if moved := strays(before, after, gone, gone); float64(moved) > chance(keys, b.Moves) {
				return fmt.Errorf("number %d of %d leaves or joins, and %d of %d keys move that are not its own, more than %v of them", gone, n, moved, keys, b.Moves)
			}
		}
	}
	return nil
}
