package redistest

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// MasterName is what sentinels call the master.
const MasterName = "lb"

// Sentinels are a master, two replicas, and three sentinels of which two must agree. A master that
// does not answer for a second is replaced, which takes between one second and four. The methods are for the test's own goroutine, but for URL and TLSConfig.
type Sentinels struct {
	Servers   []*Redis // three: the first begins as the master
	Sentinels []*Redis // three: Kill, Pause and Do work with them, too

	t   testing.TB
	cfg Config
}

// StartSentinels runs them until the test ends. Config is for all of them, but for Unix, Port, and
// what a sentinel does not have.
func StartSentinels(t testing.TB, cfg ...Config) *Sentinels {
	t.Helper()
	c := one(cfg)
	c.Unix, c.Port = false, 0
	s := &Sentinels{t: t, cfg: c}
	first := start(t, c, plain(c.serverLines()...), nil)
	s.Servers = append(s.Servers, first)
	follow := append(c.serverLines(), fmt.Sprintf("replicaof 127.0.0.1 %d", first.port))
	for range 2 {
		s.Servers = append(s.Servers, start(t, c, plain(follow...), first.cert))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, start(t, c, sentinel(c, first.port), first.cert))
	}
	eventually(t, "the sentinels know each other and the replicas", func() bool {
		return !slices.ContainsFunc(s.Sentinels, func(r *Redis) bool { return !s.complete(r) })
	})
	return s
}

func sentinel(cfg Config, port int) form {
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", MasterName, port),
		"sentinel down-after-milliseconds " + MasterName + " 1000",
		"sentinel failover-timeout " + MasterName + " 4000",
		"sentinel parallel-syncs " + MasterName + " 2",
	}
	if cfg.User != "" {
		lines = append(lines, "sentinel auth-user "+MasterName+" "+cfg.User, "sentinel sentinel-user "+cfg.User)
	}
	if cfg.Password != "" {
		lines = append(lines, "sentinel auth-pass "+MasterName+" "+cfg.Password, "sentinel sentinel-pass "+cfg.Password)
	}
	return form{lines: lines, args: []string{"--sentinel"}, ready: "Sentinel ID is"}
}

// complete reports whether a sentinel sees two replicas that are in step, and two other sentinels.
func (s *Sentinels) complete(r *Redis) bool {
	replicas, err := r.Do("SENTINEL", "REPLICAS", MasterName)
	others, err2 := r.Do("SENTINEL", "SENTINELS", MasterName)
	if err != nil || err2 != nil {
		return false
	}
	inStep := 0
	for _, one := range replicas.([]any) {
		if facts := fmt.Sprint(one); strings.Contains(facts, "master-link-status ok") && strings.Contains(facts, "flags slave ") {
			inStep++
		}
	}
	return inStep == 2 && len(others.([]any)) == 2
}

// URL returns what a client is configured with.
func (s *Sentinels) URL() string {
	return s.cfg.link("redis-sentinel", addresses(s.Sentinels), "/"+MasterName)
}

// TLSConfig returns what a client needs, or nil.
func (s *Sentinels) TLSConfig() *tls.Config { return s.Servers[0].TLSConfig() }

// Master returns who the sentinels that answer say is the master, or nil if they do not agree or it
// does not say so itself.
func (s *Sentinels) Master() (master *Redis) {
	for _, asked := range s.Sentinels {
		if asked.process == nil {
			continue
		}
		got, err := asked.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
		if err != nil {
			continue
		}
		named := s.at(got)
		if named == nil || master != nil && named != master {
			return nil
		}
		master = named
	}
	if master == nil || master.process == nil {
		return nil
	}
	if role, err := master.Do("ROLE"); err != nil || role.([]any)[0] != "master" {
		return nil
	}
	return master
}

// at finds who has the address that a sentinel replied.
func (s *Sentinels) at(reply any) *Redis {
	for _, r := range s.Servers {
		if fmt.Sprint(reply) == fmt.Sprintf("[127.0.0.1 %d]", r.port) {
			return r
		}
	}
	return nil
}

// Failover ends or pauses the master, by (*Redis).Kill or (*Redis).Pause, and waits until another
// one has its place. It returns who was the master.
func (s *Sentinels) Failover(end func(*Redis)) (old *Redis) {
	s.t.Helper()
	eventually(s.t, "there is a master", func() bool { old = s.Master(); return old != nil })
	end(old)
	s.Await(old)
	return old
}

// Await waits until somebody else than old is the master, and returns that.
func (s *Sentinels) Await(old *Redis) (master *Redis) {
	s.t.Helper()
	eventually(s.t, "another one is the master", func() bool {
		master = s.Master()
		return master != nil && master != old
	})
	return master
}

// Rejoin starts or resumes a former master and makes it a replica at once. By Restart or Resume alone
// it takes itself for a master until the sentinels change that, ten seconds later or so.
func (s *Sentinels) Rejoin(old *Redis) {
	s.t.Helper()
	if old.Running() {
		old.Resume()
	} else {
		old.Restart()
	}
	port := strconv.Itoa(s.Await(old).port)
	eventually(s.t, "it follows the master", func() bool {
		role, err := old.Do("ROLE")
		if err == nil && role.([]any)[0] == "master" {
			_, _ = old.Do("REPLICAOF", "127.0.0.1", port)
		}
		return err == nil && strings.Contains(fmt.Sprint(role), port+" connected")
	})
}

// FlushAll deletes all that the master has.
func (s *Sentinels) FlushAll() {
	s.t.Helper()
	s.Await(nil).FlushAll()
}

func addresses(list []*Redis) string {
	var all []string
	for _, r := range list {
		all = append(all, r.Address())
	}
	return strings.Join(all, ",")
}
