package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// event is something that happens to Redis, or between it and the balancers.
type event struct {
	name  string
	cfg   redistest.Config
	begin func(*stage)
	end   func(*stage) // nil: it lasts no time
	all   bool         // no known session may move, and all are in Redis in the end
	long  bool         // for LB_FULL=1 alone
}

// stage is a Redis, and a proxy between it and each balancer.
type stage struct {
	t       *testing.T
	redis   *redistest.Redis
	proxies [2]*redistest.Proxy
}

func (s *stage) each(do func(*redistest.Proxy)) {
	for _, p := range s.proxies {
		do(p)
	}
}

// do asks Redis and ends the test if that refuses.
func (s *stage) do(args ...string) {
	s.t.Helper()
	if _, err := s.redis.Do(args...); err != nil {
		s.t.Fatalf("%s: %v", args[0], err)
	}
}

func normal(s *stage) { s.each((*redistest.Proxy).Normal) }

// overwrite gives each key of a session a value made by a Lua expression of its number i and the list of keys.
func overwrite(expression string) func(*stage) {
	return func(s *stage) {
		s.do("EVAL", `local keys = redis.call('KEYS', 'lb:s:*')
			local old, big = {}
			for i, key in ipairs(keys) do old[i] = redis.call('GET', key) end
			for i, key in ipairs(keys) do redis.call('DEL', key); `+expression+` end`, "0")
	}
}

func events() []event {
	keep := redistest.Config{Keep: true}
	kill := func(s *stage) { s.redis.Kill() }
	restart := func(s *stage) { s.redis.Restart() }
	return []event{
		{name: "nothing", begin: func(*stage) {}, all: true},
		{name: "kill -9, begins empty", begin: kill, end: restart},
		{name: "kill -9, keeps its data", cfg: keep, begin: kill, end: restart, all: true},
		{name: "restart at once", cfg: keep, begin: restart, all: true},
		{name: "restart at once, empty", begin: restart, long: true},
		{name: "SIGSTOP", begin: func(s *stage) { s.redis.Pause() }, end: func(s *stage) { s.redis.Resume() }, all: true},
		{name: "FLUSHALL", begin: func(s *stage) { s.redis.FlushAll() }},
		{name: "wrong types", begin: overwrite(`redis.call('RPUSH', key, 'x')`)},
		{name: "hostile values", begin: overwrite(`big = big or string.rep("x", 1048576); redis.call("SET", key,
			({ "b1", "v1", old[i % #keys + 1], i % 60 == 3 and big or "{}", "\0\r\n$-1\r\n", old[i] .. "x" })[i % 6 + 1])`)},
		{name: "maxmemory", begin: func(s *stage) { s.do("CONFIG", "SET", "maxmemory", "1") },
			end: func(s *stage) { s.do("CONFIG", "SET", "maxmemory", "0") }, all: true},
		{name: "latency 500 ms", begin: func(s *stage) {
			s.each(func(p *redistest.Proxy) { p.Latency(250 * time.Millisecond) })
		}, end: normal, all: true},
		{name: "resets", begin: func(s *stage) { s.each((*redistest.Proxy).Cut) }, end: normal, all: true},
		{name: "one reset", begin: func(s *stage) { s.each((*redistest.Proxy).Reset) }, all: true},
		{name: "refused", begin: func(s *stage) { s.each((*redistest.Proxy).Refuse) }, end: normal, all: true, long: true},
		{name: "blackhole", begin: func(s *stage) { s.each((*redistest.Proxy).Blackhole) }, end: normal, all: true},
		{name: "one balancer alone", begin: func(s *stage) { s.proxies[0].Blackhole() }, end: normal, all: true},
	}
}

// away is how long an event lasts.
func away() time.Duration {
	if full() {
		return 10 * time.Second
	}
	return 1300 * time.Millisecond
}

// pause waits. It orders nothing: it says how long the traffic has.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// Whatever happens to Redis, no request fails, sessions stay where they are, and nobody waits for long.
func TestRedisEvents(t *testing.T) {
	for _, e := range events() {
		if e.long && !full() {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			s := &stage{t: t, redis: redistest.Start(t, e.cfg)}
			var at []where
			for i := range s.proxies {
				s.proxies[i] = redistest.StartProxy(t, s.redis.Address())
				at = append(at, where{url: "redis://" + s.proxies[i].Address()})
			}
			began := time.Now()
			f := weather(t, at, func() { e.begin(s) }, func() {
				if e.end != nil {
					pause(away())
					e.end(s)
				}
			}, probe)
			f.dials = max(s.proxies[0].MostDials(began, time.Second), s.proxies[1].MostDials(began, time.Second))
			f.check(t, e)
		})
	}
}

// weather makes a storm, lets an event begin and end in it, and returns what that did.
func weather(t *testing.T, at []where, begin, end func(), name func(n int) string) *figures {
	t.Helper()
	s, f := newStorm(t, at...), &figures{dials: -1}
	over := make(chan struct{})
	var all sync.WaitGroup
	stop := sync.OnceFunc(func() { close(over); all.Wait() })
	defer stop()
	all.Go(func() { s.traffic(over) })
	all.Go(func() { lateness(over, func(l latencies) { f.late = l }) })
	firstAfter := s.watch(over, name)
	pause(200 * time.Millisecond)
	from := s.now()
	begin()
	end()
	to := s.now()
	recovered := time.Duration(-1)
	eventually(t, "the stores share again what they know", func() bool {
		recovered = firstAfter(to)
		return recovered >= 0
	})
	pause(500 * time.Millisecond)
	stop()
	f.recovery = recovered - to
	s.judge(f, from, recovered)
	first := min(from+time.Second, max(to, from+200*time.Millisecond))
	f.first, f.away, f.normal = s.latencies(span{from, first}), s.latencies(span{first, to}), s.latencies(span{recovered, s.now()})
	s.settle(f, at[0])
	return f
}

// A master dies, and another one takes its place.
func TestSentinelFailover(t *testing.T) {
	ends := map[string]func(*redistest.Redis){"killed": (*redistest.Redis).Kill}
	if full() {
		ends["paused"] = (*redistest.Redis).Pause
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := redistest.StartSentinels(t)
			w := where{url: s.URL()}
			var old *redistest.Redis
			f := weather(t, []where{w, w}, func() { old = s.Master(); end(old) }, func() { s.Await(old) },
				probe)
			f.check(t, event{name: "the master is " + name})
		})
	}
}

// One of three members of a cluster dies, and comes back.
func TestClusterMember(t *testing.T) {
	c := redistest.StartCluster(t, redistest.Config{Keep: true})
	w := where{url: c.URL()}
	gone := c.Members[1]
	var grave *redistest.Proxy
	f := weather(t, []where{w, w}, func() {
		gone.Kill()
		grave = redistest.StartGrave(t, gone)
	}, func() {
		pause(away())
		grave.Refuse()
		gone.Restart()
		c.Await()
	}, func(n int) string { return probeOf(c, gone, n) })
	f.dials = (grave.MostDials(time.Time{}, time.Second) + 1) / 2 // of two balancers
	f.check(t, event{name: "a member is killed", all: true})
}

// probeOf returns the name of a session whose key a member has: another one for each n.
func probeOf(c *redistest.Cluster, member *redistest.Redis, n int) string {
	for try := 0; ; try++ { // one in three will do
		if name := fmt.Sprint("probe", n, ".", try); c.Of(redisKey(name)) == member {
			return name
		}
	}
}

// probe names any session: another one for each n.
func probe(n int) string { return fmt.Sprint("probe", n) }
