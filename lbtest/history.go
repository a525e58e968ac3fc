package lbtest

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
)

// call is one call to a store: what it was, what it returned, and when it began and ended.
type call struct {
	op, from, to, got string // op is lookup, bind or forget
	begun, ended      int64
	door              int  // which of several stores was asked
	behind            bool // what other stores did before need not be known: for a look-up
}

func (c call) String() string {
	switch c.op {
	case "bind":
		return fmt.Sprintf("[%d-%d] Bind from %q to %q: %q", c.begun, c.ended, c.from, c.to, c.got)
	case "lookup":
		return fmt.Sprintf("[%d-%d] Lookup: %q", c.begun, c.ended, c.got)
	}
	return fmt.Sprintf("[%d-%d] Forget", c.begun, c.ended)
}

// apply returns what the call makes of a session that is bound to at, and whether it would have
// returned what it did.
func (c call) apply(at string) (next string, agrees bool) {
	switch c.op {
	case "bind":
		if at == "" || at == c.from {
			at = c.to
		}
		return at, c.got == at
	case "lookup":
		return at, c.got == at
	}
	return "", true
}

// orderly reports whether calls on one session, unbound at first, could have been made one after
// the other: linearizability (Herlihy and Wing, 1990), by trying every order. There are at most 16.
func orderly(calls []call) bool {
	type state struct {
		done uint16
		at   string
	}
	dead := make(map[state]bool)
	var try func(state) bool
	try = func(s state) bool {
		if s.done == 1<<len(calls)-1 {
			return true
		}
		if dead[s] {
			return false
		}
		for i, c := range calls {
			if s.done>>i&1 == 1 || preceded(calls, s.done, c) {
				continue
			}
			if at, agrees := c.apply(s.at); agrees && try(state{s.done | 1<<i, at}) {
				return true
			}
		}
		dead[s] = true
		return false
	}
	return try(state{})
}

// preceded reports whether a call that is not done had ended before c began, and c had to know.
func preceded(calls []call, done uint16, c call) bool {
	for i, other := range calls {
		if done>>i&1 == 0 && other.ended < c.begun && (!c.behind || other.door == c.door) {
			return true
		}
	}
	return false
}

// order lets three goroutines make four calls each on the same session, a hundred times.
func (s *shelf) order() error {
	const goroutines, each, rounds = 3, 4, 100
	doors := s.doors()
	for round := range rounds {
		x := s.session(round)
		calls := make([]call, goroutines*each)
		for i := range calls {
			calls[i] = s.draw()
		}
		var clock atomic.Int64
		err := together(goroutines, func(g int) error {
			for i := range each {
				c := &calls[g*each+i]
				c.door = g % len(doors)
				if err := c.make(s, doors[c.door], x, &clock); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !orderly(calls) {
			lines := make([]string, len(calls))
			for i, c := range calls {
				lines[i] = c.String()
			}
			return fmt.Errorf("no order of these calls explains what they returned, the numbers being when each began and ended:\n\t%s", strings.Join(lines, "\n\t"))
		}
	}
	return nil
}

func (s *shelf) draw() call {
	at := []string{"a", "b", "c", ""}
	c := call{op: []string{"lookup", "bind", "bind", "bind", "forget", "lookup"}[s.draws.IntN(6)]}
	if c.op == "bind" {
		c.from, c.to = at[s.draws.IntN(4)], at[s.draws.IntN(3)]
	}
	return c
}

// make makes the call and notes what comes of it.
func (c *call) make(s *shelf, store lb.SessionStore, session string, clock *atomic.Int64) (err error) {
	c.begun = clock.Add(1)
	switch c.op {
	case "bind":
		c.got, err = store.Bind(s.ctx, session, c.from, c.to)
	case "lookup":
		c.behind = s.Behind
		c.got, err = store.Lookup(s.ctx, session)
	default:
		err = store.Forget(s.ctx, session)
	}
	c.ended = clock.Add(1)
	return err
}
