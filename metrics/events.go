package metrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
)

const (
	maxEvents = 50  // that are remembered
	maxText   = 300 // bytes of each
)

// Event is something that happened and that an operator may want to know.
type Event struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"` // one line
}

// events remembers the last ones.
type events struct {
	mu   sync.Mutex
	last []Event // oldest first, at most maxEvents; guarded by mu
}

func (e *events) add(ev Event) {
	ev.Text = oneLine(ev.Text)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.last) == maxEvents {
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, ev)
}

// newest returns a copy, newest first.
func (e *events) newest() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := append([]Event{}, e.last...)
	slices.Reverse(last)
	return last
}

// Event adds a line to the recent events of a Report: "scaled out to 5 backends", say. The last
// 50 are kept, changes of backends among them, each of at most 300 bytes. It locks for a moment.
func (r *Recorder) Event(text string) { r.events.add(Event{Time: time.Now(), Text: text}) }

// oneLine returns s in valid UTF-8, without line breaks and not too long.
func oneLine(s string) string {
	if len(s) > maxText {
		s = s[:maxText-len("…")] + "…"
	}
	s = strings.ToValidUTF8(s, "")
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

// describe says a change in one line.
func describe(c lb.Change) string {
	id := c.Backend.ID()
	switch {
	case c.Joined && c.After == 0:
		return id + " joined"
	case c.Joined:
		return fmt.Sprintf("%s joined, %v", id, c.After) + because(c.Cause)
	case c.Removed:
		return id + " left"
	}
	var moves []string
	if c.Before != c.After {
		moves = append(moves, fmt.Sprintf("%s: %v → %v", id, c.Before, c.After)+because(c.Cause))
	}
	if c.BreakerBefore != c.BreakerAfter {
		moves = append(moves, fmt.Sprintf("%s: breaker %v → %v", id, c.BreakerBefore, c.BreakerAfter)+because(c.BreakerCause))
	}
	if c.WeightBefore != c.WeightAfter {
		moves = append(moves, fmt.Sprintf("%s: weight %d → %d", id, c.WeightBefore, c.WeightAfter))
	}
	return strings.Join(moves, "; ")
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return " (" + cause + ")"
}
