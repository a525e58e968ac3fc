package session

import (
	"sync"
	"time"
)

type key [16]byte

// none marks the end of a list.
const none = ^uint32(0)

// entry is one session of a shard, or a free place.
type entry struct {
	key        key
	backend    string
	until      time.Duration
	prev, next uint32 // towards later and sooner use; next also lists the free places
}

// shard is a part of a Memory. Its sessions form a list in the order of their last use. Since
// each use prolongs a session by the same time, that is also the order in which they expire:
// what has expired, and what must go for want of room, is at the end.
type shard struct {
	mu          sync.Mutex
	size        int // sessions at most
	index       map[key]uint32
	entries     []entry
	first, last uint32 // most and least recently used
	free        uint32
	_           [40]byte // two shards do not share a cache line
}

func (s *shard) init(size int) {
	s.size, s.index = size, make(map[key]uint32)
	s.first, s.last, s.free = none, none, none
}

func (s *shard) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index)
}

// renew returns who k is bound to, and prolongs that.
func (s *shard) renew(k key, now, ttl time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.liveLocked(k, now)
	if !ok {
		return ""
	}
	s.prolongLocked(i, now+ttl)
	return s.entries[i].backend
}

// bind binds k to another backend if it is bound to from, or not at all, and prolongs it. It
// returns who it is bound to afterwards.
func (s *shard) bind(k key, from, to string, now, ttl time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.liveLocked(k, now)
	if !known {
		i = s.placeLocked()
		s.entries[i] = entry{key: k, backend: to}
		s.index[k] = i
		s.pushLocked(i, now+ttl)
		return to
	}
	if s.entries[i].backend == from {
		s.entries[i].backend = to
	}
	s.prolongLocked(i, now+ttl)
	return s.entries[i].backend
}

func (s *shard) forget(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[k]; ok {
		s.removeLocked(i)
	}
}

// sweep removes a batch of expired sessions and reports whether there may be more.
func (s *shard) sweep(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range batch {
		if s.last == none || s.entries[s.last].until > now {
			return false
		}
		s.removeLocked(s.last)
	}
	return true
}

// liveLocked finds k unless it has expired.
func (s *shard) liveLocked(k key, now time.Duration) (uint32, bool) {
	i, ok := s.index[k]
	if ok && s.entries[i].until <= now {
		s.removeLocked(i)
		return none, false
	}
	return i, ok
}

// placeLocked returns a free place, if need be that of the session that was used least recently.
func (s *shard) placeLocked() uint32 {
	if len(s.index) >= s.size {
		s.removeLocked(s.last)
	}
	if i := s.free; i != none {
		s.free = s.entries[i].next
		return i
	}
	s.entries = append(s.entries, entry{})
	return uint32(len(s.entries) - 1)
}

func (s *shard) removeLocked(i uint32) {
	s.cutLocked(i)
	delete(s.index, s.entries[i].key)
	s.entries[i] = entry{next: s.free}
	s.free = i
}

func (s *shard) prolongLocked(i uint32, until time.Duration) {
	s.cutLocked(i)
	s.pushLocked(i, until)
}

// pushLocked puts i at the beginning of the list.
func (s *shard) pushLocked(i uint32, until time.Duration) {
	e := &s.entries[i]
	e.until, e.prev, e.next = until, none, s.first
	if s.first == none {
		s.last = i
	} else {
		s.entries[s.first].prev = i
	}
	s.first = i
}

// cutLocked takes i out of the list.
func (s *shard) cutLocked(i uint32) {
	e := s.entries[i]
	if e.prev == none {
		s.first = e.next
	} else {
		s.entries[e.prev].next = e.next
	}
	if e.next == none {
		s.last = e.prev
	} else {
		s.entries[e.next].prev = e.prev
	}
}
