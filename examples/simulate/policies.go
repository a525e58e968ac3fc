package main

import (
	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// named is a policy by the name that the standalone example has for it.
type named struct {
	name   string
	policy func(client int) lb.Policy
	probe  sim.Probe // instead of policy, if it asks the backends
}

// known are the policies to compare, in the order of the charts.
func known() []named {
	plain := func(p lb.Policy) func(int) lb.Policy { return func(int) lb.Policy { return p } }
	return []named{
		{name: "random", policy: plain(picker.Random)},
		{name: "round-robin", policy: plain(picker.RoundRobin)},
		{name: "weighted", policy: plain(picker.Weighted)},
		{name: "weighted-random", policy: plain(picker.WeightedRandom)},
		{name: "least-loaded", policy: plain(picker.LeastLoaded)},
		{name: "power-of-two", policy: plain(picker.PowerOfTwo)},
		{name: "peak-ewma", policy: plain(picker.PeakEWMA)},
		{name: "adaptive", policy: plain(picker.Adaptive)},
		{name: "hash-client", policy: plain(picker.HashClient)},
	}
}

// find returns the policy of that name.
func find(name string) (named, bool) {
	for _, n := range known() {
		if n.name == name {
			return n, true
		}
	}
	return named{}, false
}
