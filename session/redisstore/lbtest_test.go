package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// Several stores on one Redis pass the kit by which users prove their own.
func TestStorePassesTheKit(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		err := lbtest.TestSessionStore(func() lb.SessionStore {
			s, err := New(configFor(m))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return s
		}, lbtest.StoreTraits{TTL: s.ttl, Shared: true, Pass: func(d time.Duration) { time.Sleep(d); synctest.Wait() }})
		if err != nil {
			t.Error(err)
		}
	})
}
