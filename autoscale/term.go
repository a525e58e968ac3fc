package autoscale

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"
)

// term is the time for which an instance leads. Only the goroutine of its fleet writes to it.
type term struct {
	held   context.Context
	resign func()

	generation uint64    // of the State since it was claimed; 0 before
	last       time.Time // decision; zero before the first
	plan       Plan
	owed       bool // launches that were lost are to be made up for
}

// campaign leads whenever it can, until ctx is done.
func (f *fleet) campaign(ctx context.Context) {
	for ctx.Err() == nil {
		held, resign, err := f.cfg.Leader.Lead(ctx)
		if err != nil {
			pause(ctx, f.beat)
			continue
		}
		f.held.Store(&term{held: held, resign: resign, plan: f.cfg.Plan, owed: true})
		f.awake()
		<-held.Done()
		f.held.Store(nil)
		resign()
		pause(ctx, f.beat/10) // whoever loses at once does not try at once
	}
}

// pause waits for a time, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// lead does what is the leader's to do, if this instance leads.
func (f *fleet) lead(ctx context.Context, now time.Time) {
	t := f.held.Load()
	if t == nil || t.held.Err() != nil || !f.fresh || now.Before(f.calm) {
		return
	}
	if t.generation == 0 {
		if !f.swap(ctx, f.state.claimed(f.instance)) {
			return
		}
		t.generation = f.state.Generation
	}
	if f.state.Leader != f.instance || f.state.Generation != t.generation {
		t.resign() // a later leader has come; a term is claimed once
		return
	}
	reports, err := f.cfg.Leader.Reports(ctx)
	if err != nil {
		return
	}
	f.tally.hear(now, reports)
	f.expire(ctx, t, now)
	f.dismiss(ctx, t, now)
	if f.fresh && now.Sub(t.last) >= f.cfg.Interval-f.beat/2 {
		f.decideAll(ctx, t, now)
	}
}

// expire forgets launches that should have ended: whoever was at them has gone, or will find that
// nobody waits, and terminate what it has launched.
func (f *fleet) expire(ctx context.Context, t *term, now time.Time) {
	for _, b := range f.state.in(Starting) {
		overdue := now.Sub(f.marks[b.Key].at) > f.cfg.LaunchTimeout+10*f.beat && now.Sub(f.well) > 10*f.beat
		if !f.fresh || !overdue || !f.swap(ctx, f.state.without(b.Key)) {
			continue
		}
		t.owed = true
		n := f.size()
		f.tell(Failed, move{from: n, to: n, reason: "an instance has not told how a launch ended"})
	}
}

// dismiss terminates what no instance has in its pool any more, or had long enough to drain.
func (f *fleet) dismiss(ctx context.Context, t *term, now time.Time) {
	snap, n := f.cfg.Pool.Snapshot(), f.size()
	for _, b := range f.state.in(Leaving) {
		m, id := f.marks[b.Key], b.id()
		drained := snap.Find(id) == nil && f.tally.clear(f.instance, id, f.state.Generation, m.revision)
		late := min(now.Sub(m.at), now.Sub(f.well)) > f.cfg.DrainTimeout+5*f.beat
		if f.own[b.Key] || !drained && !late || t.held.Err() != nil {
			continue
		}
		f.own[b.Key] = true
		reason := cmp.Or(f.why[b.Key], "another instance led when it was told to go")
		delete(f.why, b.Key)
		f.tasks.Go(func() {
			defer f.awake()
			err := f.terminate(ctx, id)
			f.notes.end(ending{key: b.Key, gone: true, err: err, move: move{id: id, from: n + 1, to: n, reason: reason}})
		})
	}
}

// decideAll asks the plan about the load of all instances. What it calls for is written down
// first, and only done by whoever could write it.
func (f *fleet) decideAll(ctx context.Context, t *term, now time.Time) {
	l := f.loadAll(t, now)
	var want int
	t.plan, want = t.plan.Next(l)
	t.last = now
	if t.owed {
		want = max(want, min(f.state.Desired, f.cfg.Max))
	}
	keys := make([]string, f.start(now, want-l.Backends))
	for i := range keys {
		keys[i] = rand.Text()
	}
	t.owed = t.owed && len(keys) < want-l.Backends
	leave := f.surplus(max(0, l.Backends-want))
	if want == f.state.Desired && len(keys)+len(leave) == 0 {
		return
	}
	if !f.swap(ctx, f.state.wanting(want, f.instance, keys, leave)) {
		f.mirror(now, false)
		return
	}
	reason, deadline := f.reason(l), now.Add(f.cfg.LaunchTimeout) // from before the others know
	for i, key := range keys {
		f.own[key] = true
		e := ending{key: key, move: move{from: l.Backends + i, to: l.Backends + i + 1, reason: reason}}
		f.moves.Go(func() { f.begin(ctx, t, e, deadline) })
	}
	for _, b := range f.state.in(Leaving) {
		if slices.Contains(leave, b.id()) {
			f.why[b.Key] = reason
		}
	}
}

// begin launches a backend, unless the term or the time for it is over by now. The end of the term
// does not cut it short: whoever leads next knows of it and waits.
func (f *fleet) begin(ctx context.Context, t *term, e ending, deadline time.Time) {
	defer f.awake()
	within, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := errors.Join(t.held.Err(), within.Err()); err != nil {
		e.err, e.cut = err, true
	} else {
		e.spec, e.err = f.cfg.Provider.Launch(within)
		e.cut = e.err != nil && ctx.Err() != nil
	}
	f.notes.end(e)
}

// loadAll says how things stand for all instances.
func (f *fleet) loadAll(t *term, now time.Time) Load {
	l := Load{Now: now, Moved: now}
	if !t.last.IsZero() {
		l.Interval = now.Sub(t.last)
	}
	f.stand(&l, f.state.leaves)
	snap := f.cfg.Pool.Snapshot()
	for _, b := range f.state.in(Serving) {
		if snap.Find(b.id()) == nil {
			l.Backends++ // it will be
		}
	}
	f.tally.add(&l)
	return l
}

// size is the number of backends, as in Load.
func (f *fleet) size() int {
	var l Load
	f.stand(&l, f.state.leaves)
	return l.Backends
}
