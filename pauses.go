package lb

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Pauses measures for how long this program did not get to run: because it was stopped, its machine
// was, others had the processors, or the garbage collector stopped the world. Give it to
// Config.Pauses and to [Run]:
//
//	pauses := new(lb.Pauses)
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, Pauses: pauses})
//	err = lb.Run(ctx, pauses)
//
// Then a pause of ours is not a backend's latency: as much of it is taken off what an attempt that
// overlaps it took as may be due to it, down to what its backend takes usually, and a timeout that may
// be due to it proves nothing; a hedge waits for as much longer. Package health can be given it, too, for
// checks and suspicions. Without Run nothing is measured, and nothing taken off.
//
// The zero value is ready to be used, by many goroutines at once and by any number of balancers. It
// must not be copied.
type Pauses struct {
	running atomic.Bool
	begin   atomic.Pointer[time.Time] // of the first Run
	word    atomic.Uint64             // a tick
}

const (
	// tickEvery is the time between two looks at the clock, which cost 5 to 10 ms of processor time
	// per second when nothing else is done. A pause is known to within this time.
	tickEvery = 10 * time.Millisecond
	// tickLate is how late a look may be without being a pause: timers are late by up to a
	// millisecond, and by more on a machine that is busy, but so is whatever is measured then.
	tickLate = 5 * time.Millisecond
	// tickUnit is the resolution: in 32 bits it wraps after three days, and differences are exact
	// as long as nothing lasts half as long.
	tickUnit = 65536 * time.Nanosecond
)

// tick is when the next look at the clock is due, in units since the first Run, and in the upper
// half how many units all pauses before took, both modulo 2^32. Being one word, they agree. Zero
// is a tick of nobody who looks.
type tick uint64

func newTick(lost, due uint32) tick { return tick(lost)<<32 | tick(due) }

func (t tick) lost() uint32 { return uint32(t >> 32) }

// late is how late the look is at a time, as far as that is a pause.
func (t tick) late(now uint32) uint32 {
	late := int32(now - uint32(t))
	if late < int32(tickLate/tickUnit) {
		return 0
	}
	return uint32(late)
}

// at is how many units all pauses took until a time, with the one that nobody has noted yet.
func (t tick) at(now uint32) uint32 { return t.lost() + t.late(now) }

// next is the tick after a look at the clock.
func (t tick) next(now uint32) tick {
	return newTick(t.at(now), max(1, now+uint32(tickEvery/tickUnit)))
}

// Run measures until ctx is done. It fails at once if another Run of p has not ended.
func (p *Pauses) Run(ctx context.Context) error {
	if !p.running.CompareAndSwap(false, true) {
		return errors.New("lb: Pauses is running already; run it once")
	}
	defer p.running.Store(false)
	now := time.Now()
	p.begin.CompareAndSwap(nil, &now)
	p.start(now)
	defer p.stop()
	timer := time.NewTimer(tickEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			p.look(time.Now())
			timer.Reset(tickEvery)
		}
	}
}

// start begins to measure; what was lost before remains.
func (p *Pauses) start(now time.Time) {
	due := p.units(now) + uint32(tickEvery/tickUnit)
	p.word.Store(uint64(newTick(tick(p.word.Load()).lost(), max(1, due))))
}

// look notes whether the clock is looked at too late.
func (p *Pauses) look(now time.Time) {
	p.word.Store(uint64(tick(p.word.Load()).next(p.units(now))))
}

// stop ends the measuring.
func (p *Pauses) stop() { p.word.Store(uint64(newTick(tick(p.word.Load()).lost(), 0))) }

func (p *Pauses) units(now time.Time) uint32 { return uint32(now.Sub(*p.begin.Load()) / tickUnit) }

// Lost returns how long all pauses took until now; after three days of them it begins at zero again.
// Subtract what it returned before, to know of the time between. What is shorter than 5 ms is no
// pause. It costs one look at the clock and two atomic loads. A nil Pauses has lost nothing.
func (p *Pauses) Lost() time.Duration {
	if p == nil {
		return 0
	}
	return time.Duration(p.lost(time.Now())) * tickUnit
}

// lost is Lost in units, at a time.
func (p *Pauses) lost(now time.Time) uint32 {
	if p == nil || p.begin.Load() == nil {
		return 0
	}
	t := tick(p.word.Load())
	if uint32(t) == 0 {
		return t.lost()
	}
	return t.at(p.units(now))
}

// since is how long pauses took since lost was what it was.
func (p *Pauses) since(lost uint32, now time.Time) time.Duration {
	return time.Duration(max(0, int32(p.lost(now)-lost))) * tickUnit
}

// without returns what an answer took of a time of which pauses took paused. It may have come before
// a pause ended, or as it ended, and what that took is known to within an interval between two looks
// at the clock. Of all times that are possible it returns the one that is nearest to what was
// expected; zero means that nothing was.
func without(took, paused, expected time.Duration) time.Duration {
	if paused == 0 {
		return took
	}
	least := max(0, took-paused-tickEvery)
	return min(max(cmp.Or(expected, took-paused), least), took)
}
