package fleet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// look takes in what has happened, judges, and tells the others what is new.
func (f *Fleet) look(b bus, now time.Time) {
	f.mu.Lock()
	snap := f.cfg.Pool.Snapshot()
	f.renewLocked(snap)
	records := *f.records.Load()
	f.peers.expire(now)
	for i := range snap.Len() {
		be := snap.At(i)
		r := records[be.ID()]
		if r.held.why != stays && !be.Facts().Has(lb.Ejected) { // somebody else has let it back
			r.held, r.by, r.refused = hold{}, nil, now.Add(fresh)
		}
		r.look(be, now)
	}
	if f.concernedLocked(records) {
		f.decideLocked(snap, records, now)
	}
	message, keep, stale := f.out.next(f, snap, records, now)
	f.mu.Unlock()
	if message != "" {
		b.send(f.peers.me, message, keep, stale)
	}
}

// concernedLocked reports whether there is anything to judge.
func (f *Fleet) concernedLocked(records map[string]*record) bool {
	for _, p := range f.peers.all {
		if p.against > 0 {
			return true
		}
	}
	for _, r := range records {
		if r.held.why != stays || r.again() {
			return true
		}
	}
	return false
}

// decideLocked judges all backends and acts.
func (f *Fleet) decideLocked(snap *lb.Snapshot, records map[string]*record, now time.Time) {
	present := f.peers.present(now)
	bn := f.benchLocked(snap, records, present, now)
	verdicts := bn.judge()
	for i, v := range verdicts { // first those that make room
		if r := records[bn.matters[i].id]; v.why == stays {
			f.releaseLocked(bn.matters[i].id, r, now, "fleet: nothing is left against it")
		}
	}
	for i, v := range verdicts {
		m := bn.matters[i]
		r := records[m.id]
		f.noteLocked(r, v, now)
		if v.why != stays {
			f.holdLocked(m.id, r, v, present, now)
		}
	}
}

// benchLocked gathers what a verdict depends on.
func (f *Fleet) benchLocked(snap *lb.Snapshot, records map[string]*record, present []instance, now time.Time) bench {
	bn := bench{now: now, row: f.cfg.Failures, heard: make([]time.Time, len(present)), matters: make([]matter, snap.Len())}
	for i, id := range present {
		bn.heard[i] = f.peers.all[id].heard
	}
	for i := range snap.Len() {
		b := snap.At(i)
		r := records[b.ID()]
		facts := b.Facts()
		if r.held.why != stays {
			facts &^= lb.Ejected
		}
		if !facts.Has(lb.Draining) {
			bn.backends++
			if facts.Has(lb.Ejected) {
				bn.ejected++
			}
			if facts.Fit() {
				bn.fit++
			}
		}
		m := matter{id: b.ID(), own: r.own, held: r.held, again: r.again(), spare: facts.Fit() && !now.Before(r.refused)}
		m.held.by = indices(r.by, present)
		for by, id := range present {
			if w, ok := f.peers.all[id].of(b.ID()); ok {
				m.words = append(m.words, spoken{by: by, word: w})
			}
		}
		bn.matters[i] = m
	}
	const rounding = 1e-9 // so that 0.29 of 100 is 29
	bn.most = max(1, int(f.cfg.MaxShare*float64(bn.backends)+rounding))
	return bn
}

// indices finds those that are present.
func indices(ids, present []instance) (at []int) {
	for _, id := range ids {
		if i := slices.Index(present, id); i >= 0 {
			at = append(at, i)
		}
	}
	return at
}

// noteLocked counts a disagreement once.
func (f *Fleet) noteLocked(r *record, v verdict, now time.Time) {
	argued := v.out > 0 && r.own.well(now) && !r.own.standing.out()
	if argued && !r.argued {
		f.disagreements++
	}
	r.argued = argued
}

// holdLocked ejects a backend, or notes why it stays so.
func (f *Fleet) holdLocked(id string, r *record, v verdict, present []instance, now time.Time) {
	term := v.why == together && (r.held.why != together || !now.Before(r.held.until))
	if r.held.why == stays {
		if !f.cfg.Pool.Mark(id, lb.Ejected, cause(v, r, len(present)+1)) {
			return // somebody else was faster
		}
		f.ejections++
		r.held.since, r.held.own = now, r.own.row > 0 || r.own.slow
	}
	r.held.why = v.why
	if !term {
		return
	}
	if now.Sub(r.ended) > f.cfg.Time*time.Duration(r.times) {
		r.times = 0
	}
	r.times = min(r.times+1, 10)
	whole := f.cfg.Time * time.Duration(r.times)
	r.held.until = now.Add(whole - time.Duration(rand.Float64()*0.1*float64(whole)))
	r.held.own, r.tried, r.out = true, time.Time{}, now
	r.by = nil
	for _, i := range v.by {
		r.by = append(r.by, present[i])
	}
}

// cause says why, for people.
func cause(v verdict, r *record, all int) string {
	switch v.why {
	case followed:
		what := "slow here"
		if r.own.row > 0 {
			what = fmt.Sprintf("%d failed here", r.own.row)
		}
		return fmt.Sprintf("fleet: out at %d of %d instances, and %s", v.out, all, what)
	case together:
		return fmt.Sprintf("fleet: failing at %d of %d instances, %d here", v.against+1, all, r.own.row)
	}
	return fmt.Sprintf("fleet: %d of %d instances are against it, nothing is known here", v.against, all)
}

// releaseLocked takes our mark back, if there is one.
func (f *Fleet) releaseLocked(id string, r *record, now time.Time, why string) {
	if r.held.why == stays {
		return
	}
	f.cfg.Pool.Clear(id, lb.Ejected, why)
	if r.held.why == together {
		r.ended = now
		r.try(now, true)
	}
	r.held, r.by = hold{}, nil
}

// outbox is what was sent last, and when.
type outbox struct {
	sequence uint64
	at       time.Time // of the last message
	kept     time.Time // of the last that was kept
	marked   time.Time // when results were counted off last
	said     string    // what was against backends then
	from     int       // backends at which the next digest begins
	stale    []string
}

const (
	soonest   = 200 * time.Millisecond // between two messages
	keepEvery = 3 * time.Second
)

// next returns the message that is due, or "".
func (o *outbox) next(f *Fleet, snap *lb.Snapshot, records map[string]*record, now time.Time) (message string, keep bool, stale []string) {
	if now.Sub(o.at) < min(soonest, f.cfg.Interval) {
		return "", false, nil
	}
	var urgent, rest []line
	for i := range snap.Len() {
		id := snap.At(i).ID()
		w := records[id].say(now)
		switch {
		case w.standing != in || w.row > 0:
			urgent = append(urgent, line{id, w})
		case !w.mute():
			rest = append(rest, line{id, w})
		}
	}
	said := gist(urgent)
	if said == o.said && now.Sub(o.at) < f.cfg.Interval {
		return "", false, nil
	}
	if now.Sub(o.marked) >= time.Second {
		o.marked = now
		for _, r := range records {
			r.recent = r.recent.add(r.before)
		}
		f.slow.Store(int64(slowFrom(records)))
	}
	keep = said != o.said || now.Sub(o.kept) >= keepEvery
	if keep {
		o.kept, stale, o.stale = now, o.stale, nil
	}
	o.said = said
	m := o.pack(o.fit(urgent, rest), f.peers.me, now)
	f.sent++
	return string(f.peers.codec.seal(m, now)), keep, stale
}

// pack numbers a message.
func (o *outbox) pack(lines []line, me instance, now time.Time) message {
	o.sequence++
	o.at = now
	return message{from: me, sequence: o.sequence, at: now.UnixMilli(), lines: lines}
}

// fit returns as many lines as a message holds, sorted: what is against backends first, and of the
// rest others each time.
func (o *outbox) fit(urgent, rest []line) (lines []line) {
	const numbers = 64 // at most, for a line without its ID
	left := maxMessage - headLen - codeLen - binary.MaxVarintLen64
	add := func(l line) bool {
		left -= len(l.id) + numbers
		if left >= 0 {
			lines = append(lines, l)
		}
		return left >= 0
	}
	for _, l := range urgent {
		add(l)
	}
	for i := range rest {
		if !add(rest[(o.from+i)%len(rest)]) {
			o.from = (o.from + i) % len(rest)
			break
		}
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.id, b.id) })
	return lines
}

// gist is what of some lines is worth a message of its own.
func gist(lines []line) string {
	var b []byte
	for _, l := range lines {
		b = append(b, l.id...)
		b = append(b, 0, byte(l.standing), byte(min(l.row, atMost)))
	}
	return string(b)
}

// tidy notes what has been kept for longer than it counts.
func (f *Fleet) tidy(kept map[string]string, now time.Time) {
	const most = 100 // at a time
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.stale = f.out.stale[:0:0]
	for field, message := range kept {
		if len(f.out.stale) < most && len(message) >= headLen && now.UnixMilli()-sentAt(message) > lifetime.Milliseconds() {
			f.out.stale = append(f.out.stale, field)
		}
	}
}
