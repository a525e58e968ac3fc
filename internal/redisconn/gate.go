package redisconn

import "time"

const (
	enough   = 5           // failures in a row that close the gate
	trialGap = time.Second // between trials while it is shut
)

// gate stops commands to a Redis that does not answer. It is a value; the zero one is open.
type gate struct {
	failures int       // in a row
	shut     bool      // only trials pass
	next     time.Time // when shut: the earliest next trial
}

// enter asks to send one command. Who passes a shut gate is its trial. A trial that nobody
// judges costs nothing but the time until the next.
func (g gate) enter(now time.Time) (next gate, trial, ok bool) {
	if !g.shut {
		return g, false, true
	}
	if now.Before(g.next) {
		return g, false, false
	}
	g.next = now.Add(trialGap)
	return g, true, true
}

// judge says how a command ended. While the gate is shut only trials count: the others were
// sent before.
func (g gate) judge(now time.Time, trial, ok bool) gate {
	if g.shut && !trial {
		return g
	}
	if ok {
		return gate{}
	}
	g.failures++
	if g.shut || g.failures >= enough {
		g.shut, g.next = true, now.Add(trialGap)
	}
	return g
}
