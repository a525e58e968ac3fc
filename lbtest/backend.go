package lbtest

import (
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
)

// Backend returns a backend outside of any pool, to try a picker on, that was last seen with a
// load; without one it is idle and nobody has met it. An empty URL becomes one made of the ID. It
// panics if the spec is wrong.
func Backend(spec lb.Spec, load ...lb.Load) *lb.Backend {
	if spec.URL == "" {
		spec.URL = "http://" + spec.ID
	}
	state := new(live.Load)
	for _, l := range load {
		state.Set(time.Now(), l.InFlight, l.Latency, l.ErrorRate)
	}
	b, err := lb.NewBackend(spec, state)
	if err != nil {
		panic(fmt.Sprintf("lbtest: %v", err))
	}
	return b
}

// Set returns a set in which all backends are eligible with their configured weights. They have
// to be sorted by ID, as a balancer's are.
func Set(backends ...*lb.Backend) lb.Set {
	var s lb.Set
	for _, b := range backends {
		s.Eligible = append(s.Eligible, lb.Candidate{Backend: b, Weight: float64(b.Weight())})
	}
	return s
}
