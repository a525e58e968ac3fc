package session

import (
	"sync"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
)

// tags translates between the backends of a pool and what stands for them in cookies.
type tags struct {
	pool    lb.Pool // nil: nothing is translated
	keys    []*signer
	current atomic.Pointer[table]
	mu      sync.Mutex // held by whoever makes the next table
}

// table is all tags of one snapshot. It is never changed.
type table struct {
	snap     *lb.Snapshot
	backends map[tag]string   // by the tags of all keys
	tags     map[string][]tag // by backend, one of each key
}

// backend returns the ID that a tag stands for, or "".
func (ts *tags) backend(t tag) string {
	if ts.pool == nil {
		return ""
	}
	return ts.now().backends[t]
}

// of returns what stands for a backend in new cookies.
func (ts *tags) of(backend string) tag {
	if ts.pool == nil {
		return tag{}
	}
	if known := ts.now().tags[backend]; known != nil {
		return known[0]
	}
	return ts.keys[0].tag(backend) // it has just left the pool
}

// now returns the table of the present snapshot. The first to ask after a change makes it, and
// others wait for that: about a microsecond for each backend that is new, and less for the rest.
func (ts *tags) now() *table {
	snap := ts.pool.Snapshot()
	if t := ts.current.Load(); t != nil && t.snap == snap {
		return t
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	old := ts.current.Load()
	if old != nil && old.snap == snap {
		return old
	}
	t := ts.build(snap, old)
	ts.current.Store(t)
	return t
}

// build makes the table of a snapshot. Most changes are of facts, not of membership: then it
// shares all but the snapshot with the old table.
func (ts *tags) build(snap *lb.Snapshot, old *table) *table {
	if old == nil {
		old = &table{}
	}
	if old.has(snap) {
		return &table{snap: snap, backends: old.backends, tags: old.tags}
	}
	t := &table{
		snap:     snap,
		backends: make(map[tag]string, snap.Len()*len(ts.keys)),
		tags:     make(map[string][]tag, snap.Len()),
	}
	for i := range snap.Len() {
		id := snap.At(i).ID()
		known := old.tags[id]
		if known == nil {
			for _, k := range ts.keys {
				known = append(known, k.tag(id))
			}
		}
		t.tags[id] = known
		for _, tag := range known {
			t.backends[tag] = id
		}
	}
	return t
}

// has reports whether the table is of exactly the backends in snap.
func (t *table) has(snap *lb.Snapshot) bool {
	if t.tags == nil || len(t.tags) != snap.Len() {
		return false
	}
	for i := range snap.Len() {
		if t.tags[snap.At(i).ID()] == nil {
			return false
		}
	}
	return true
}
