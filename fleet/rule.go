package fleet

import (
	"cmp"
	"slices"
	"time"
)

// Why a backend is out on the word of the fleet.
type reason uint8

const (
	stays    reason = iota // it is not
	followed               // others have it out, and it fails here, too
	together               // failures of several instances make up a row
	outvoted               // nothing is known here, and most instances speak against it
)

// matter is what there is to judge about one backend.
type matter struct {
	id    string
	own   word
	again bool // it was tried again after a term of ours, and has failed
	held  hold
	spare bool // it would be fit, were it not for us
	words []spoken
}

// spoken is a word and who said it, as an index into bench.heard.
type spoken struct {
	by int
	word
}

// hold is our own mark on a backend. The zero value is none.
type hold struct {
	why   reason
	since time.Time
	own   bool      // it began with a failure of ours, which stands as long as nothing succeeds
	until time.Time // the end of the term, if why is together
	by    []int     // on whose word, for a term: indices into bench.heard, of those still there
}

// bench is everything that a verdict depends on. It is a value: the rule is a function.
type bench struct {
	now      time.Time
	heard    []time.Time // when each other instance was heard last
	backends int         // that do not drain
	ejected  int         // of these, by somebody else than us
	fit      int         // of these, were it not for us
	most     int         // may be ejected at a time, by whomever
	row      int         // failures in a row that make the fleet eject; 0: it never pools them
	matters  []matter
}

// verdict is what is to be done about the matter with the same index.
type verdict struct {
	why     reason
	out     int   // other instances that have it out themselves
	against int   // other instances that speak against it, those included
	first   []int // who has it out
	by      []int // whose requests fail there, or on whose word a term began
}

// share is how many backends one other instance may have ejected here by its word, whatever it says.
func (b bench) share() float64 { return float64(b.backends) / float64(len(b.heard)+1) }

// judge says for each matter whether the backend is to be out. It costs the number of words, and the
// sorting of matters.
func (b bench) judge() []verdict {
	left := make([]float64, len(b.heard)) // of each one's share
	for i := range left {
		left[i] = b.share()
	}
	room := min(b.most-b.ejected, b.fit-1)
	verdicts := make([]verdict, len(b.matters))
	for _, i := range b.order() {
		m := b.matters[i]
		if !m.spare || room <= 0 {
			verdicts[i] = b.count(m)
			continue
		}
		verdicts[i] = b.weigh(m, left)
		if verdicts[i].why != stays {
			room--
		}
	}
	return verdicts
}

// order has the oldest holds first, then those that most speak against: what is out stays out, when
// room or shares run short.
func (b bench) order() []int {
	order := make([]int, len(b.matters))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		p, q := b.matters[x], b.matters[y]
		if (p.held.why == stays) != (q.held.why == stays) {
			return cmp.Compare(q.held.why, p.held.why)
		}
		return cmp.Or(p.held.since.Compare(q.held.since), cmp.Compare(len(q.words), len(p.words)), cmp.Compare(p.id, q.id))
	})
	return order
}

// weigh judges one matter, and takes from the shares of those on whose word it does.
func (b bench) weigh(m matter, left []float64) verdict {
	v := b.count(m)
	switch {
	case m.own.standing.out() || m.own.well(b.now):
		return v
	case m.again:
		v.why, v.by = together, nil
		return v
	case m.held.why == together && b.now.Before(m.held.until):
		v.why, v.by = together, m.held.by
		pay(1, v.by, left)
		return v
	case m.own.failing(b.now) || m.own.tardy(b.now) || m.held.own && (m.own.row > 0 || m.own.slow):
		v.why = b.corroborated(m, v, left)
		return v
	}
	if v.out > 0 && 2*v.against > len(b.heard)+1 {
		v.why = outvoted
	}
	return v
}

// count tells who speaks against the backend. One that tries it out again still has it out for us, if we
// have it out.
func (b bench) count(m matter) (v verdict) {
	for _, s := range m.words {
		switch {
		case s.standing.out() || s.standing == trying && m.held.why != stays:
			v.out++
			v.first = append(v.first, s.by)
		case s.standing == following:
		case s.row > 0:
			v.by = append(v.by, s.by)
		default:
			continue
		}
		v.against++
	}
	return v
}

// corroborated says what follows for a backend that fails here, and has those pay for it who say so.
// Those who have it out pay first, and have to have something left. Others whose requests fail pay what is
// missing, at the beginning. Who only follows does not: its failures stand because it follows.
func (b bench) corroborated(m matter, v verdict, left []float64) reason {
	const least = 1e-6
	rich := sum(v.first, left)
	switch {
	case v.out > 0 && rich > least && (rich+sum(v.by, left) >= 1-least || m.held.why == followed):
		pay(1, v.first, left)
		pay(1-rich, v.by, left)
		return followed
	case v.out == 0 && m.held.why == stays && b.row > 0 && b.pool(m) >= b.row && sum(v.by, left) >= 1-least:
		pay(1, v.by, left)
		return together
	}
	return stays
}

// atMost is how many failures of another instance count when all are added up.
const atMost = 2

// lively is how lately an instance has to have been heard for its silence to mean something.
const lively = 3 * time.Second

// pool adds up the failures in a row of all instances: those after the last success that any of them
// has had. It is zero until all have spoken since the first of those failures, so that no success is
// overlooked.
func (b bench) pool(m matter) (row int) {
	success := m.own.success
	for _, s := range m.words {
		if s.success.After(success) {
			success = s.success
		}
	}
	first := b.now
	add := func(w word, most int) {
		if w.standing != following && w.failing(b.now) && w.began.After(success) {
			row += min(w.row, most)
			if w.began.Before(first) {
				first = w.began
			}
		}
	}
	add(m.own, b.row)
	for _, s := range m.words {
		add(s.word, atMost)
	}
	for _, at := range b.heard {
		if b.now.Sub(at) <= lively && at.Before(first) {
			return 0
		}
	}
	return row
}

// pay takes from what is left of the shares of some, from each in proportion, as far as it goes.
func pay(cost float64, by []int, left []float64) {
	whole := sum(by, left)
	if whole <= 0 || cost <= 0 {
		return
	}
	rest := max(0, 1-cost/whole)
	for _, i := range by {
		left[i] *= rest
	}
}

func sum(by []int, left []float64) (all float64) {
	for _, i := range by {
		all += left[i]
	}
	return all
}
