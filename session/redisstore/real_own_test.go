package redisstore

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// Who bound a session remembers it through an outage, although Redis told of that change, too, and before the
// answer was heard.
func TestRealOwnBindsOutliveRedis(t *testing.T) {
	r := redistest.Start(t)
	s := open(t, r, patient)
	const n = 100
	for i := range n {
		session := fmt.Sprint("s", i)
		insist(t, func() (string, error) { return s.Lookup(t.Context(), session) }) // it is told of changes from now on
		insist(t, func() (string, error) { return s.Bind(t.Context(), session, "", "a") })
	}
	r.Kill()
	waitFor(t, "down", func() bool { _, _ = s.Lookup(t.Context(), "other"); return s.Stats().Down })
	for i := range n {
		if got, err := s.Lookup(t.Context(), fmt.Sprint("s", i)); got != "a" {
			t.Fatalf("session %d is on %q: %v", i, got, err)
		}
	}
}
