package lb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Snapshot is a pool at one moment. It is immutable: what seems to edit it returns a new one,
// or the same one if nothing changes. The zero value is empty. Edits cost time in the number of
// backends, look-ups its logarithm.
type Snapshot struct {
	backends []*Backend // sorted by ID
}

// Len returns the number of backends.
func (s *Snapshot) Len() int { return len(s.backends) }

// At returns the i-th backend in the order of their IDs.
func (s *Snapshot) At(i int) *Backend { return s.backends[i] }

// Find returns the backend with the given ID, or nil.
func (s *Snapshot) Find(id string) *Backend {
	if i, ok := s.search(id); ok {
		return s.backends[i]
	}
	return nil
}

func (s *Snapshot) search(id string) (int, bool) {
	return slices.BinarySearchFunc(s.backends, id, func(b *Backend, id string) int { return cmp.Compare(b.spec.ID, id) })
}

// With returns a snapshot of exactly these backends, or s and an error that names every wrong
// one. A backend whose ID s already has keeps its facts and its live load.
func (s *Snapshot) With(specs ...Spec) (*Snapshot, error) {
	next := &Snapshot{backends: make([]*Backend, 0, len(specs))}
	var errs []error
	for _, spec := range specs {
		b, err := NewBackend(spec, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if old := s.Find(b.spec.ID); old != nil {
			b.facts, b.cause, b.load = old.facts, old.cause, old.load
		}
		next.backends = append(next.backends, b)
	}
	slices.SortStableFunc(next.backends, func(a, b *Backend) int { return cmp.Compare(a.spec.ID, b.spec.ID) })
	for i := 1; i < len(next.backends); i++ {
		if id := next.backends[i].spec.ID; id == next.backends[i-1].spec.ID {
			errs = append(errs, fmt.Errorf("lb: backend %q is listed twice; give each its own ID", id))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	if slices.EqualFunc(next.backends, s.backends, (*Backend).alike) {
		return s, nil
	}
	return next, nil
}

// alike reports whether a new backend says nothing of b that is news.
func (b *Backend) alike(old *Backend) bool {
	x, y := b.spec, old.spec
	same := maps.Equal(x.Labels, y.Labels)
	x.Labels, y.Labels = nil, nil
	return same && b.load == old.load && reflect.DeepEqual(x, y)
}

// Plus returns a snapshot that has these backends as well, or s and an error that names every
// wrong one. One that has the ID of a backend in s takes its place, with its facts and load.
func (s *Snapshot) Plus(specs ...Spec) (*Snapshot, error) {
	more, err := s.With(specs...)
	if err != nil {
		return s, err
	}
	next := &Snapshot{backends: slices.Clone(more.backends)}
	for _, b := range s.backends {
		if more.Find(b.spec.ID) == nil {
			next.backends = append(next.backends, b)
		}
	}
	slices.SortFunc(next.backends, func(a, b *Backend) int { return cmp.Compare(a.spec.ID, b.spec.ID) })
	if slices.EqualFunc(next.backends, s.backends, (*Backend).alike) {
		return s, nil
	}
	return next, nil
}

// Without returns a snapshot that lacks the backend, or s if it lacks it already.
func (s *Snapshot) Without(id string) *Snapshot {
	i, ok := s.search(id)
	if !ok {
		return s
	}
	return &Snapshot{backends: slices.Delete(slices.Clone(s.backends), i, i+1)}
}

// Mark returns a snapshot in which these facts, too, hold for the backend, or s if that is no
// news or the backend is unknown. Cause says why, for people.
func (s *Snapshot) Mark(id string, facts Facts, cause string) *Snapshot {
	return s.edit(id, func(b *Backend) { b.facts |= facts; b.cause = cause })
}

// Clear returns a snapshot in which none of these facts holds for the backend any longer, or s
// if that is no news or the backend is unknown.
func (s *Snapshot) Clear(id string, facts Facts, cause string) *Snapshot {
	return s.edit(id, func(b *Backend) { b.facts &^= facts; b.cause = cause })
}

// WithWeight returns a snapshot in which the backend has another weight, or s if it has it
// already or the backend is unknown. A weight outside 1 to 1,000,000 becomes the nearest bound.
func (s *Snapshot) WithWeight(id string, weight int) *Snapshot {
	return s.edit(id, func(b *Backend) { b.spec.Weight = min(max(weight, 1), maxWeight) })
}

// edit returns a snapshot with a changed copy of one backend.
func (s *Snapshot) edit(id string, change func(*Backend)) *Snapshot {
	i, ok := s.search(id)
	if !ok {
		return s
	}
	b := *s.backends[i]
	change(&b)
	if b.facts == s.backends[i].facts && b.spec.Weight == s.backends[i].spec.Weight {
		return s
	}
	next := &Snapshot{backends: slices.Clone(s.backends)}
	next.backends[i] = &b
	return next
}
