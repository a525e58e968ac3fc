package picker

import (
	"time"

	"github.com/go-loadbalancer/lb"
)

// prequal is the picker of a Prequal over one set.
type prequal struct {
	*Prequal
	members []lb.Candidate
	peerOf  []*peer       // of the members
	index   map[*peer]int // where they are
	most    float64       // the greatest weight
}

// toAsk are backends that are to be asked for one pick, once the mutex is free.
type toAsk struct {
	backends [maxProbes]*lb.Backend
	n        int
}

func (q *prequal) Pick(info lb.PickInfo) *lb.Backend {
	if len(q.members) == 1 {
		return q.members[0].Backend
	}
	var ask toAsk
	b := q.pick(info, &ask)
	for _, b := range ask.backends[:ask.n] {
		q.cfg.Ask(b)
	}
	return b
}

func (q *prequal) pick(info lb.PickInfo, ask *toAsk) *lb.Backend {
	d, now := draws(info.Rand), info.Now.UnixNano()
	q.mu.Lock()
	defer q.mu.Unlock()
	var b *lb.Backend
	if len(q.members) < pooled {
		b = q.twoLocked(&d, info, now)
	} else {
		b = q.bestLocked(&d, info, now)
	}
	q.probeLocked(&d, info.Now, ask)
	q.draws = d
	return b
}

// bestLocked takes the best of the pool, or any backend while there is nothing to choose from.
func (q *prequal) bestLocked(d *draws, info lb.PickInfo, now int64) *lb.Backend {
	q.ageLocked(now)
	best, choice := -1, 0
	for i := range q.pool {
		a := &q.pool[i]
		if a.owner != q && !q.adopts(a) {
			continue
		}
		choice++
		if (best < 0 || a.before(&q.pool[best], q.recent.theta)) && !info.Tried(a.backend) {
			best = i
		}
	}
	if choice < 2 || best < 0 {
		q.thinLocked()
		return q.any(d, info)
	}
	a := &q.pool[best]
	b := a.backend
	a.inFlight += a.peer.scale
	if a.left--; a.left <= 0 {
		q.dropLocked(best)
	}
	q.thinLocked()
	return b
}

// adopts reports whether the probe is of a backend in this set, and remembers that.
func (q *prequal) adopts(a *probe) bool {
	i, ok := q.index[a.peer]
	if ok {
		a.owner, a.backend = q, q.members[i].Backend
	}
	return ok
}

// any draws a backend with a chance in proportion to its weight, one that was not tried if there is
// any.
func (q *prequal) any(d *draws, info lb.PickInfo) *lb.Backend {
	for range 8 {
		c := &q.members[d.below(len(q.members))]
		if d.unit()*q.most < c.Weight && !info.Tried(c.Backend) {
			return c.Backend
		}
	}
	from := d.below(len(q.members))
	for i := range q.members {
		if b := q.members[(from+i)%len(q.members)].Backend; !info.Tried(b) {
			return b
		}
	}
	return q.members[from].Backend
}

// twoLocked draws two backends and takes the one with less in flight, by what both have said of late,
// else by what is seen here.
func (q *prequal) twoLocked(d *draws, info lb.PickInfo, now int64) *lb.Backend {
	i, j := d.distinct(len(q.members))
	switch {
	case info.Tried(q.members[i].Backend):
		i = j
	case info.Tried(q.members[j].Backend):
		j = i
	}
	oldest := now - int64(q.cfg.MaxAge)
	said := q.peerOf[i].answered >= oldest && q.peerOf[j].answered >= oldest
	x, y := q.costOf(i, said, info.Now), q.costOf(j, said, info.Now)
	if y < x || x == y && said && q.peerOf[j].report.Latency < q.peerOf[i].report.Latency {
		i = j
	}
	q.peerOf[i].picked++
	return q.members[i].Backend
}

// costOf is what one more request costs on a member, by weight and failures.
func (q *prequal) costOf(i int, said bool, now time.Time) float64 {
	b, e := q.members[i].Backend, q.peerOf[i]
	l := b.Load(now)
	inFlight := l.InFlight
	if said {
		inFlight = e.report.InFlight + e.picked
	}
	return float64(inFlight+1) * e.scale * shunned(l.ErrorRate)
}

// probeLocked asks as many backends as are due, all different and each as likely as the others:
// Floyd's sample without replacement (Bentley, 1987).
func (q *prequal) probeLocked(d *draws, now time.Time, ask *toAsk) {
	n := len(q.members)
	k := min(q.probes.take(), n)
	var drawn [maxProbes]int
	for i := range k {
		last := n - k + i
		at := d.below(last + 1)
		for _, before := range drawn[:i] {
			if before == at {
				at = last
				break
			}
		}
		drawn[i] = at
		q.askLocked(at, now, ask)
	}
}

// askLocked has a member asked, or answers in its place.
func (q *prequal) askLocked(i int, now time.Time, ask *toAsk) {
	e, at := q.peerOf[i], now.UnixNano()
	e.backend = q.members[i].Backend
	answers := q.cfg.Ask != nil || q.running
	if answers && !e.mute && e.answered == 0 && e.asked != 0 && at-e.asked > int64(q.cfg.MaxAge) {
		q.silencedLocked(e, at)
	}
	if !answers || e.mute {
		l := e.backend.Load(now)
		q.addLocked(e, lb.Report{InFlight: l.InFlight, Latency: l.Latency}, l.ErrorRate, now)
		if !answers || at < e.retry {
			return
		}
		q.silencedLocked(e, at)
	}
	if e.asked == 0 {
		e.asked = at
	}
	switch {
	case q.cfg.Ask != nil:
		ask.backends[ask.n] = e.backend
		ask.n++
	case !e.waiting:
		select {
		case q.queue <- e:
			e.waiting = true
		default: // there are more backends to be asked than Run can ask
		}
	}
}

// silencedLocked notes that a backend does not answer probes, and when to ask it again.
func (p *Prequal) silencedLocked(e *peer, now int64) {
	wait := float64(p.cfg.Retry) * (0.8 + 0.4*p.draws.unit())
	e.mute, e.retry = true, now+int64(wait)
}

// Attempted makes a backend dearer at once when it has failed.
func (q *prequal) Attempted(res lb.Result) {
	if res.Outcome != lb.Failure {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.peers[res.Backend.ID()]
	for i := range q.pool {
		if a := &q.pool[i]; a.peer == e {
			a.penalise(res.Backend.ErrorRate(), q.typical)
		}
	}
}
