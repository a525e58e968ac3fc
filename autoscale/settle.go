package autoscale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
)

// settle accounts in the State for what has ended here. Whoever leads meanwhile, these are facts:
// the launch or termination itself was begun by one who led then. What cannot be written is kept
// until it can.
func (f *fleet) settle(ctx context.Context, now time.Time) {
	f.pending = append(f.pending, f.notes.ended()...)
	var later []ending
	for _, e := range f.pending {
		fresh := f.fresh
		if fresh && f.account(ctx, e, now) {
			continue
		}
		e.tried = e.tried || fresh
		later = append(later, e)
	}
	f.pending = later
	f.recall(ctx)
	f.disown(ctx)
}

// errLate is said of a launch that took too long, or whose leader was away for too long.
var errLate = errors.New("nobody waits for it any more")

// account writes down one ending, and reports whether that has been done.
func (f *fleet) account(ctx context.Context, e ending, now time.Time) bool {
	i := f.state.find(e.key)
	if e.gone || e.err != nil {
		if i >= 0 && !f.swap(ctx, f.state.without(e.key)) {
			return false
		}
		f.close(e, now)
		return true
	}
	b := Launched{Key: e.key, By: f.instance, Phase: Leaving, Spec: e.spec}
	e.move.id = b.id()
	switch {
	case i < 0 && e.tried: // it may have been listed, and that lost: so it goes like one that was
		if !f.swap(ctx, f.state.with(b)) {
			return false
		}
		e.err = errLate
	case i < 0:
		f.orphan(ctx, e)
		e.err = errLate
	case f.state.Backends[i].Phase == Starting:
		return f.arrive(ctx, e, now)
	} // else it was written, and nobody said so
	f.close(e, now)
	return true
}

// arrive lists a backend that was launched, or takes its launch back.
func (f *fleet) arrive(ctx context.Context, e ending, now time.Time) bool {
	terminate, err := f.refuse(e.spec)
	if err == nil {
		b := Launched{Key: e.key, By: f.instance, Phase: Serving, Spec: e.spec}
		if !f.swap(ctx, f.state.with(b)) {
			return false
		}
		f.close(e, now)
		return true
	}
	if !f.swap(ctx, f.state.without(e.key)) {
		return false
	}
	e.err = fmt.Errorf("%q: %w", e.move.id, err)
	if terminate {
		f.orphan(ctx, e)
	}
	f.close(e, now)
	return true
}

// refuse says why a launched backend cannot be added to the pools, and whether it is to be
// terminated then. One that has the ID of another is not: what would go is the one that serves.
func (f *fleet) refuse(spec lb.Spec) (terminate bool, err error) {
	if f.state.has(Launched{Spec: spec}.id()) {
		return false, errors.New("its ID is in use")
	}
	b, err := lb.NewBackend(spec, nil)
	if err == nil && !f.listed[b.ID()] && f.cfg.Pool.Snapshot().Find(b.ID()) != nil {
		err = errors.New("its ID is in use")
	}
	return true, err
}

// orphan terminates a launched backend that no State lists.
func (f *fleet) orphan(ctx context.Context, e ending) {
	f.tasks.Go(func() {
		if err := f.terminate(ctx, e.move.id); err != nil {
			f.tell(Failed, e.move, fmt.Errorf("terminate: %w", err))
		}
	})
}

// close tells of an ending that is accounted for.
func (f *fleet) close(e ending, now time.Time) {
	delete(f.own, e.key)
	if e.gone {
		kind := Down
		if e.err != nil {
			kind, e.err = Failed, fmt.Errorf("terminate: %w", e.err)
		}
		f.tell(kind, e.move, f.notes.fault(e.move.id, e.err))
		return
	}
	f.mu.Lock()
	if e.err == nil {
		f.backoff = backoff{}
	} else if !e.cut {
		f.backoff = f.backoff.failed(now, f.cfg.Backoff)
	}
	f.mu.Unlock()
	switch {
	case e.err == nil:
		f.tell(Up, e.move)
	case !e.cut:
		f.tell(Failed, e.move, fmt.Errorf("launch: %w", e.err))
	}
}

// recall writes what the State has lost, if it has. A backend that is not listed at all is to
// leave: if it left while this instance saw nothing, it is terminated once more.
func (f *fleet) recall(ctx context.Context) {
	for len(f.lost) > 0 && f.fresh {
		b := f.lost[0]
		i := f.state.find(b.Key)
		if i < 0 {
			b.Phase = Leaving
		}
		if (i < 0 || f.state.Backends[i].Phase < b.Phase) && !f.swap(ctx, f.state.with(b)) {
			return
		}
		f.lost = f.lost[1:]
	}
}

// disown takes back launches that this instance is said to be at and is not: it wrote them without
// knowing that it had.
func (f *fleet) disown(ctx context.Context) {
	for _, b := range f.state.in(Starting) {
		if f.fresh && b.By == f.instance && !f.own[b.Key] {
			f.swap(ctx, f.state.without(b.Key))
		}
	}
}

// finish accounts for what the end of Run has cut short. What nobody can be told of is terminated.
func (f *fleet) finish(ctx context.Context) {
	f.moves.Wait()
	f.tasks.Wait()
	for range 5 {
		now := time.Now()
		if f.settle(ctx, now); len(f.pending) == 0 {
			break
		}
		pause(ctx, f.beat)
		f.read(ctx, now)
	}
	for _, e := range f.pending {
		if e.gone || e.err != nil {
			continue // whoever leads next sees to it
		}
		e.move.id = Launched{Spec: e.spec}.id()
		e.err = errors.New("nobody could be told of it")
		f.orphan(ctx, e)
		f.close(e, time.Now())
	}
	f.pending = nil
	_ = f.cfg.Leader.Report(ctx, f.instance, nil)
}
