package redis

import (
	"time"
)

// account is what an instance knows of one client. Tokens pass on a lease, which is paid; or else on
// the line, up to terms.line tokens, which are the client's debt until Redis is told of them. The
// line is refilled when Redis says what is left, and in the meantime at the rate of the instance's
// share. Times are since the limiter began.
type account struct {
	line  float64       // tokens that may pass unpaid, at the time at
	at    time.Duration // lies ahead while the fleet's bucket is overdrawn: until then the line stays as it is
	ends  time.Duration // of the lease
	asked time.Duration // when Redis was asked last, or, at first, when the account was opened
	next  time.Duration // when it may be asked again
	told  time.Duration // when Redis last said what was left: when it was asked, if that is not long ago
	owes  time.Duration // until when the debt would empty a bucket that nobody else takes of
	since time.Duration // when it was alone, if it is

	credit float64 // what was left then; below zero if the bucket was overdrawn
	lease  int32   // tokens that are left of it
	debt   int32   // tokens that passed and that Redis does not know of
	seen   int32   // requests since it was asked last
	target int32   // tokens that the next 100 ms will take, as far as is known
	asking bool    // an answer is due
	alone  bool    // the last one did not come, or not in time
	gone   bool    // none came for long
}

// openAccount returns that of a client of which nothing is known.
func openAccount(now time.Duration, t terms) account {
	return account{line: float64(t.line), at: now, asked: now, told: now, credit: t.burst}
}

// verdict is what becomes of a request.
type verdict uint8

const (
	refused verdict = iota
	leased          // passed, on tokens that were paid for
	granted         // passed, and will be paid for
	local           // passed, on what is the instance's own while Redis is away
)

// one is a token, but for what divisions lack.
const one = 1 - 1e-6

// ask is a question to Redis: to be told of debt, and to lease want tokens.
type ask struct {
	debt, want int32
	owes       time.Duration // in which the debt would be made up for if nobody else took of the bucket
}

// take counts a request. If Redis is to be asked now, due is true, and ask must follow.
func (a *account) take(now time.Duration, t terms) (v verdict, due bool) {
	a.seen++
	if a.asking && now-a.asked > t.patience {
		a.leave(now)
	}
	a.grow(now, t)
	may := !a.asking && now >= a.next
	switch {
	case a.lease > 0:
		a.lease--
		v = leased
	case a.line >= one, !a.alone && may && a.left(now, t) >= one:
		a.owe(now, t)
		v = granted
		if a.alone {
			v = local
		}
	}
	return v, may && (v == refused || 2*float64(a.debt) >= t.unpaid(a.credit) && a.debt > 0 || a.low(t))
}

// owe takes a token of the line.
func (a *account) owe(now time.Duration, t terms) {
	a.line = max(0, a.line-1)
	a.debt++
	a.owes = min(max(a.owes, now)+seconds(1/t.rate), now+seconds(float64(a.debt)/t.rate))
}

// pay takes tokens off the debt.
func (a *account) pay(n int32) {
	if a.debt -= min(max(0, n), a.debt); a.debt == 0 {
		a.owes = 0
	}
}

// grow adds to the line what has come, and ends a lease. What an instance has of its own is owed all
// the same, for Redis may only be slow, and its bucket fills meanwhile; but not of an outage, in which
// that is full long since.
func (a *account) grow(now time.Duration, t terms) {
	if a.lease > 0 && now >= a.ends {
		a.pay(a.lease)
		a.lease = 0
	}
	room := float64(t.line)
	if !a.alone {
		room = max(0, room-float64(a.debt))
	}
	if now > a.at {
		a.line = min(room, a.line+t.own*(now-a.at).Seconds())
		a.at = now
	}
	if a.gone {
		a.pay(a.debt - max(0, t.line-int32(a.line)))
	}
}

// left is what the fleet's bucket must have now if nobody else has taken of it.
func (a *account) left(now time.Duration, t terms) float64 {
	return min(t.burst, a.credit+t.rate*(now-a.told).Seconds()) - float64(a.debt)
}

// low reports whether half of what the next 100 ms will take is not there.
func (a *account) low(t terms) bool {
	return 2*(float64(a.lease)+a.line) <= float64(a.target) && a.target > 0
}

// leave goes on without Redis.
func (a *account) leave(now time.Duration) {
	if !a.alone {
		a.alone, a.since = true, now
	}
	a.gone = now-a.since > outage
}

// ask makes the question that is due. What Redis gives the instance without leasing it, while it has
// much, need not be leased.
func (a *account) ask(now time.Duration, t terms) ask {
	used := float64(a.seen-1) * min(steepen, float64(lead)/float64(max(now-a.asked, time.Millisecond)))
	a.target = int32(min(used, t.burst))
	if t.rate*lead.Seconds() < 1 {
		a.target = 0
	}
	a.asked, a.asking, a.seen = now, true, 0
	return ask{debt: a.debt, want: max(0, a.target-int32(t.unpaid(a.credit))-a.lease), owes: max(0, a.owes-now)}
}

// answer takes in what Redis said to q: tokens leased, and what is left in the bucket. The draw, from
// 0 to 1, keeps instances from asking in step, so that none always comes second.
func (a *account) answer(now time.Duration, t terms, q ask, k int32, credit, draw float64) {
	a.asking, a.alone, a.gone = false, false, false
	a.pay(q.debt)
	a.lease, a.ends = a.lease+k, a.asked+valid
	a.credit, a.told = credit, max(a.asked, now-t.patience)
	a.line = max(0, t.unpaid(credit)-float64(a.debt))
	a.at = max(now, a.told+seconds(-credit/t.rate))
	a.next = now
	if k < q.want || credit < max(1, t.rate*lead.Seconds()) {
		spaced := time.Duration((0.5 + draw) * float64(t.spacing))
		a.next = max(now+spaced, a.told+seconds((1-credit)/t.rate))
	}
}

// fail takes in that there will be no answer.
func (a *account) fail(now time.Duration, draw float64) {
	a.leave(now)
	a.asking = false
	a.next = now + time.Duration((1+draw)*float64(lead))
}

// wait is how long a request that was refused has to wait until one passes: for the share, or for
// what Redis will say of the fleet's bucket.
func (a *account) wait(now time.Duration, t terms) time.Duration {
	own := a.at - now + seconds((1-a.line)/t.own)
	if a.alone {
		return own
	}
	whole := seconds((1 - a.left(now, t)) / t.rate)
	return max(0, min(own, max(whole, a.next-now)))
}

// idle is how long nothing has been asked of the account.
func (a *account) idle(now time.Duration) time.Duration { return now - a.at }
