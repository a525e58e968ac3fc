package main

import (
	"hash/fnv"
	"slices"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// canary is a policy of our own. It sends some percent of the users, always the same ones, to the
// backends that run the version canary, and all others to the rest. While one kind is not
// there the other serves everybody.
func canary(percent uint32) lb.Policy {
	isCanary := func(b *lb.Backend) bool { return b.Label("version") == "canary" }
	onCanary := picker.Prefer(isCanary, picker.PowerOfTwo)
	onStable := picker.Prefer(func(b *lb.Backend) bool { return !isCanary(b) }, picker.PowerOfTwo)
	return func(set lb.Set) lb.Picker {
		old, _ := set.Previous.(versions)
		next := func(policy lb.Policy, previous lb.Picker) lb.Picker {
			// A policy owns the slice it is given, so each gets its own.
			return policy(lb.Set{Eligible: slices.Clone(set.Eligible), Others: set.Others, Previous: previous})
		}
		return versions{percent, next(onCanary, old.canary), next(onStable, old.stable)}
	}
}

type versions struct {
	percent        uint32
	canary, stable lb.Picker
}

// Pick looks at nothing but the request: the same user meets the same version each time.
func (v versions) Pick(info lb.PickInfo) *lb.Backend {
	user := fnv.New32a()
	user.Write([]byte(info.Request.Header.Get("X-User")))
	if user.Sum32()%100 < v.percent {
		return v.canary.Pick(info)
	}
	return v.stable.Pick(info)
}
