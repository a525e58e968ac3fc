package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// ask returns who Redis says a session is bound to.
func (s *Store) ask(ctx context.Context, k keep.Key) (string, error) {
	if d, ok := s.untold(k); ok { // nobody but we know
		backend, err := s.replay(ctx, k, d)
		if err != nil {
			return s.without(ctx, k, err)
		}
		s.count.redis.Add(1)
		return backend, nil
	}
	key := s.codec.key(k)
	o := s.call(k)
	defer s.calls.remove(o)
	value, tracked, err := s.redis.get(ctx, key)
	s.waited(o.began)
	if err != nil {
		return s.without(ctx, k, err)
	}
	backend, says := s.codec.open(key, value)
	switch says {
	case bound:
		s.learn(o, fact{backend: backend, used: o.began, tracked: tracked})
		s.count.redis.Add(1)
		s.streak.Store(0)
		if s.isDue(k) {
			s.prolong(k, backend)
		}
		return backend, nil
	case forgotten:
		s.unlearn(o)
		s.count.misses.Add(1)
		return "", nil
	case foreign:
		s.count.rejected.Add(1)
	}
	return s.restore(ctx, o, key)
}

// restore gives back to Redis a session that it should know and does not. A session that was
// forgotten it does know: this is one that Redis has lost.
func (s *Store) restore(ctx context.Context, o *call, key string) (string, error) {
	believed := s.recall(o.key)
	if believed == "" {
		s.unlearn(o)
		s.count.misses.Add(1)
		return "", nil
	}
	now, left, err := s.put(ctx, key, "", believed)
	if err != nil {
		return s.without(ctx, o.key, err)
	}
	s.learn(o, fact{backend: now, left: left, used: o.began})
	s.count.redis.Add(1)
	if now == believed {
		s.lost()
	}
	return now, nil
}

// recall returns who a session was last known to be bound to, or "", which says nothing about the
// present.
func (s *Store) recall(k keep.Key) string {
	now := s.now()
	p := s.known.Lock(k)
	defer p.Unlock()
	if m := p.Peek(); m != nil && s.alive(m, now) {
		return m.backend.Value()
	}
	if d, ok := s.untold(k); ok {
		return d.to
	}
	return ""
}

// put binds the session of a key to a backend if it is bound to from, or not at all. It returns who
// is bound afterwards. It gives up when others write values that are not ours as fast as it finds
// them.
func (s *Store) put(ctx context.Context, key, from, to string) (now string, left time.Duration, err error) {
	a := s.codec.assignment(key, from, to)
	for range 3 {
		got, left, err := s.redis.assign(ctx, key, a)
		if err != nil {
			return "", 0, err
		}
		if now, says := s.codec.open(key, got); says == bound {
			return now, left, nil
		}
		a.void = got
	}
	return "", 0, errContested
}

// without answers for Redis, which has failed with err.
func (s *Store) without(ctx context.Context, k keep.Key, err error) (string, error) {
	if ctx.Err() != nil || errors.Is(err, redisconn.ErrClosed) { // that says nothing about Redis
		return "", s.failed(err)
	}
	backend := s.recall(k)
	if backend == "" {
		return "", s.failed(err)
	}
	s.count.unverified.Add(1)
	s.use(k)
	return backend, nil
}

// use notes that a session is in use.
func (s *Store) use(k keep.Key) {
	now := s.now()
	s.dirty.use(k, now)
	p := s.known.Lock(k)
	defer p.Unlock()
	if m := p.Peek(); m != nil {
		m.used = now
	}
}

// isDue is due for a session that may not be known any more.
func (s *Store) isDue(k keep.Key) bool {
	now := s.now()
	p := s.known.Lock(k)
	defer p.Unlock()
	m := p.Peek()
	return m != nil && s.due(m, now)
}
