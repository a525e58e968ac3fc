package autoscale

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// fleet is one instance of several that scale together. All that is read and written of the State
// is read and written by one goroutine, once a beat: launches, drains and terminations that end
// elsewhere only leave a note, and wake it.
type fleet struct {
	*Scaler
	instance string
	beat     time.Duration
	began    time.Time
	wake     chan struct{}
	held     atomic.Pointer[term] // nil while another leads
	tasks    sync.WaitGroup       // drains and terminations

	// Of the one goroutine.
	state   State           // the newest that is known; never older than the last one known
	fresh   bool            // Redis, or what there is, has just said so
	heard   time.Time       // when something was read
	well    time.Time       // since when that has not failed for longer than three beats
	calm    time.Time       // before this nobody leads, for others may know more
	marks   map[string]mark // by the key of a launch
	totals  Report
	tally   tally
	own     map[string]bool   // launches and terminations that are not accounted for, by the key of the launch
	why     map[string]string // backends are to go, by the key of the launch
	lost    []Launched        // by the State, and not yet put back
	pending []ending          // what could not be accounted for yet

	notes notes
}

// mark says since when a launch has been in its phase, as far as this instance knows.
type mark struct {
	phase    Phase
	at       time.Time
	revision uint64
}

// aBeat is how often an instance reports and looks, if Config.Interval is not shorter.
const aBeat = time.Second

// newFleet makes an instance under a name that nobody had.
func (s *Scaler) newFleet() *fleet {
	beat := min(aBeat, s.cfg.Interval)
	return &fleet{
		Scaler: s, instance: rand.Text(), beat: beat, began: time.Now(), wake: make(chan struct{}, 1),
		marks: make(map[string]mark), own: make(map[string]bool), why: make(map[string]string),
		tally: tally{beat: beat},
	}
}

// run acts as an instance until ctx is done. What was launched stays; what is being launched is
// cut short, and accounted for as far as the others can be told.
func (f *fleet) run(ctx context.Context) {
	defer f.tasks.Wait()
	campaign := make(chan struct{})
	go func() {
		defer close(campaign)
		f.campaign(ctx)
	}()
	tick := time.NewTicker(f.beat)
	defer tick.Stop()
	f.report(ctx, time.Now()) // those who drain know of this pool before there is something in it
	for ctx.Err() == nil {
		f.live(ctx, time.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-f.wake:
		}
	}
	<-campaign
	f.finish(context.WithoutCancel(ctx))
}

// live is one beat.
func (f *fleet) live(ctx context.Context, now time.Time) {
	f.read(ctx, now)
	f.settle(ctx, now)
	f.follow(ctx)
	f.report(ctx, now)
	f.lead(ctx, now)
}

// read learns the State. If what is stored is older than what is known, it was lost, and is put
// back; then others, who may know more, have two beats to say so.
func (f *fleet) read(ctx context.Context, now time.Time) {
	stored, err := f.cfg.Leader.Read(ctx)
	f.fresh = err == nil
	if f.fresh && now.Sub(f.heard) > 3*f.beat {
		f.well = now
	}
	if f.fresh {
		f.heard = now
	}
	if f.calm.IsZero() && f.fresh && stored.Revision == 0 {
		f.calm = now.Add(2 * f.beat)
	}
	if f.fresh && stored.before(f.state) {
		f.calm = now.Add(2 * f.beat)
		known := f.state
		f.state = stored
		if !f.swap(ctx, known) {
			f.state, f.fresh = known, false
		}
		return
	}
	if f.fresh {
		f.adopt(stored, now)
	}
}

// adopt takes a State as the newest.
func (f *fleet) adopt(next State, now time.Time) {
	f.lost = append(f.lost, next.lacks(f.state, now.Equal(f.well))...)
	f.state = next
	marks := make(map[string]mark, len(next.Backends))
	moved := len(next.Backends) != len(f.marks)
	for _, b := range next.Backends {
		m, known := f.marks[b.Key]
		if !known || m.phase != b.Phase {
			m, moved = mark{phase: b.Phase, at: now, revision: next.Revision}, true
		}
		marks[b.Key] = m
	}
	f.marks = marks
	f.mirror(now, moved)
}

// swap replaces the State, and reports whether it has.
func (f *fleet) swap(ctx context.Context, next State) bool {
	swapped, err := f.cfg.Leader.Swap(ctx, f.state, next)
	if err != nil || !swapped {
		f.fresh = false // somebody else has, or nobody knows
		return false
	}
	f.adopt(next, time.Now())
	return true
}

// mirror keeps the Scaler's own account of what there is.
func (f *fleet) mirror(now time.Time, moved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.launched = f.launched[:0]
	for _, b := range f.state.in(Serving) {
		f.launched = append(f.launched, b.id())
	}
	f.starting, f.leaving = len(f.state.in(Starting)), len(f.state.in(Leaving))
	if moved {
		f.moved = now
	}
}

// report says what this instance has seen, so that its share is in what the leader decides by.
func (f *fleet) report(ctx context.Context, now time.Time) {
	r := &f.totals
	flow := f.meter.take(now)
	r.Up = now.Sub(f.began)
	r.Answered += f.answered.Swap(0)
	r.Failed += f.failed.Swap(0)
	r.Begun, r.Ended, r.Busy = r.Begun+flow.begun, r.Ended+flow.ended, r.Busy+flow.busy
	r.Draining, r.InFlight = f.notes.drains(), 0
	snap := f.cfg.Pool.Snapshot()
	for i := range snap.Len() {
		r.InFlight += snap.At(i).InFlight()
	}
	sent := *r
	_ = f.cfg.Leader.Report(ctx, f.instance, &sent) // the next one says it, too
}
