package redisstore

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// counters are what a store counts by itself.
type counters struct {
	memory, unverified, redis, misses, rejected, errors atomic.Uint64
	touches, replayed, adopted, restored                atomic.Uint64
	invalidations, epochs                               atomic.Uint64
	waits                                               [len(waitBounds) + 1]atomic.Uint64
	waitTotal                                           atomic.Int64
}

// waitBounds are the bounds of Stats.Waits.
var waitBounds = [...]time.Duration{
	250 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond,
}

// waited notes that a call has waited for Redis since a time.
func (s *Store) waited(since time.Duration) {
	d := s.now() - since
	i := 0
	for i < len(waitBounds) && d > waitBounds[i] {
		i++
	}
	s.count.waits[i].Add(1)
	s.count.waitTotal.Add(int64(d))
}

// Stats is what a Store has done so far, and what it has.
type Stats struct {
	HitsMemory     uint64 // look-ups answered by what is known for sure here, without a command
	HitsUnverified uint64 // look-ups and binds answered by what was known last, while Redis was away
	HitsRedis      uint64 // look-ups that Redis has answered with a backend
	Misses         uint64 // look-ups that found none
	Rejected       uint64 // values found in Redis that are not ours
	Errors         uint64 // calls that failed, most of them because Redis is away and nothing is known

	Touches  uint64 // commands by which Redis was to be told that a session is in use
	Commands uint64 // sent to Redis
	Refused  uint64 // commands that were not sent, as Redis is unreachable or too busy
	InFlight int    // commands that have not ended, at most 256

	Dirty         int    // sessions moved or begun while Redis was away, of which it has to hear yet
	Replayed      uint64 // such sessions that Redis has heard of
	Lost          uint64 // such sessions that had to go for want of room before
	Adopted       uint64 // sessions that Redis had on another backend than was known here
	Restored      uint64 // sessions that were given back to a Redis which should have known them
	Invalidations uint64 // changes that Redis has told of, our own among them
	Epochs        uint64 // times that anything may have changed: lost connections, FLUSHALL

	Sessions  int    // known here
	Bytes     int    // that they take
	Evictions uint64 // sessions that had to go here for want of room

	Down     bool // Redis is believed to be unreachable
	Tracking bool // Redis tells of changes

	// Waits counts the calls that waited for Redis, by how long: up to 250 µs, 1 ms, 5 ms, 20 ms,
	// 50 ms, 100 ms, and longer. WaitTotal is the sum of their times.
	Waits     [len(waitBounds) + 1]uint64
	WaitTotal time.Duration
}

// Stats returns the counts up to now. It takes a moment for each 64th of the sessions that are
// known.
func (s *Store) Stats() Stats {
	n, known, c := &s.count, s.known.Stats(), s.conn.Stats()
	stats := Stats{
		HitsMemory: n.memory.Load(), HitsUnverified: n.unverified.Load(), HitsRedis: n.redis.Load(),
		Misses: n.misses.Load(), Rejected: n.rejected.Load(), Errors: n.errors.Load(),
		Touches: n.touches.Load(), Commands: c.Commands, Refused: c.Refused, InFlight: c.InFlight,
		Dirty: int(s.dirty.len.Load()), Replayed: n.replayed.Load(), Lost: s.dirty.lost.Load(),
		Adopted: n.adopted.Load(), Restored: n.restored.Load(),
		Invalidations: n.invalidations.Load(), Epochs: n.epochs.Load(),
		Sessions: known.Len, Bytes: known.Bytes + int(unsafe.Sizeof(Store{})), Evictions: known.Evictions,
		Down: c.Down, Tracking: s.conn.Tracking(), WaitTotal: time.Duration(n.waitTotal.Load()),
	}
	for i := range n.waits {
		stats.Waits[i] = n.waits[i].Load()
	}
	return stats
}
