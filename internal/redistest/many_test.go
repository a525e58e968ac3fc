package redistest

import (
	"fmt"
	"strings"
	"testing"
)

func secure() []Config {
	return []Config{{}, {TLS: true, User: "lb", Password: "pw"}}
}

func TestSentinels(t *testing.T) {
	for _, cfg := range secure() {
		t.Run(fmt.Sprintf("TLS=%v", cfg.TLS), func(t *testing.T) {
			t.Parallel()
			s := StartSentinels(t, cfg)
			if scheme, _, _ := strings.Cut(s.URL(), "://"); strings.Count(s.URL(), ",") != 2 || !strings.HasSuffix(s.URL(), "/lb") || (scheme == "rediss-sentinel") != cfg.TLS {
				t.Errorf("it is at %s", s.URL())
			}
			first := s.Master()
			if first != s.Servers[0] {
				t.Fatalf("%v is the master", first)
			}
			want(t, first, "OK", "SET", "k", "v")
			want(t, first, int64(2), "WAIT", "2", "5000") // both replicas have it
			if old := s.Failover((*Redis).Kill); old != first {
				t.Errorf("%v was the master", old)
			}
			want(t, s.Master(), "v", "GET", "k")
			want(t, s.Master(), "OK", "SET", "k", "w")
			s.Rejoin(first)
			want(t, first, "w", "GET", "k")
			s.FlushAll()
			want(t, s.Master(), nil, "GET", "k")
		})
	}
}

func TestCluster(t *testing.T) {
	for _, cfg := range secure() {
		t.Run(fmt.Sprintf("TLS=%v", cfg.TLS), func(t *testing.T) {
			t.Parallel()
			cfg.Keep = true
			c := StartCluster(t, cfg)
			keys := make([]string, 100)
			for i := range keys {
				keys[i] = fmt.Sprint("lb:", i)
				if got, err := c.Do("SET", keys[i], "v"); err != nil { // a member refuses what is not its own
					t.Fatal(got, err)
				}
				want(t, c.Members[i%3], int64(crc16(keys[i])%slots), "CLUSTER", "KEYSLOT", keys[i])
			}
			gone := c.Of(keys[0])
			gone.Kill()
			eventually(t, "the others know", func() bool { return knowsOfOneLost(c, gone) })
			for _, key := range keys {
				if r := c.Of(key); r != gone {
					want(t, r, "v", "GET", key)
				}
			}
			gone.Restart()
			c.Await()
			for _, key := range keys {
				want(t, c.Of(key), "v", "GET", key)
			}
			c.FlushAll()
			want(t, gone, nil, "GET", keys[0])
		})
	}
}

func knowsOfOneLost(c *Cluster, gone *Redis) bool {
	for _, r := range c.Members {
		if r == gone {
			continue
		}
		if info, err := r.Do("CLUSTER", "INFO"); err != nil || strings.Contains(info.(string), "cluster_slots_fail:0") {
			return false
		}
	}
	return true
}
