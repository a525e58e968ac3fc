package redisstore

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	places = 1 << 16 // half a megabyte
	ticks  = 64      // that the gap is divided into
)

// recent remembers which sessions Redis was told of within a gap of time. It is a table in which
// each session has one place, and the last one there has it: who was displaced is told of again,
// which costs a command and no more. It never grows, and nothing in it can block.
type recent struct {
	seed  maphash.Seed
	begin time.Time
	tick  time.Duration
	epoch atomic.Uint32
	at    [places]atomic.Uint64 // 32 bits of hash, then of the time in ticks since begin; 0 is free
}

func newRecent(gap time.Duration) *recent {
	return &recent{seed: maphash.MakeSeed(), begin: time.Now(), tick: gap / ticks}
}

// claim reports whether it is time to tell Redis of a session on a backend. Of several who ask
// at the same time, one is told so.
func (r *recent) claim(session, backend string) bool {
	place, mark := r.find(session, backend)
	now := uint32(time.Since(r.begin)/r.tick) + 1
	was := place.Load()
	if was != 0 && uint32(was>>32) == mark && now-uint32(was) < ticks {
		return false
	}
	return place.CompareAndSwap(was, uint64(mark)<<32|uint64(now))
}

// release takes a claim back.
func (r *recent) release(session, backend string) {
	place, mark := r.find(session, backend)
	if was := place.Load(); uint32(was>>32) == mark {
		place.CompareAndSwap(was, 0)
	}
}

// forget takes back all claims of a session.
func (r *recent) forget(session string) {
	place, _ := r.find(session, "")
	place.Store(0)
}

// reset takes back all claims.
func (r *recent) reset() { r.epoch.Add(1) }

// find returns the place of a session, and what marks it there on a backend.
func (r *recent) find(session, backend string) (place *atomic.Uint64, mark uint32) {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(session)
	place = &r.at[h.Sum64()%places]
	h.WriteByte(0)
	h.WriteString(backend)
	return place, uint32(h.Sum64()>>32) ^ r.epoch.Load()
}
