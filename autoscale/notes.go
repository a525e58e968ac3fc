package autoscale

import (
	"errors"
	"slices"
	"sync"

	"github.com/go-loadbalancer/lb"
)

// ending is how a launch or a termination ended.
type ending struct {
	key  string // of the launch
	move move
	gone bool    // it was a termination
	spec lb.Spec // of a launch that went well
	err  error
	cut  bool // the launch was cut short, which is no failure

	tried bool // to account for it; it may have been done
}

// notes are what other goroutines leave for that of a fleet. The zero value is ready.
type notes struct {
	mu       sync.Mutex
	endings  []ending
	draining map[string]bool  // by ID
	left     map[string]error // what was wrong with a drain that has ended, by ID
}

// end leaves an ending.
func (n *notes) end(e ending) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endings = append(n.endings, e)
}

// ended takes what was left.
func (n *notes) ended() []ending {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.endings
	n.endings = nil
	return all
}

// drain notes that a drain begins, and drained that it has ended.
func (n *notes) drain(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining == nil {
		n.draining, n.left = make(map[string]bool), make(map[string]error)
	}
	n.draining[id] = true
}

func (n *notes) drained(id string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.draining, id)
	if err != nil {
		n.left[id] = err
	}
}

// drains lists what is being drained, in order.
func (n *notes) drains() (ids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.draining {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// drainsNow reports whether a backend is being drained.
func (n *notes) drainsNow(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.draining[id]
}

// fault takes what was wrong with a backend's drain, if anything, and adds more to it.
func (n *notes) fault(id string, more error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.left[id]
	delete(n.left, id)
	return errors.Join(err, more)
}
