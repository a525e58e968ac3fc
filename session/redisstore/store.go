package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// Store is an lb.SessionStore in memory and in Redis. All its methods may be called by many
// goroutines at once, and none blocks for longer than Config.Timeout, but for Close; a Lookup or a
// Bind that finds Redis to have lost the session, or foreign values in its place, for that time
// several times over.
type Store struct {
	redis redis
	conn  *redisconn.Conn
	ready chan struct{} // closed when the two above are set
	codec codec
	ttl   time.Duration
	fresh time.Duration
	begin time.Time

	known *keep.Table[memo]
	calls calls
	dirty dirty
	epoch atomic.Uint32 // grows when anything may have changed in Redis unnoticed
	count counters

	closing  chan struct{} // closed by Close
	kick     chan struct{} // Redis is back
	suspect  atomic.Bool   // Redis may have lost what it knew
	streak   atomic.Int32  // sessions in a row that Redis had lost
	mu       sync.Mutex
	mending  bool
	closed   bool
	mendings sync.WaitGroup
}

// now is the time since the store was made: steps of the system's clock do not matter.
func (s *Store) now() time.Duration { return time.Since(s.begin) }

// Lookup returns the backend that the session is bound to, or "", and prolongs the session. What
// is known here for sure costs no command. While Redis is away, what was known last is returned;
// an error is, if nothing was.
func (s *Store) Lookup(ctx context.Context, session string) (backend string, err error) {
	k, now := id(session), s.now()
	p := s.known.Lock(k)
	m := p.Use()
	if m == nil || !s.verified(m, now) {
		p.Unlock()
		return s.ask(ctx, k)
	}
	backend = m.backend.Value()
	m.used = now
	due := s.due(m, now)
	p.Unlock()
	s.count.memory.Add(1)
	if due {
		s.prolong(k, backend)
	}
	return backend, nil
}

// Bind moves a session as lb.SessionStore says: one balancer of all moves it, the others are
// told where to. While Redis is away the balancers decide alone: when it is back, what Redis has is
// what counts, and where it has nothing, who tells it first.
func (s *Store) Bind(ctx context.Context, session, from, to string) (backend string, err error) {
	k := id(session)
	if d, ok := s.untold(k); ok { // Redis first has to hear of what was before
		if _, err := s.replay(ctx, k, d); err != nil {
			return s.bindAlone(ctx, k, from, to, err)
		}
	}
	key := s.codec.key(k)
	o := s.call(k)
	defer s.calls.remove(o)
	now, left, err := s.put(ctx, key, from, to)
	s.waited(o.began)
	if err != nil {
		return s.bindAlone(ctx, k, from, to, err)
	}
	s.learn(o, fact{backend: now, left: left, used: o.began})
	return now, nil
}

// Forget removes a session, here and in Redis, where a mark in its place keeps others from
// bringing it back. With an error it may be there yet.
func (s *Store) Forget(ctx context.Context, session string) error {
	k := id(session)
	key := s.codec.key(k)
	o := s.call(k)
	defer s.calls.remove(o)
	err := s.redis.set(ctx, key, s.codec.seal(key, ""))
	s.waited(o.began)
	if err != nil {
		s.doubt(k)
		return s.failed(err)
	}
	s.forgot(o)
	return nil
}

// Seen binds a session that Redis does not know, and prolongs one that it does. It does not wait
// for Redis, and tells it of the same session once in half the TTL.
func (s *Store) Seen(session, backend string) {
	k, now := id(session), s.now()
	p := s.known.Lock(k)
	m := p.Use()
	if m == nil {
		m = p.Add()
		m.backend = unique.Make(backend)
	} else if !s.alive(m, now) {
		*m = memo{backend: unique.Make(backend), telling: m.telling}
	}
	m.used = now
	due := s.due(m, now)
	p.Unlock()
	if due {
		s.tell(k, backend)
	}
}

// Close tells Redis what it has not heard yet, if it can be reached, waits for commands on their
// way and closes the connection, in three seconds at most. What is known for sure is found from now
// on, too; all other calls return an error.
func (s *Store) Close() {
	s.end()
	s.conn.Close()
}

// end ends the mending and has none begin any more.
func (s *Store) end() {
	s.mu.Lock()
	if !s.closed {
		close(s.closing)
	}
	s.closed = true
	s.mu.Unlock()
	s.mendings.Wait()
}

var errContested = errors.New("somebody else writes to the session")

// failed counts an error and says whose it is.
func (s *Store) failed(err error) error {
	s.count.errors.Add(1)
	if err == redisconn.ErrDown { // for every request of an outage: costs nothing
		return errDown
	}
	return fmt.Errorf("redisstore: %w", err)
}

var errDown = fmt.Errorf("redisstore: %w", redisconn.ErrDown)
