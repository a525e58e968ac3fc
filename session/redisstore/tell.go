package redisstore

import (
	"errors"
	"time"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// tell tells Redis that a session is in use, and by whom if Redis does not know. The memo says that
// this is being done.
func (s *Store) tell(k keep.Key, backend string) {
	if _, ok := s.untold(k); ok { // Redis will be told of it
		s.told(k)
		return
	}
	if s.redis.down() { // saves the signing
		s.unheard(k, true, redisconn.ErrDown)
		return
	}
	key := s.codec.key(k)
	s.later(k, key, s.codec.assignment(key, "", backend), true)
}

// prolong is tell for a session that Redis has said it knows. If it has been forgotten when Redis hears
// of it, it stays so, by the mark that is there then; if its time was over in between, it goes on.
func (s *Store) prolong(k keep.Key, backend string) {
	if s.redis.down() {
		s.unheard(k, false, redisconn.ErrDown)
		return
	}
	key := s.codec.key(k)
	s.later(k, key, assignment{value: s.codec.seal(key, backend)}, false)
}

// later sends what tell and prolong have to say. A foreign value is written over, once.
func (s *Store) later(k keep.Key, key string, to assignment, binds bool) {
	s.count.touches.Add(1)
	o := s.call(k)
	s.redis.assignLater(key, to, func(got string, left time.Duration, err error) {
		defer s.calls.remove(o)
		if err != nil {
			s.unheard(k, binds, err)
			return
		}
		now, says := s.codec.open(key, got)
		switch says {
		case bound:
			s.learn(o, fact{backend: now, left: left})
		case forgotten:
			s.unlearn(o)
		default:
			s.doubt(k)
			if says == foreign && binds {
				to.void = got
				s.later(k, key, to, false)
				return
			}
		}
		s.told(k)
	})
}

// told notes that Redis is not being told of a session any more.
func (s *Store) told(k keep.Key) {
	p := s.known.Lock(k)
	defer p.Unlock()
	if m := p.Peek(); m != nil {
		m.telling = false
	}
}

// unheard notes that Redis could not be told. Of a session that it has never heard of it will be
// told when it can be.
func (s *Store) unheard(k keep.Key, binds bool, err error) {
	p := s.known.Lock(k)
	defer p.Unlock()
	m := p.Peek()
	if m == nil {
		return
	}
	m.telling = false
	if binds && m.told == 0 && !errors.Is(err, redisconn.ErrClosed) {
		s.dirty.put(k, change{to: m.backend.Value(), used: m.used})
		s.mend()
	}
}
