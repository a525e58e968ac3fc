// Package keep is a bounded table in memory that decides who stays: S3-FIFO.
//
// Newcomers go into a small queue, a tenth of the table. Who was used again by the time it
// reaches that queue's end moves on to the main one, the others go, and leave their name. Who
// comes back under a name that is still known goes straight to the main queue, whose end asks
// the same question. A flood of keys that come once so passes through the small queue and
// displaces nobody who is used (Yang et al., FIFO queues are all you need for cache eviction,
// SOSP 2023).
//
// All is in shards with a lock each, a short array lookup under it, and no pointer for the
// garbage collector to follow but those in the values. Every operation takes a constant time,
// also at the bound, but for the growth of a shard, which doubles at most 20 times in its life.
package keep

import (
	"hash/maphash"
	"sync"
	"unsafe"
)

// Key names an entry. Keys may be chosen by strangers: they meet in a shard by chance.
type Key [16]byte

const (
	maxShards = 64
	leastSize = 1024 // of a shard: in small ones chance would fill one long before the others
	maxUses   = 3    // that are remembered of an entry
	maxTurns  = 128  // second chances given at a time: then one goes all the same
)

// Table holds values of type V by key. All its methods may be called by many goroutines at once.
type Table[V any] struct {
	seed   maphash.Seed
	shards []shard[V]
}

// New returns an empty table for at most size entries, which must be at least 1. Memory is taken
// as entries come.
func New[V any](size int) *Table[V] {
	n := min(maxShards, max(1, size/leastSize))
	t := &Table[V]{seed: maphash.MakeSeed(), shards: make([]shard[V], n)}
	for i := range t.shards {
		most := size / n
		if i < size%n {
			most++
		}
		t.shards[i].init(most)
	}
	return t
}

// Place is where a key is or would be, locked until Unlock. What its methods return is valid for
// as long, and none may be called afterwards.
type Place[V any] struct {
	shard *shard[V]
	key   Key
	hash  uint64
}

// Lock returns the place of a key. Others whose keys share its shard wait until it is unlocked,
// and so would its own goroutine: it holds one place at a time.
func (t *Table[V]) Lock(k Key) Place[V] {
	h := maphash.Bytes(t.seed, k[:])
	s := &t.shards[(h>>32)%uint64(len(t.shards))]
	s.mu.Lock()
	return Place[V]{shard: s, key: k, hash: h}
}

// Unlock lets others go on.
func (p Place[V]) Unlock() { p.shard.mu.Unlock() }

// Use returns the key's value, or nil, and counts that as a use.
func (p Place[V]) Use() *V {
	i := p.shard.find(p.key, uint32(p.hash))
	if i == none {
		return nil
	}
	e := &p.shard.entries[i]
	e.uses = min(e.uses+1, maxUses)
	return &e.value
}

// Peek returns the key's value, or nil.
func (p Place[V]) Peek() *V {
	i := p.shard.find(p.key, uint32(p.hash))
	if i == none {
		return nil
	}
	return &p.shard.entries[i].value
}

// Add returns the value of a key that has none: a zero one. If there is no room, another goes.
func (p Place[V]) Add() *V { return p.shard.add(p.key, uint32(p.hash)) }

// Remove removes the key, if it is there.
func (p Place[V]) Remove() {
	if i := p.shard.find(p.key, uint32(p.hash)); i != none {
		p.shard.remove(i)
	}
}

// Stats is what a Table holds and has done.
type Stats struct {
	Len       int    // entries now
	Evictions uint64 // entries that had to go for want of room
	Bytes     int    // taken for entries and their index, without what values point to
}

// Stats takes every shard's lock, one after the other.
func (t *Table[V]) Stats() (sum Stats) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		sum.Len += s.len
		sum.Evictions += s.evictions
		sum.Bytes += cap(s.entries)*int(unsafe.Sizeof(entry[V]{})) + 4*(len(s.index)+len(s.ghosts))
		s.mu.Unlock()
	}
	return sum
}

// Cursor is how far a walk has come. The zero one is its beginning.
type Cursor struct{ shard, entry int }

// Somewhere returns the cursor of a shard by chance, to look at some entries only.
func (t *Table[V]) Somewhere(draw uint64) Cursor {
	return Cursor{shard: int(draw % uint64(len(t.shards)))}
}

// Walk shows the next entries, of at most most places of one shard, whose lock it holds. It reports
// whether there may be more. An entry that comes or goes meanwhile may be missed.
func (t *Table[V]) Walk(at Cursor, most int, visit func(Key, *V)) (next Cursor, more bool) {
	if at.shard >= len(t.shards) {
		return at, false
	}
	s := &t.shards[at.shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	end := min(at.entry+most, len(s.entries))
	for i := at.entry; i < end; i++ {
		if e := &s.entries[i]; e.queue != free {
			visit(e.key, &e.value)
		}
	}
	if end >= len(s.entries) {
		return Cursor{shard: at.shard + 1}, at.shard+1 < len(t.shards)
	}
	return Cursor{shard: at.shard, entry: end}, true
}

// guarded is the lock of a shard and what keeps two of them off one cache line.
type guarded struct {
	mu sync.Mutex
	_  [56]byte
}
