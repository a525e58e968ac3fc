package redisstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb/internal/keep"
)

// lane is a store and a Redis between which a test moves each step of each command by hand: sent,
// done by Redis, heard of. What Redis says travels in order on one connection; what is done with
// an answer may wait, what is done with a change is done at once, for one goroutine reads.
type lane struct {
	s       *Store
	k       keep.Key
	value   string   // in Redis: the number of the write that made it
	writes  int      // by anybody
	tracked bool     // Redis will tell of the next change
	out     []func() // on the connection from Redis
	asked   map[string]*asked
	newest  string // write that the store has believed
	trace   []string
}

type asked struct {
	o     *call
	at    string // the number of writes before Redis did it
	kind  byte   // get, bind, touch or forget: the first letter of the name
	heard bool   // the answer has arrived
	fact  fact
}

func newLane() *lane {
	s := newStore(Config{Secret: secret, MaxSessions: 10}.filled())
	return &lane{s: s, k: id("s"), asked: map[string]*asked{}}
}

func (l *lane) write() {
	l.writes++
	l.value = fmt.Sprintf("%03d", l.writes)
	if l.tracked {
		l.tracked = false
		l.out = append(l.out, func() { l.s.changed([]string{l.s.codec.key(l.k)}) })
	}
}

// step does one step and reports whether it was possible.
func (l *lane) step(what string) bool {
	name, step, _ := strings.Cut(what, " ")
	a := l.asked[name]
	switch step {
	case "sends":
		l.asked[name] = &asked{o: l.s.call(l.k), kind: name[0]}
	case "is done":
		if a == nil {
			return false
		}
		l.done(a)
	case "learns":
		if a == nil || !a.heard {
			return false
		}
		switch {
		case a.kind == 'f':
			l.s.forgot(a.o)
		case a.fact.backend == "":
			if !a.o.invalidated && !a.o.overtaken {
				l.newest = a.at
			}
			l.s.unlearn(a.o)
		default:
			l.s.learn(a.o, a.fact)
		}
		l.s.calls.remove(a.o)
	case "writes": // another process
		l.write()
	case "forgets":
		l.write()
		l.value = ""
	case "arrives":
		if len(l.out) == 0 {
			return false
		}
		l.out[0]()
		l.out = l.out[1:]
	case "breaks": // the connection: what is on it is lost
		l.out, l.tracked = nil, false
		l.s.changed(nil)
	}
	l.trace = append(l.trace, what)
	return true
}

// done has Redis do a command.
func (l *lane) done(a *asked) {
	a.at = fmt.Sprintf("%03d", l.writes)
	if a.kind == 'g' {
		l.tracked = true
		a.fact = fact{backend: l.value, tracked: true}
		l.out = append(l.out, func() { a.heard = true })
		return
	}
	reply := func() { a.heard = true }
	if a.kind == 't' {
		a.fact = fact{backend: l.value, left: l.s.ttl}
		l.out = append(l.out, reply)
		return
	}
	at := len(l.out)
	l.write()
	a.fact = fact{backend: l.value, left: l.s.ttl}
	if a.kind == 'f' {
		l.value = ""
	}
	l.out = append(l.out[:at], append([]func(){reply}, l.out[at:]...)...) // first the answer, then the change
}

// wrong says what is wrong with what the store believes.
func (l *lane) wrong(over bool) string {
	p := l.s.known.Lock(l.k)
	defer p.Unlock()
	m := p.Peek()
	if m == nil || !l.s.verified(m, l.s.now()) {
		return ""
	}
	got := m.backend.Value()
	if got < l.newest {
		return fmt.Sprintf("believes %s after %s", got, l.newest)
	}
	l.newest = got
	if over && (m.fresh == always || l.value == "") && got != l.value {
		return fmt.Sprintf("believes %s for good, though it is %s", got, l.value)
	}
	return ""
}

// orders calls visit with all ways to merge sequences, each of which keeps its order.
func orders(sequences [][]string, visit func([]string)) {
	var merge func(at []int, so []string)
	merge = func(at []int, so []string) {
		done := true
		for i, seq := range sequences {
			if at[i] == len(seq) {
				continue
			}
			done = false
			at[i]++
			merge(at, append(so, seq[at[i]-1]))
			at[i]--
		}
		if done {
			visit(so)
		}
	}
	merge(make([]int, len(sequences)), nil)
}

// In whatever order commands are sent, done and heard of, and others write, and Redis tells of it:
// what is believed never goes back, and in the end is what Redis has.
func TestEveryOrderOfAnswersAndChanges(t *testing.T) {
	command := func(name string) []string { return []string{name + " sends", name + " is done", name + " learns"} }
	known := []string{"g1 sends", "g1 is done", "it arrives", "g1 learns"}
	worlds := map[string][][]string{
		"a read and another's write":          {command("g1"), {"x writes"}, {"it arrives", "it arrives"}},
		"two reads and another's write":       {command("g1"), command("g2"), {"x writes"}, {"it arrives", "it arrives", "it arrives"}},
		"a read and our own write":            {command("g1"), command("b1"), {"it arrives", "it arrives", "it arrives"}},
		"a read, our write and another's":     {command("g1"), command("b1"), {"x writes"}, {"it arrives", "it arrives", "it arrives"}},
		"two of our own writes":               {command("b1"), command("b2"), {"it arrives", "it arrives"}},
		"a read after a write, and another's": {append(command("b1"), command("g1")...), {"x writes", "y writes"}, {"it arrives", "it arrives", "it arrives"}},
		"a read and a session forgotten":      {command("g1"), command("f1"), {"it arrives", "it arrives", "it arrives"}},
		"a write and a session forgotten":     {command("b1"), command("f1"), {"it arrives", "it arrives"}},
		"others forget what we write":         {command("g1"), command("b1"), {"x forgets"}, {"it arrives", "it arrives", "it arrives"}},
		"all at once":                         {command("g1"), command("b1"), command("f1"), {"it arrives", "it arrives", "it arrives"}},
		"a write after a lost connection":     {append(slices.Clip(known), append([]string{"it breaks"}, command("b1")...)...), {"x writes"}, {"it arrives"}},
		"a touch after a lost connection":     {append(slices.Clip(known), append([]string{"it breaks"}, command("t1")...)...), {"x writes"}, {"it arrives"}},
		"a touch and another's write":         {command("g1"), command("t1"), {"x writes"}, {"it arrives", "it arrives", "it arrives"}},
		"a lost connection":                   {command("g1"), {"x writes"}, {"it arrives"}, {"it breaks"}},
	}
	for name, sequences := range worlds {
		n := 0
		orders(sequences, func(steps []string) {
			l := newLane()
			defer l.s.end()
			l.value = "000"
			for _, step := range steps {
				if !l.step(step) {
					return // not an order that can be
				}
				if wrong := l.wrong(false); wrong != "" {
					t.Fatalf("%s: %q: %s", name, l.trace, wrong)
				}
			}
			for len(l.out) > 0 {
				l.step("it arrives")
			}
			if wrong := l.wrong(true); wrong != "" {
				t.Fatalf("%s: %q: %s", name, l.trace, wrong)
			}
			n++
		})
		t.Logf("%s: %d orders", name, n)
		if n == 0 {
			t.Errorf("%s: no order is possible", name)
		}
	}
}
