package lb_test

import (
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// bubble has a property tested in a bubble of its own. Rapid ends a case that fails, or that it does not
// want, by a panic, which has to leave the bubble.
func bubble(t *testing.T, property func(*rapid.T)) func(*rapid.T) {
	return func(rt *rapid.T) {
		var panicked any
		synctest.Test(t, func(*testing.T) {
			defer func() { panicked = recover() }()
			property(rt)
		})
		if panicked != nil {
			panic(panicked)
		}
	}
}
