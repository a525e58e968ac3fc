package fleet

import (
	"time"

	"github.com/go-loadbalancer/lb"
)

// standing is what an instance has found out about a backend by itself. What it does on the word of
// others is no standing of its own: it is not passed on, so that no word can come back to whoever
// said it first.
type standing uint8

// Their numbers are sent: they stay as they are.
const (
	in        standing = iota // nothing keeps requests away
	ejected                   // its outlier ejection has it out
	suspect                   // it leaves requests without a word
	down                      // it fails its health checks
	tripped                   // a breaker is not closed
	pooled                    // out for failures of which several instances saw some each
	trying                    // it was out, has just been let back, and nothing has succeeded since
	following                 // out on the word of others, after failures that nothing can end meanwhile
	standings
)

// out reports whether an instance keeps requests away by what it has seen itself.
func (s standing) out() bool { return s > in && s < trying }

// word is what one instance says of one backend. Times are by the clock of whoever reads it, since
// they travel as ages. Zero is that of an instance that has nothing to say.
type word struct {
	standing standing
	row      int       // failures since the last success
	began    time.Time // the first of them
	last     time.Time // the last of them
	success  time.Time // the last success; zero: none that is remembered
	results  int       // judged within the last seconds
	failures int       // of these
	latency  time.Duration
	slow     bool // the last success was slow. It is not sent
}

// mute reports whether there is nothing to send.
func (w word) mute() bool {
	return w.standing == in && w.row == 0 && w.results == 0 && w.success.IsZero()
}

// fresh is how long a failure or a success says something about a backend.
const fresh = 10 * time.Second

// failing reports whether the last result was a failure, and not long ago.
func (w word) failing(now time.Time) bool { return w.row > 0 && now.Sub(w.last) <= fresh }

// tardy reports whether the last result was a success that was slow, and not long ago.
func (w word) tardy(now time.Time) bool { return w.row == 0 && w.slow && now.Sub(w.success) <= fresh }

// well reports whether the last result was a success, quick, and not long ago.
func (w word) well(now time.Time) bool {
	return w.row == 0 && !w.slow && !w.success.IsZero() && now.Sub(w.success) <= fresh
}

// standingOf reads a backend's facts and breakers, without Ejected where that is ours.
func standingOf(f lb.Facts, tripping bool) standing {
	switch {
	case f.Has(lb.Down):
		return down
	case f.Has(lb.Ejected):
		return ejected
	case tripping:
		return tripped
	case f.Has(lb.Suspect):
		return suspect
	}
	return in
}
