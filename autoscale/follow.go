package autoscale

import (
	"context"
)

// follow brings the pool in line with the State: what serves is in it, and what was in it for that
// reason and serves no longer is drained from it. That the State may have been replaced since does
// not matter.
func (f *fleet) follow(ctx context.Context) {
	serving, snap := make(map[string]bool), f.cfg.Pool.Snapshot()
	for _, b := range f.state.in(Serving) {
		id := b.id()
		serving[id] = true
		if snap.Find(id) == nil && f.cfg.Pool.Add(b.Spec) == nil {
			f.listed[id] = true
		}
	}
	for id := range f.listed {
		switch {
		case serving[id], f.notes.drainsNow(id):
		case f.cfg.Pool.Snapshot().Find(id) == nil:
			delete(f.listed, id)
		default:
			f.notes.drain(id)
			f.tasks.Go(func() {
				defer f.awake()
				f.notes.drained(id, f.drain(ctx, id))
			})
		}
	}
	f.totals.Generation, f.totals.Revision = f.state.Generation, f.state.Revision
}

// awake has the next beat come at once.
func (f *fleet) awake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
