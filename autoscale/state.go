package autoscale

import (
	"cmp"
	"slices"
)

// id is the backend's; empty while Starting.
func (b Launched) id() string { return cmp.Or(b.Spec.ID, b.Spec.URL) }

// before reports whether s was written before t. Where writes were lost, a later term counts for
// more than further writes of an earlier one.
func (s State) before(t State) bool {
	return cmp.Or(cmp.Compare(s.Generation, t.Generation), cmp.Compare(s.Revision, t.Revision)) < 0
}

// lacks lists what an older State knew and s does not know any more, though nobody can have taken
// it away: a backend does not go back to an earlier phase, and leaves before it is forgotten, which
// nobody overlooks who was not away.
func (s State) lacks(old State, away bool) (lost []Launched) {
	for _, b := range old.Backends {
		i := s.find(b.Key)
		switch {
		case i >= 0 && s.Backends[i].Phase < b.Phase,
			i < 0 && b.Phase == Serving,
			i < 0 && b.Phase == Leaving && away:
			lost = append(lost, b)
		}
	}
	return lost
}

// find returns the index of a launch, or -1.
func (s State) find(key string) int {
	return slices.IndexFunc(s.Backends, func(b Launched) bool { return b.Key == key })
}

// has reports whether a backend of this ID is known.
func (s State) has(id string) bool {
	return slices.ContainsFunc(s.Backends, func(b Launched) bool { return b.id() == id })
}

// leaves reports whether a backend of this ID is to go.
func (s State) leaves(id string) bool {
	return slices.ContainsFunc(s.Backends, func(b Launched) bool { return b.Phase == Leaving && b.id() == id })
}

// in lists those in a phase, in order.
func (s State) in(p Phase) (all []Launched) {
	for _, b := range s.Backends {
		if b.Phase == p {
			all = append(all, b)
		}
	}
	return all
}

// edit returns the State that follows this one, with a list of its own.
func (s State) edit() State {
	s.Revision++
	s.Backends = slices.Clone(s.Backends)
	return s
}

// claimed begins a term.
func (s State) claimed(instance string) State {
	s = s.edit()
	s.Generation++
	s.Leader = instance
	return s
}

// wanting has another desired count, the launches of these keys, and those backends leave.
func (s State) wanting(desired int, by string, launches, leave []string) State {
	s = s.edit()
	s.Desired = desired
	for _, key := range launches {
		s.Backends = append(s.Backends, Launched{Key: key, By: by, Phase: Starting})
	}
	for i, b := range s.Backends {
		if b.Phase == Serving && slices.Contains(leave, b.id()) {
			s.Backends[i].Phase = Leaving
		}
	}
	return s
}

// with has a launch as it is now.
func (s State) with(b Launched) State {
	s = s.edit()
	if i := s.find(b.Key); i >= 0 {
		s.Backends[i] = b
	} else {
		s.Backends = append(s.Backends, b)
	}
	return s
}

// without forgets a launch.
func (s State) without(key string) State {
	s = s.edit()
	s.Backends = slices.DeleteFunc(s.Backends, func(b Launched) bool { return b.Key == key })
	return s
}
