package redisstore

import (
	"context"
	"errors"
	"unique"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// bindAlone is Bind when Redis has failed with err. It may have done what it was asked to, all the
// same.
func (s *Store) bindAlone(ctx context.Context, k keep.Key, from, to string, err error) (string, error) {
	if ctx.Err() != nil || errors.Is(err, redisconn.ErrClosed) || errors.Is(err, errContested) {
		s.doubt(k)
		return "", s.failed(err)
	}
	now, moved := s.decide(k, from, to)
	s.count.unverified.Add(1)
	if moved {
		s.mend()
	}
	return now, nil
}

// decide is a compare-and-swap of what is known here, and notes what Redis has to hear of.
func (s *Store) decide(k keep.Key, from, to string) (backend string, moved bool) {
	now := s.now()
	p := s.known.Lock(k)
	defer p.Unlock()
	m := p.Peek()
	d, dirty := s.untold(k)
	switch {
	case m != nil && s.alive(m, now):
		backend = m.backend.Value()
	case dirty:
		backend = d.to
	}
	if m == nil {
		m = p.Add()
	}
	m.used = now
	if backend != "" && backend != from {
		m.backend = unique.Make(backend)
		return backend, false
	}
	m.backend, m.told, m.fresh = unique.Make(to), 0, 0
	s.calls.mark(k, nil, overtake)
	s.dirty.put(k, change{base: from, to: to, used: now})
	return to, true
}
