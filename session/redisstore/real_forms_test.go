package redisstore

import (
	"crypto/tls"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// openAt returns a store on a Redis of any form.
func openAt(t *testing.T, url string, config *tls.Config) *Store {
	t.Helper()
	s, err := New(Config{URL: url, TLS: config, Secret: secret, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Stores agree, remember and are told of changes whatever Redis is like.
func TestRealForms(t *testing.T) {
	one := func(cfg redistest.Config) func(*testing.T) (string, *tls.Config) {
		return func(t *testing.T) (string, *tls.Config) {
			r := redistest.Start(t, cfg)
			return r.URL(), r.TLSConfig()
		}
	}
	for name, start := range map[string]func(*testing.T) (string, *tls.Config){
		"plain":    one(redistest.Config{}),
		"socket":   one(redistest.Config{Unix: true}),
		"password": one(redistest.Config{Password: "p@ss:word/?#"}),
		"account":  one(redistest.Config{User: "balancer", Password: "secret"}),
		"tls":      one(redistest.Config{TLS: true, User: "balancer", Password: "secret"}),
		"sentinel": func(t *testing.T) (string, *tls.Config) {
			s := redistest.StartSentinels(t)
			return s.URL(), s.TLSConfig()
		},
		"cluster": func(t *testing.T) (string, *tls.Config) {
			c := redistest.StartCluster(t)
			return c.URL(), c.TLSConfig()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, config := start(t)
			s, other := openAt(t, url, config), openAt(t, url, config)
			settle(t, s, other, 30)
			kept(t, "at rest", 30, s, other)
			for i := range 30 {
				session := fmt.Sprint("s", i)
				waitFor(t, "moved", func() bool {
					got, err := s.Bind(t.Context(), session, fmt.Sprint("b", i%3), "c")
					return err == nil && got == "c"
				})
				waitFor(t, "the other to know", func() bool { got, err := other.Lookup(t.Context(), session); return err == nil && got == "c" })
			}
			if n := other.Stats(); !n.Tracking || n.Dirty != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// long skips a test that takes many seconds, unless LB_FULL=1 asks for it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LB_FULL") != "1" {
		t.Skip("takes many seconds: LB_FULL=1")
	}
	t.Parallel()
}

// A failover costs no session, and what was decided meanwhile is told to the new master.
func TestRealFailoverCostsNoSession(t *testing.T) {
	long(t)
	const sessions = 100
	for name, end := range map[string]func(*redistest.Redis){"killed": (*redistest.Redis).Kill, "paused": (*redistest.Redis).Pause} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := redistest.StartSentinels(t)
			s, other := openAt(t, servers.URL(), servers.TLSConfig()), openAt(t, servers.URL(), servers.TLSConfig())
			settle(t, s, other, sessions)
			old := servers.Await(nil)
			end(old)
			kept(t, "without a master", sessions, s, other)
			for i := sessions; i < sessions+20; i++ {
				s.Seen(fmt.Sprint("s", i), fmt.Sprint("b", i%3))
			}
			kept(t, "without a master", sessions+20, s)
			master := servers.Await(old)
			waitFor(t, "the new master to have all", func() bool {
				kept(t, "with a new master", sessions+20, s)
				n, err := master.Do("DBSIZE")
				return err == nil && fmt.Sprint(n) == fmt.Sprint(sessions+20)
			})
			kept(t, "for a newcomer", sessions+20, s, openAt(t, servers.URL(), servers.TLSConfig()))
		})
	}
}

// A cluster that loses a member, and with it a third of what it knew, gets that back.
func TestRealClusterGetsBackWhatAMemberLost(t *testing.T) {
	long(t)
	const sessions = 90
	c := redistest.StartCluster(t)
	s, other := openAt(t, c.URL(), c.TLSConfig()), openAt(t, c.URL(), c.TLSConfig())
	settle(t, s, other, sessions)
	c.Members[1].Kill()
	kept(t, "with two of three", sessions, s, other)
	c.Members[1].Restart()
	c.Await()
	waitFor(t, "all to be there again", func() bool {
		kept(t, "with three", sessions, s, other)
		n := 0
		for _, m := range c.Members {
			var here int
			if size, err := m.Do("DBSIZE"); err == nil {
				_, _ = fmt.Sscan(fmt.Sprint(size), &here)
			}
			n += here
		}
		return n == sessions
	})
	kept(t, "for a newcomer", sessions, openAt(t, c.URL(), c.TLSConfig()))
}

// A client of the caller's own is used and not closed, and tells of no changes: they are found by
// asking.
func TestRealClientOfTheCaller(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.Address()}, AlwaysPipelining: true, DisableRetry: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := New(Config{Client: client, Secret: secret, Timeout: patient, Fresh: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, r, patient)
	settle(t, s, other, 10)
	for i := range 10 {
		session := fmt.Sprint("s", i)
		bind(t, other, session, lookup(t, other, session), "c")
		waitFor(t, "found by asking", func() bool { return lookup(t, s, session) == "c" })
	}
	if n := s.Stats(); n.Tracking || n.Invalidations > 0 {
		t.Errorf("%+v", n)
	}
	s.Close()
	if err := client.Do(t.Context(), client.B().Ping().Build()).Error(); err != nil {
		t.Errorf("the caller's client was closed: %v", err)
	}
	if _, err := s.Bind(t.Context(), "s", "", "a"); err == nil {
		t.Error("bound after Close")
	}
}
