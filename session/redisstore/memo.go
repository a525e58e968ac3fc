package redisstore

import (
	"math"
	"time"
	"unique"

	"github.com/go-loadbalancer/lb/internal/keep"
)

// always is later than any time here.
const always = time.Duration(math.MaxInt64)

// memo is what this process remembers of a session. Times count from the store's beginning.
type memo struct {
	backend unique.Handle[string]
	used    time.Duration // last use here
	told    time.Duration // until when Redis keeps it, at least
	fresh   time.Duration // until when it is believed without asking Redis
	epoch   uint32        // of told and fresh; those of another epoch count as none
	telling bool          // Redis is being told
}

// fact is what Redis has said of a session.
type fact struct {
	backend string
	left    time.Duration // for which Redis keeps it; 0: unknown
	used    time.Duration // when it was used here; 0: not now
	tracked bool          // Redis tells of changes
}

// alive reports whether the session can be in use: it was used here less than the TTL ago, or Redis
// keeps it yet.
func (s *Store) alive(m *memo, now time.Duration) bool {
	return now < m.used+s.ttl || now < m.told
}

// verified reports whether a memo may be believed without asking.
func (s *Store) verified(m *memo, now time.Duration) bool {
	return now < m.fresh && m.epoch == s.epoch.Load() && s.alive(m, now)
}

// due reports whether Redis must be told that a session is in use, and if so, that it is done now.
func (s *Store) due(m *memo, now time.Duration) bool {
	if m.telling || m.epoch == s.epoch.Load() && m.told-now >= s.ttl/2 {
		return false
	}
	m.telling = true
	return true
}

// call notes a command that is about to be sent.
func (s *Store) call(k keep.Key) *call {
	o := &call{key: k, epoch: s.epoch.Load(), began: s.now()}
	s.calls.add(o)
	return o
}

// learn takes over what a call has brought, unless something else may be more recent. Then nothing
// is known for sure, and the next who asks must ask Redis.
func (s *Store) learn(o *call, f fact) {
	p := s.known.Lock(o.key)
	defer p.Unlock()
	m, backend := p.Peek(), unique.Make(f.backend)
	if o.invalidated || o.overtaken && (m == nil || m.backend != backend) {
		if m == nil { // such as after a bind, of which Redis tells us, too: not sure, but more than nothing
			m = p.Add()
			m.backend = backend
		}
		if m.backend == backend {
			m.used = max(m.used, f.used)
		}
		m.fresh = 0
		return
	}
	s.calls.mark(o.key, o, overtake)
	if m == nil {
		m = p.Add()
		m.backend = backend
	}
	if m.backend != backend {
		if s.alive(m, o.began) {
			s.count.adopted.Add(1)
		}
		m.backend, m.told, m.fresh = backend, 0, 0
	}
	if m.epoch != o.epoch {
		m.epoch, m.told, m.fresh = o.epoch, 0, 0
	}
	m.used = max(m.used, f.used)
	m.told = max(m.told, o.began+f.left)
	if f.tracked {
		m.fresh = always
	} else {
		m.fresh = max(m.fresh, o.began+s.fresh)
	}
}

// unlearn takes over that Redis knows of no session, on the same condition.
func (s *Store) unlearn(o *call) {
	p := s.known.Lock(o.key)
	defer p.Unlock()
	if o.invalidated || o.overtaken {
		if m := p.Peek(); m != nil {
			m.fresh = 0
		}
		return
	}
	s.calls.mark(o.key, o, overtake)
	p.Remove()
}

// forgot takes over that a session was forgotten, whatever there was to tell of it.
func (s *Store) forgot(o *call) {
	p := s.known.Lock(o.key)
	defer p.Unlock()
	p.Remove()
	s.dirty.drop(o.key)
	s.calls.mark(o.key, o, overtake)
}

// doubt has the next who asks for a session ask Redis.
func (s *Store) doubt(k keep.Key) {
	p := s.known.Lock(k)
	defer p.Unlock()
	if m := p.Peek(); m != nil {
		m.fresh = 0
	}
}

// changed notes that keys have changed in Redis, or, if they are nil, that any may have. It is
// called by whoever reads from Redis, and waits for nobody else who does.
func (s *Store) changed(keys []string) {
	if keys == nil {
		s.epoch.Add(1)
		s.count.epochs.Add(1)
		s.suspect.Store(true)
		s.mend()
		return
	}
	for _, key := range keys {
		k, ok := s.codec.id(key)
		if !ok {
			continue
		}
		s.count.invalidations.Add(1)
		p := s.known.Lock(k)
		if m := p.Peek(); m != nil {
			m.fresh = 0
		}
		s.calls.mark(k, nil, invalidate)
		p.Unlock()
	}
}
