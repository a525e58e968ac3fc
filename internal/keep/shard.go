package keep

// none is the index of no entry.
const none = ^uint32(0)

// The queues that an entry may be in.
const (
	free uint8 = iota // a place to be used again
	small
	main
)

// entry is one key with its value, or a free place.
type entry[V any] struct {
	key        Key
	hash       uint32
	prev, next uint32 // towards later and earlier arrival; next also lists the free places
	uses       uint8  // since it came into its queue, or was asked there
	queue      uint8
	value      V
}

// queue is a list of entries in the order in which they came.
type queue struct {
	first, last uint32 // the latest and the earliest
	len         int
}

// shard is a part of a Table.
type shard[V any] struct {
	guarded
	size      int // entries at most
	len       int
	entries   []entry[V]
	index     []uint32 // places of entries by hash with linear probing, 0 for none, else one more
	ghosts    []uint32 // hashes of those who left the small queue unused, by hash; nil before the first
	queues    [3]queue
	free      uint32
	evictions uint64
}

func (s *shard[V]) init(size int) {
	s.size, s.free = size, none
	for i := range s.queues {
		s.queues[i] = queue{first: none, last: none}
	}
}

// find returns the place of k's entry, or none.
func (s *shard[V]) find(k Key, hash uint32) uint32 {
	if len(s.index) == 0 {
		return none
	}
	mask := uint32(len(s.index) - 1)
	for at := hash & mask; s.index[at] != 0; at = (at + 1) & mask { // a quarter is free
		i := s.index[at] - 1
		if e := &s.entries[i]; e.hash == hash && e.key == k {
			return i
		}
	}
	return none
}

// add makes an entry for k, which has none.
func (s *shard[V]) add(k Key, hash uint32) *V {
	if s.len >= s.size {
		s.evict()
	}
	to := small
	if s.remembers(hash) {
		to = main
	}
	i := s.take()
	s.entries[i] = entry[V]{key: k, hash: hash}
	s.push(to, i)
	s.note(i)
	return &s.entries[i].value
}

// take returns a place for an entry.
func (s *shard[V]) take() uint32 {
	s.len++
	if i := s.free; i != none {
		s.free = s.entries[i].next
		return i
	}
	if n := len(s.entries); n == cap(s.entries) {
		grown := make([]entry[V], n, min(s.size, max(16, n+n/2)))
		copy(grown, s.entries)
		s.entries = grown
	}
	s.entries = append(s.entries, entry[V]{})
	return uint32(len(s.entries) - 1)
}

// note puts entry i into the index, and makes that larger when three quarters are taken.
func (s *shard[V]) note(i uint32) {
	if 4*s.len > 3*len(s.index) {
		s.index = make([]uint32, max(16, 2*len(s.index)))
		for j := range s.entries {
			if s.entries[j].queue != free {
				s.point(uint32(j))
			}
		}
		return
	}
	s.point(i)
}

func (s *shard[V]) point(i uint32) {
	mask := uint32(len(s.index) - 1)
	at := s.entries[i].hash & mask
	for s.index[at] != 0 {
		at = (at + 1) & mask
	}
	s.index[at] = i + 1
}

// remove removes entry i.
func (s *shard[V]) remove(i uint32) {
	s.cut(i)
	s.unpoint(i)
	s.entries[i] = entry[V]{next: s.free}
	s.free = i
	s.len--
}

// unpoint takes entry i out of the index and moves back what had to pass it by: Knuth, The Art of
// Computer Programming, volume 3, section 6.4, algorithm R.
func (s *shard[V]) unpoint(i uint32) {
	mask := uint32(len(s.index) - 1)
	at := s.entries[i].hash & mask
	for s.index[at] != i+1 {
		at = (at + 1) & mask
	}
	for next := (at + 1) & mask; s.index[next] != 0; next = (next + 1) & mask {
		home := s.entries[s.index[next]-1].hash & mask
		if (next-home)&mask >= (next-at)&mask {
			s.index[at] = s.index[next]
			at = next
		}
	}
	s.index[at] = 0
}

// push puts entry i at the beginning of a queue.
func (s *shard[V]) push(to uint8, i uint32) {
	q, e := &s.queues[to], &s.entries[i]
	e.queue, e.uses, e.prev, e.next = to, 0, none, q.first
	if q.first == none {
		q.last = i
	} else {
		s.entries[q.first].prev = i
	}
	q.first = i
	q.len++
}

// cut takes entry i out of its queue.
func (s *shard[V]) cut(i uint32) {
	e := &s.entries[i]
	q := &s.queues[e.queue]
	if e.prev == none {
		q.first = e.next
	} else {
		s.entries[e.prev].next = e.next
	}
	if e.next == none {
		q.last = e.prev
	} else {
		s.entries[e.next].prev = e.prev
	}
	q.len--
}
