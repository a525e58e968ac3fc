package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// MemoryConfig bounds a Memory. The zero value is ready to use.
type MemoryConfig struct {
	// MaxSessions bounds how many sessions are kept. Zero means 1,000,000. A session takes about
	// 100 bytes, of which nothing is taken before it comes.
	MaxSessions int
	// TTL is how long a session is kept that is not used. Zero means an hour.
	TTL time.Duration
}

const (
	defaultSessions = 1_000_000
	defaultTTL      = time.Hour
	maxShards       = 64
	batch           = 256 // expired sessions removed at a time; others wait for that long
)

// Memory is an lb.SessionStore for one process. Every use of a session prolongs it by the whole
// TTL. When there is no room, the session goes whose last use is the longest ago among those of
// a part of the store, a 64th of a large one. All methods take a time that does not depend on
// the number of sessions, and none blocks but for a moment, on a lock of that part.
//
// Sessions are kept as the first 128 bits of their SHA-256, so their length does not matter.
type Memory struct {
	shards []shard
	ttl    time.Duration
	begin  time.Time
}

// NewMemory returns an empty Memory, or an error that names every wrong field. Expired sessions
// are not found any more, but their memory is used again only with [Memory.Run], or when the
// store is full.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	var errs []error
	if cfg.MaxSessions < 0 || cfg.MaxSessions > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("session: MemoryConfig.MaxSessions %d is not between 1 and %d; zero means %d", cfg.MaxSessions, math.MaxInt32, defaultSessions))
	}
	if cfg.TTL < 0 {
		errs = append(errs, fmt.Errorf("session: MemoryConfig.TTL %v is negative; zero means %v", cfg.TTL, defaultTTL))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	size := cmp.Or(cfg.MaxSessions, defaultSessions)
	// Parts of at least 1,024, for in small ones chance would fill one long before the others.
	m := &Memory{ttl: cmp.Or(cfg.TTL, defaultTTL), begin: time.Now()}
	m.shards = make([]shard, min(maxShards, max(1, size/1024)))
	for i := range m.shards {
		m.shards[i].init(size / len(m.shards))
	}
	return m, nil
}

// Lookup returns the backend that the session is bound to, or "", and prolongs the session.
func (m *Memory) Lookup(_ context.Context, session string) (backend string, err error) {
	s, k := m.find(session)
	return s.renew(k, m.now(), m.ttl), nil
}

// Bind moves a session as lb.SessionStore says.
func (m *Memory) Bind(_ context.Context, session, from, to string) (backend string, err error) {
	s, k := m.find(session)
	return s.bind(k, from, to, m.now(), m.ttl), nil
}

// Forget removes a session.
func (m *Memory) Forget(_ context.Context, session string) error {
	s, k := m.find(session)
	s.forget(k)
	return nil
}

// Seen binds a session that the store does not know, and prolongs one that it does.
func (m *Memory) Seen(session, backend string) {
	s, k := m.find(session)
	s.bind(k, "", backend, m.now(), m.ttl)
}

// Len returns the number of sessions, with those that have expired but were not removed yet.
func (m *Memory) Len() (n int) {
	for i := range m.shards {
		n += m.shards[i].len()
	}
	return n
}

// Run removes expired sessions until ctx is done, every tenth of the TTL, and a few at a time
// so that no request waits for long.
func (m *Memory) Run(ctx context.Context) error {
	tick := time.NewTicker(max(m.ttl/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.sweep(ctx)
		}
	}
}

// sweep removes what has expired.
func (m *Memory) sweep(ctx context.Context) {
	for i := range m.shards {
		for m.shards[i].sweep(m.now()) && ctx.Err() == nil {
		}
	}
}

// now is the time since the store was made: steps of the system's clock do not matter.
func (m *Memory) now() time.Duration { return time.Since(m.begin) }

// find returns the shard that a session belongs to, and its key there.
func (m *Memory) find(session string) (*shard, key) {
	var buf [128]byte
	sum := sha256.Sum256(append(buf[:0], session...)) // does not allocate for sessions that fit
	k := key(sum[:16])
	return &m.shards[binary.BigEndian.Uint32(sum[16:])%uint32(len(m.shards))], k
}
