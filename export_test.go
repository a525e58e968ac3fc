package lb

import "time"

// Start begins to measure, as Run does, for tests that look at the clock themselves.
func (p *Pauses) Start(now time.Time) {
	p.begin.CompareAndSwap(nil, &now)
	p.start(now)
}

// StartAt is Start after the program has run for so long, and has lost so much.
func (p *Pauses) StartAt(now time.Time, ran, lost time.Duration) {
	begin := now.Add(-ran)
	p.begin.Store(&begin)
	p.word.Store(uint64(newTick(uint32(lost/tickUnit), 0)))
	p.start(now)
}

// Look is one look of Run at the clock.
func (p *Pauses) Look(now time.Time) { p.look(now) }

// Stop is the end of Run.
func (p *Pauses) Stop() { p.stop() }

// Between is what pauses took between two times, the first of which was noted as requests note it.
func (p *Pauses) Between(from uint32, now time.Time) time.Duration { return p.since(from, now) }

// Noted is what a request notes.
func (p *Pauses) Noted(now time.Time) uint32 { return p.lost(now) }

// TickEvery is the time between two looks.
const TickEvery = tickEvery
