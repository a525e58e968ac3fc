package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// Memory passes the kit by which users prove their own stores.
func TestMemoryPassesTheKit(t *testing.T) {
	for _, cfg := range []MemoryConfig{{MaxSessions: 100, TTL: time.Minute}, {MaxSessions: 5000, TTL: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			err := lbtest.TestSessionStore(func() lb.SessionStore { return newMemory(t, cfg) }, lbtest.StoreTraits{TTL: cfg.TTL, MaxSessions: cfg.MaxSessions})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
