package redistest

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const slots = 16384

// Cluster is three masters without replicas, with a third of the slots each. When one is away the
// others go on with theirs; it is found to be away after half a second. The methods are for the
// test's own goroutine, but for URL, TLSConfig, Of and Do.
type Cluster struct {
	Members []*Redis // three, in the order of their slots

	t   testing.TB
	cfg Config
}

// StartCluster runs one until the test ends. Config is for each member, but for Unix and Port. A
// member that is killed and restarted has its slots again, and its keys if Config.Keep says so.
func StartCluster(t testing.TB, cfg ...Config) *Cluster {
	t.Helper()
	c := &Cluster{t: t, cfg: one(cfg)}
	c.cfg.Unix, c.cfg.Port = false, 0
	lines := append(c.cfg.serverLines(), "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 500",
		"cluster-require-full-coverage no", "cluster-announce-ip 127.0.0.1")
	if c.cfg.TLS {
		lines = append(lines, "tls-cluster yes")
	}
	f := plain(append(lines, c.cfg.Lines...)...)
	f.bus = true
	var cert *certificate
	for range 3 {
		r := start(t, c.cfg, f, cert)
		cert = r.cert
		c.Members = append(c.Members, r)
	}
	c.join()
	c.Await()
	return c
}

// join gives each member its slots and makes them known to each other.
func (c *Cluster) join() {
	c.t.Helper()
	for i, r := range c.Members {
		c.must(r, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		args := []string{"CLUSTER", "ADDSLOTS"}
		for slot := range slots {
			if slot*3/slots == i {
				args = append(args, strconv.Itoa(slot))
			}
		}
		c.must(r, args...)
		if i > 0 {
			c.must(c.Members[0], "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(r.port))
		}
	}
}

func (c *Cluster) must(r *Redis, args ...string) {
	c.t.Helper()
	if _, err := r.Do(args...); err != nil {
		c.t.Fatalf("%s %s: %v", args[0], args[1], err)
	}
}

// Await waits until all members say that all slots are served.
func (c *Cluster) Await() {
	c.t.Helper()
	for i, r := range c.Members {
		eventually(c.t, fmt.Sprintf("member %d finds all well", i), func() bool {
			info, err := r.Do("CLUSTER", "INFO")
			text, _ := info.(string)
			return err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_slots_ok:16384") &&
				strings.Contains(text, "cluster_known_nodes:3") && strings.Contains(text, "cluster_size:3")
		})
	}
}

// URL returns what a client is configured with.
func (c *Cluster) URL() string { return c.cfg.link("redis-cluster", addresses(c.Members), "") }

// TLSConfig returns what a client needs, or nil.
func (c *Cluster) TLSConfig() *tls.Config { return c.Members[0].TLSConfig() }

// Of returns the member that has a key without braces.
func (c *Cluster) Of(key string) *Redis { return c.Members[int(crc16(key)%slots)*3/slots] }

// Do asks the member that has the key, which is args[1].
func (c *Cluster) Do(args ...string) (any, error) { return c.Of(args[1]).Do(args...) }

// FlushAll deletes all that the members have that run.
func (c *Cluster) FlushAll() {
	c.t.Helper()
	for _, r := range c.Members {
		if r.process != nil {
			r.FlushAll()
		}
	}
}

// crc16 is CRC-16/XMODEM, as the specification of Redis Cluster says.
func crc16(key string) (sum uint16) {
	for _, b := range []byte(key) {
		sum ^= uint16(b) << 8
		for range 8 {
			carry := sum & 0x8000
			if sum <<= 1; carry != 0 {
				sum ^= 0x1021
			}
		}
	}
	return sum
}
