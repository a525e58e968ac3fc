package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// Several stores on one Redis pass the kit by which users prove their own: exactly if they always
// ask, and else but for what another one has done a moment ago.
func TestStorePassesTheKit(t *testing.T) {
	for name, fresh := range map[string]time.Duration{"always asks": -1, "asks at times": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
				err := lbtest.TestSessionStore(func() lb.SessionStore {
					cfg := configFor(m)
					cfg.Fresh = fresh
					s, err := New(cfg)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(s.Close)
					return s
				}, lbtest.StoreTraits{
					TTL: s.ttl, Shared: true, Behind: fresh >= 0,
					Pass: func(d time.Duration) { time.Sleep(d); synctest.Wait() },
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}
