package lbtest

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
)

// TestPool tries a pool while it changes, and returns an error that lists every law that it breaks,
// or nil:
//
//   - Snapshot returns the same pointer until something changes, and never nil.
//   - A snapshot is sorted by ID, without doubles, and finds what it has. It never changes, whatever
//     comes after it.
//   - A change that is none, as when discovery finds what it knew, publishes no new snapshot. After
//     any other there is one.
//   - Any number of goroutines may read while it changes. Run the test with -race, which finds what
//     is not safe. Each of them sees snapshots that are whole, and none that is older than one it
//     has seen.
//
// Each change is made once, in turn, in one goroutine; it returns when the pool has changed.
func TestPool(pool lb.Pool, changes ...func()) error {
	if pool == nil {
		return errors.New("lbtest: the pool is nil")
	}
	w := &watch{pool: pool}
	if err := caught(w.note); err != nil {
		return fmt.Errorf("lbtest: at first: %w", err)
	}
	errs := []error{}
	add := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("lbtest: %w", err))
		}
	}
	var over atomic.Bool
	read := make(chan error)
	go func() { read <- together(3, func(int) error { return w.read(&over) }) }()
	for i, change := range changes {
		err := caught(func() error { change(); return w.note() })
		if err != nil {
			add(fmt.Errorf("after change %d of %d: %w", i+1, len(changes), err))
		}
	}
	over.Store(true)
	add(<-read)
	add(caught(w.unchanged))
	return errors.Join(errs...)
}

// watch remembers each snapshot of a pool, and what was in it.
type watch struct {
	pool  lb.Pool
	seen  []*lb.Snapshot
	facts [][]known
}

// known is what a snapshot says of one backend.
type known struct {
	spec  lb.Spec
	facts lb.Facts
	cause string
}

func contents(s *lb.Snapshot) []known {
	all := make([]known, s.Len())
	for i := range all {
		b := s.At(i)
		all[i] = known{b.Spec(), b.Facts(), b.Cause()}
	}
	return all
}

// note looks at the present snapshot.
func (w *watch) note() error {
	s := w.pool.Snapshot()
	if err := whole(s); err != nil {
		return err
	}
	for range 100 {
		if w.pool.Snapshot() != s {
			return errors.New("nothing changes, and Snapshot returns one pointer after the other")
		}
	}
	now, n := contents(s), len(w.seen)
	if n > 0 {
		same := reflect.DeepEqual(now, w.facts[n-1])
		switch {
		case same && s != w.seen[n-1]:
			return errors.New("all is as it was, and there is a new snapshot: each one costs every balancer a new view")
		case !same && s == w.seen[n-1]:
			return fmt.Errorf("the snapshot that was there before has changed: from %v to %v", w.facts[n-1], now)
		}
	}
	w.seen, w.facts = append(w.seen, s), append(w.facts, now)
	return nil
}

// whole returns what is wrong with a snapshot by itself.
func whole(s *lb.Snapshot) error {
	if s == nil {
		return errors.New("the snapshot is nil; one without backends is new(lb.Snapshot)")
	}
	for i := range s.Len() {
		b := s.At(i)
		switch {
		case i > 0 && s.At(i-1).ID() >= b.ID():
			return fmt.Errorf("backend %q comes after %q: not sorted, or double", b.ID(), s.At(i-1).ID())
		case s.Find(b.ID()) != b:
			return fmt.Errorf("backend %q is not found by its ID", b.ID())
		}
	}
	return nil
}

// unchanged compares each snapshot with what it was when it was new.
func (w *watch) unchanged() error {
	for i, s := range w.seen {
		if now := contents(s); !reflect.DeepEqual(now, w.facts[i]) {
			return fmt.Errorf("a snapshot has changed after it was published: from %v to %v", w.facts[i], now)
		}
	}
	return nil
}

// read looks at snapshots as requests do, until all is over.
func (w *watch) read(over *atomic.Bool) error {
	seen := make(map[*lb.Snapshot]bool)
	var last *lb.Snapshot
	for n := 0; n < 100 || !over.Load(); n++ {
		s := w.pool.Snapshot()
		if s == last {
			continue
		}
		if seen[s] {
			return errors.New("while it changed a reader saw a snapshot, another, and the first again")
		}
		if err := whole(s); err != nil {
			return fmt.Errorf("while it changed: %w", err)
		}
		seen[s], last = true, s
	}
	return nil
}
