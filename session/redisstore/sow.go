package redisstore

import (
	"context"
	"math/rand/v2"

	"github.com/go-loadbalancer/lb/internal/keep"
)

// seed is a session that Redis should know.
type seed struct {
	key     keep.Key
	backend string
}

// resow finds out whether Redis has lost what it knew, if that may be so, and gives back to it
// what is known here. It reports whether there is no more to do.
func (s *Store) resow(ctx context.Context) bool {
	if !s.suspect.Swap(false) {
		return true
	}
	lost, ok := s.sampleLost(ctx)
	if ok && lost {
		ok = s.sow(ctx)
	}
	if !ok {
		s.suspect.Store(true)
	}
	return ok
}

// sampleLost asks Redis for a few sessions that it should know. It reports whether it has lost an
// eighth of them, as a cluster does that has lost a member, and whether it has answered.
func (s *Store) sampleLost(ctx context.Context) (lost, ok bool) {
	some := s.seeds(sample)
	gone := make([]bool, len(some))
	ok = together(len(some), func(i int) error {
		key := s.codec.key(some[i].key)
		value, _, err := s.redis.get(ctx, key)
		gone[i] = value == ""
		return err
	})
	n := 0
	for _, g := range gone {
		if g {
			n++
		}
	}
	return n > 0 && 8*n >= len(some), ok
}

// seeds returns a few sessions that Redis has said it keeps.
func (s *Store) seeds(n int) (some []seed) {
	now := s.now()
	add := func(k keep.Key, m *memo) {
		if len(some) < n && now < m.told {
			some = append(some, seed{k, m.backend.Value()})
		}
	}
	for _, at := range [2]keep.Cursor{s.known.Somewhere(rand.Uint64()), {}} { // to the end, and from the beginning
		for more := true; more && len(some) < n; {
			at, more = s.known.Walk(at, sowing, add)
		}
	}
	return some
}

// sow gives Redis all sessions that it has not confirmed since it was lost, a few at a time. What
// Redis knows meanwhile counts. It reports whether it has come to an end.
func (s *Store) sow(ctx context.Context) bool {
	epoch := s.epoch.Load()
	for at, more := (keep.Cursor{}), true; more; {
		var some []seed
		now := s.now()
		at, more = s.known.Walk(at, sowing, func(k keep.Key, m *memo) {
			if m.epoch != epoch && now < m.told && s.alive(m, now) && !m.telling {
				m.telling = true
				some = append(some, seed{k, m.backend.Value()})
			}
		})
		if len(some) == 0 {
			continue
		}
		for _, x := range some {
			s.count.restored.Add(1)
			s.tell(x.key, x.backend)
		}
		if s.pause(sowingGap) || ctx.Err() != nil || s.redis.down() {
			return false
		}
	}
	return true
}
