package keep

// evict removes one entry of a full shard.
func (s *shard[V]) evict() {
	for range maxTurns {
		if s.queues[small].len*10 >= s.size || s.queues[main].len == 0 {
			if s.evictSmall() {
				return
			}
		} else if s.evictMain() {
			return
		}
	}
	q := &s.queues[main]
	if q.len == 0 {
		q = &s.queues[small]
	}
	s.drop(q.last)
}

// evictSmall decides on the earliest of the small queue: used again it moves to the main one.
func (s *shard[V]) evictSmall() bool {
	i := s.queues[small].last
	if s.entries[i].uses > 0 {
		s.cut(i)
		s.push(main, i)
		return false
	}
	s.bury(s.entries[i].hash)
	s.drop(i)
	return true
}

// evictMain decides on the earliest of the main queue: used since, it begins again with one use
// less.
func (s *shard[V]) evictMain() bool {
	i := s.queues[main].last
	if uses := s.entries[i].uses; uses > 0 {
		s.cut(i)
		s.push(main, i)
		s.entries[i].uses = uses - 1
		return false
	}
	s.drop(i)
	return true
}

func (s *shard[V]) drop(i uint32) {
	s.remove(i)
	s.evictions++
}

// bury remembers a hash until another takes its place, on average after as many burials as the
// shard has entries.
func (s *shard[V]) bury(hash uint32) {
	if s.ghosts == nil {
		s.ghosts = make([]uint32, s.size)
	}
	s.ghosts[s.grave(hash)] = hash | 1
}

// remembers reports whether a hash was buried not long ago, and forgets it.
func (s *shard[V]) remembers(hash uint32) bool {
	if s.ghosts == nil {
		return false
	}
	at := &s.ghosts[s.grave(hash)]
	if *at != hash|1 {
		return false
	}
	*at = 0
	return true
}

// grave spreads hashes, whose low bits the index uses, over all graves.
func (s *shard[V]) grave(hash uint32) uint64 {
	return uint64(hash*0x9e3779b1) * uint64(len(s.ghosts)) >> 32
}
