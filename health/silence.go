package health

import (
	"cmp"
	"time"

	"github.com/go-loadbalancer/lb"
)

// silence is how long a backend has left requests without a word. It is counted in looks, not in
// time: a process that was stopped itself has not looked, and blames nobody for that time. The zero
// value is that of a backend that was never looked at.
type silence struct {
	answers uint32 // that had come when it began
	begun   uint32 // requests that had begun then
	looks   int    // since then
	limit   int    // looks after which it is overdue; 0: not asked for; negative: not known
}

// add takes a look. The silence begins anew with each answer, and as long as fewer than least of the
// requests that were begun when it began are waited for: those before that were answered or failed.
func (s silence) add(t lb.Tally, least int) silence {
	if t.Answers != s.answers || int(int32(s.begun-t.Ended)) < least {
		return silence{answers: t.Answers, begun: t.Begun}
	}
	s.looks++
	return s
}

// overdue reports whether the silence has lasted its time.
func (s silence) overdue() bool { return s.limit > 0 && s.looks >= s.limit }

// enough is how many answers have to be known of a backend for what it takes at most.
const enough = 10

// patience is how long a backend is given for an answer, or zero if too little is known of it.
func (cfg SuspectorConfig) patience(b *lb.Backend, now time.Time) time.Duration {
	slowest, answers := b.Quantile(now, 0.99)
	if answers < enough {
		return 0
	}
	return max(cfg.Patience, time.Duration(cfg.Times*float64(slowest)))
}

// asked returns the silence with its limit, once it has lasted for the least time of all. It is asked
// for only then, which for most silences is never, and not again, since no answer comes that could
// change it.
func (s silence) asked(cfg SuspectorConfig, b *lb.Backend, now time.Time) silence {
	if s.limit != 0 || s.looks < cfg.looks(cfg.Patience) {
		return s
	}
	s.limit = cmp.Or(cfg.looks(cfg.patience(b, now)), -1)
	return s
}

// looks returns after how many looks d is over.
func (cfg SuspectorConfig) looks(d time.Duration) int {
	return int((d + cfg.Interval - 1) / cfg.Interval)
}
