package autoscale

import (
	"math"
	"slices"
	"time"
)

// tally makes one load of what all instances report. Each has a clock and a rhythm of its own, so
// counts are taken as rates over the instance's own time. One that says nothing new goes on as it
// was for three beats, and is waited for during ten.
type tally struct {
	beat  time.Duration
	at    time.Time // of the last hear
	peers map[string]*peer
}

// peer is an instance, as its reports show it.
type peer struct {
	last   Report        // the newest
	silent time.Duration // since it came, without the time in which nobody could be heard
	base   Report        // that up to which all has been counted
	per    shares        // in a second, when it was counted last
}

// shares are what one instance adds to a Load.
type shares struct{ answered, failed, begun, ended, busy float64 }

// hear takes reports in.
func (t *tally) hear(now time.Time, reports map[string]Report) {
	since := min(now.Sub(t.at), t.beat)
	t.at = now
	peers := make(map[string]*peer, len(reports))
	for name, r := range reports {
		p := t.peers[name]
		switch {
		case p == nil:
			p = &peer{last: r}
		case p.last.Up != r.Up:
			p.last, p.silent = r, 0
		default:
			p.silent += since
		}
		peers[name] = p
	}
	t.peers = peers
}

// add counts what all instances have seen in an interval into l.
func (t *tally) add(l *Load) {
	var sum shares
	l.InFlight = 0
	for _, p := range t.peers {
		if p.silent > 3*t.beat {
			continue
		}
		p.count()
		sum.answered += p.per.answered
		sum.failed += p.per.failed
		sum.begun += p.per.begun
		sum.ended += p.per.ended
		sum.busy += p.per.busy
		l.InFlight += p.last.InFlight
	}
	in := func(per float64) int64 { return int64(math.Round(per * l.Interval.Seconds())) }
	l.Requests, l.Failed = in(sum.answered), in(sum.failed)
	l.Begun, l.Ended, l.Concurrency = in(sum.begun), in(sum.ended), sum.busy
}

// count makes rates of what came since base.
func (p *peer) count() {
	from, to := p.base, p.last
	up := (to.Up - from.Up).Seconds()
	if up <= 0 {
		return // nothing new
	}
	p.base = to
	per := func(n int64) float64 { return max(0, float64(n)) / up }
	p.per = shares{
		answered: per(to.Answered - from.Answered),
		failed:   per(to.Failed - from.Failed),
		begun:    per(to.Begun - from.Begun),
		ended:    per(to.Ended - from.Ended),
		busy:     max(0, (to.Busy-from.Busy).Seconds()) / up,
	}
}

// clear reports whether every instance but one has brought its pool in line with this generation,
// since that revision, and no longer has the backend.
func (t *tally) clear(but, id string, generation, revision uint64) bool {
	for name, p := range t.peers {
		if name == but || p.silent > 10*t.beat {
			continue
		}
		r := p.last
		if r.Generation != generation || r.Revision < revision || slices.Contains(r.Draining, id) {
			return false
		}
	}
	return true
}
