package redisstore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/keep"
)

// maxDirty bounds what Redis will be told of after an outage: at 200 bytes each, 25 MB.
const maxDirty = 1 << 17

// change is what Redis has not heard yet: that a session which it has on base, or does not have, is
// on another backend.
type change struct {
	base, to string
	used     time.Duration // when the session was last used
	serial   uint64        // of the latest change
	born     uint64        // serial of the first
}

// dirty holds changes in the order in which they began. When it is full the oldest goes.
type dirty struct {
	most    int
	len     atomic.Int64 // of by, for those who ask whether there are any
	lost    atomic.Uint64
	mu      sync.Mutex
	by      map[keep.Key]change
	order   []birth // with some that have gone
	serials uint64
}

type birth struct {
	key  keep.Key
	born uint64
}

// put notes a change, whose base is that of an earlier one that Redis has not heard of either.
func (d *dirty) put(k keep.Key, c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = make(map[keep.Key]change)
	}
	d.serials++
	c.serial, c.born = d.serials, d.serials
	if old, ok := d.by[k]; ok {
		c.base, c.born = old.base, old.born
	} else {
		d.roomLocked()
		d.order = append(d.order, birth{k, c.born})
	}
	d.by[k] = c
	d.len.Store(int64(len(d.by)))
}

// roomLocked makes room for one more.
func (d *dirty) roomLocked() {
	if len(d.order) > 2*len(d.by)+64 {
		kept := make([]birth, 0, len(d.by)+1)
		for _, b := range d.order {
			if d.hasLocked(b) {
				kept = append(kept, b)
			}
		}
		d.order = kept
	}
	for len(d.by) >= d.most {
		if oldest := d.order[0]; d.hasLocked(oldest) {
			delete(d.by, oldest.key)
			d.lost.Add(1)
		}
		d.order = d.order[1:]
	}
}

func (d *dirty) hasLocked(b birth) bool {
	c, ok := d.by[b.key]
	return ok && c.born == b.born
}

// find returns what Redis has not heard of a session.
func (d *dirty) find(k keep.Key) (change, bool) {
	if d.len.Load() == 0 {
		return change{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.by[k]
	return c, ok
}

// use notes that a session is in use.
func (d *dirty) use(k keep.Key, now time.Duration) {
	if d.len.Load() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.by[k]; ok {
		c.used = now
		d.by[k] = c
	}
}

// heard notes that Redis has heard of a change, and has the session on another backend now. If
// there was another change since, Redis has to hear of that.
func (d *dirty) heard(k keep.Key, c change, now string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	latest, ok := d.by[k]
	if ok && latest.serial != c.serial {
		latest.base = now
		d.by[k] = latest
		return
	}
	delete(d.by, k)
	d.len.Store(int64(len(d.by)))
}

// drop forgets what Redis should hear of a session.
func (d *dirty) drop(k keep.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.by, k)
	d.len.Store(int64(len(d.by)))
}

// pending is one session's change.
type pending struct {
	key keep.Key
	change
}

// oldest returns the changes that began first, at most n.
func (d *dirty) oldest(n int) (some []pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.order) > 0 && !d.hasLocked(d.order[0]) {
		d.order = d.order[1:]
	}
	for _, b := range d.order {
		if len(some) == n {
			break
		}
		if d.hasLocked(b) {
			some = append(some, pending{b.key, d.by[b.key]})
		}
	}
	if len(d.by) == 0 {
		d.by, d.order = nil, nil // may have been large
	}
	return some
}
