package picker

import (
	"sync"

	"github.com/go-loadbalancer/lb"
)

// Weighted gives every backend turns in proportion to its weight, well mixed: weights 3, 2 and 1
// make a cycle of six turns, and of any six picks in a row, also by many goroutines, the three
// backends get exactly 3, 2 and 1. The first pick draws where to start. When backends or weights
// change, what each was still owed is carried over, so that changes in quick succession favour
// nobody.
//
// While all weights are equal, or are whole and come out in a cycle of at most 4096 turns (their
// sum divided by their greatest common divisor), a pick is one atomic addition for any number of
// backends. Else, as while a backend is warming up, it takes a mutex and looks at every backend;
// the shares are as exact, but a cycle has no length that would show it.
func Weighted(set lb.Set) lb.Picker {
	if cycle := period(set.Eligible); cycle > 0 {
		return rotate(set, cycle)
	}
	return newSmooth(set)
}

// smooth interleaves turns as rotation does, but finds each when it is asked for.
type smooth struct {
	members []lb.Candidate
	total   float64
	account *account
	from    int // who comes first of those that are owed the same
}

// account is what a smooth owes its members. It shares it with its successor over the same
// backends.
type account struct {
	mu     sync.Mutex
	begun  bool
	credit []float64 // in weight; what it adds up to does not change, but for rounding
}

func newSmooth(set lb.Set) *smooth {
	s := &smooth{members: set.Eligible, total: sum(set.Eligible)}
	if old, ok := set.Previous.(*smooth); ok && alike(old.members, s.members) {
		s.account, s.from = old.account, old.from
		return s
	}
	s.from = next(set.Previous, s.members)
	s.account = &account{credit: make([]float64, len(s.members))}
	if debt := inherit(set.Previous, s.members); debt != nil {
		s.account.begun = true
		for i, d := range debt {
			s.account.credit[i] = d * s.total
		}
	}
	return s
}

func (s *smooth) Pick(info lb.PickInfo) *lb.Backend {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if !s.account.begun {
		s.account.begun = true
		d := draws(info.Rand)
		for i, c := range s.members {
			s.account.credit[i] = d.unit() * c.Weight
		}
	}
	return s.members[serve(s.members, s.account.credit, s.total, s.from)].Backend
}

// standing is that of a rotation. Who is owed least is taken for the one that had the last turn.
func (s *smooth) standing() (members []lb.Candidate, from, last int) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	for i, c := range s.account.credit {
		if c < s.account.credit[last] {
			last = i
		}
	}
	return s.members, s.from, last
}

// owed returns how many turns s is behind with each backend, or nil if there was none yet.
func (s *smooth) owed() map[string]float64 {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if !s.account.begun {
		return nil
	}
	debt := make(map[string]float64, len(s.members))
	for i, c := range s.members {
		debt[c.ID()] = s.account.credit[i] / s.total
	}
	return debt
}
