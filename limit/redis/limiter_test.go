package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link is the way to an in-process Redis. It can be cut, and can hang.
type link struct {
	redis *miniredis.Miniredis
	mu    sync.Mutex
	cut   bool
	hangs bool
	conns []net.Conn
}

func (l *link) dial(context.Context, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.New("cut")
	}
	var c net.Conn
	if l.hangs {
		near, far := net.Pipe()
		go swallow(far)
		c = near
	} else {
		var err error
		if c, err = l.redis.Dial(); err != nil {
			return nil, err
		}
	}
	l.conns = append(l.conns, c)
	return c, nil
}

// swallow reads and says nothing.
func swallow(c net.Conn) {
	defer c.Close()
	for buf := make([]byte, 1024); ; {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// become closes all connections, and says how the next ones are.
func (l *link) become(cut, hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.hangs = cut, hangs
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// inBubble runs a test of so many limiters that share an in-process Redis, on virtual time.
func inBubble(t *testing.T, instances int, cfg Config, test func(*testing.T, *link, []*Limiter)) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{redis: miniredis.NewMiniRedis()}
		defer l.redis.Close()
		l.redis.ClockTTL(true)
		cfg.URL, cfg.dial = "redis:6379", l.dial
		limiters := make([]*Limiter, instances)
		for i := range limiters {
			var err error
			if limiters[i], err = New(cfg); err != nil {
				t.Fatal(err)
			}
			defer limiters[i].Close()
		}
		test(t, l, limiters)
	})
}

var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// request makes one from a peer.
func request(peer string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	return r
}

// passed counts the requests of a peer that pass when n come to each limiter every gap, for a time.
func passed(limiters []*Limiter, peer string, n int, gap, long time.Duration) (all int) {
	r := request(peer)
	for range long / gap {
		for _, l := range limiters {
			for range n {
				w := httptest.NewRecorder()
				began := time.Now()
				if l.Wrap(ok).ServeHTTP(w, r); w.Code == http.StatusOK {
					all++
				}
				if time.Since(began) > 0 {
					panic("a request has waited")
				}
			}
		}
		time.Sleep(gap)
	}
	return all
}

// meet lets the limiters learn of each other.
func meet(limiters []*Limiter) {
	for range 2 {
		for i, l := range limiters {
			l.Wrap(ok).ServeHTTP(httptest.NewRecorder(), request(fmt.Sprintf("198.51.100.%d:1", i)))
		}
		time.Sleep(beatGap + time.Second)
	}
}

// Many limiters are one limit, through all that can become of Redis; no request ever waits, and none
// fails. Nobody who did too much keeps others from what is theirs.
func TestManyAreOneLimit(t *testing.T) {
	for _, instances := range []int{1, 2, 5} {
		inBubble(t, instances, Config{Limit: limit.Config{Rate: 20, Burst: 40}}, func(t *testing.T, l *link, all []*Limiter) {
			meet(all)
			tt := all[0].terms.Load()
			if tt.instances != instances || all[instances-1].Stats().Instances != instances {
				t.Errorf("%d instances are seen, want %d", tt.instances, instances)
			}
			for _, phase := range []struct {
				what string
				do   func()
				more float64 // than the overshoot
			}{
				{"at first", func() {}, 0},
				{"in the long run", func() {}, -20},
				{"away", func() { l.become(true, false) }, 0},
				{"back", func() { l.become(false, false) }, 40},
				{"silent", func() { l.become(false, true) }, 0},
				{"back again", func() { l.become(false, false) }, 40},
				{"wiped", func() { l.redis.FlushAll() }, 40},
				{"with an error", func() { l.redis.SetError("OOM command not allowed") }, 0},
				{"well", func() { l.redis.SetError("") }, 40},
			} {
				phase.do()
				const long = 20 * time.Second
				n := float64(passed(all, "192.0.2.1:1", 2, 25*time.Millisecond, long))
				if least, most := 0.9*20*20, 20*20+40+tt.overshoot()+phase.more; n < least || n > most {
					t.Errorf("%d instances, %s: %v passed in %v, want %v to %v", instances, phase.what, n, long, least, most)
				}
			}
			if n := passed(all[:1], "192.0.2.2:1", 1, time.Second, 20*time.Second); n != 20 {
				t.Errorf("%d of 20 requests of another client passed", n)
			}
		})
	}
}

// A program may start without Redis; each client has then all of the limit here, or Config.Share of it.
func TestRedisWasNeverThere(t *testing.T) {
	for share, want := range map[float64]float64{0: 220, 0.25: 55} {
		told := 0
		cfg := Config{Limit: limit.Config{Rate: 10, Burst: 20}, Share: share, OnState: func(bool, error) { told++ }}
		inBubble(t, 1, cfg, func(t *testing.T, l *link, all []*Limiter) {
			l.become(true, false)
			if n := float64(passed(all, "192.0.2.1:1", 5, 100*time.Millisecond, 20*time.Second)); n < 0.95*want-2 || n > want+2 {
				t.Errorf("share %v: %v passed, want %v", share, n, want)
			}
			if s := all[0].Stats(); !s.Down || s.Fallbacks == 0 || s.Leased != 0 || told == 0 {
				t.Errorf("%+v, told %d times", s, told)
			}
		})
	}
}

// Clients that stay under their instance's share cost next to nothing, one-time visitors nothing.
func TestWhoDoesLittleCostsLittle(t *testing.T) {
	inBubble(t, 4, Config{Limit: limit.Config{Rate: 50}}, func(t *testing.T, l *link, all []*Limiter) {
		meet(all)
		before := all[0].Stats().Commands
		for i := range 1000 {
			all[0].Wrap(ok).ServeHTTP(httptest.NewRecorder(), request(fmt.Sprintf("203.0.%d.%d:1", i/250, i%250)))
		}
		synctest.Wait()
		if n := all[0].Stats().Commands - before; n > 1 {
			t.Errorf("a thousand clients cost %d commands", n)
		}
		before = all[0].Stats().Commands
		if n := passed(all[:1], "192.0.2.1:1", 1, 100*time.Millisecond, 100*time.Second); n != 1000 {
			t.Errorf("%d of 1000 requests passed", n)
		}
		if n := all[0].Stats().Commands - before; n > 1000*2/25+25 {
			t.Errorf("1000 requests cost %d commands", n)
		}
	})
}

// One limit for all clients together, and limits of different names, do not meet.
func TestLimitsHaveNames(t *testing.T) {
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 1, Burst: 10}, Everybody: true}, func(t *testing.T, l *link, all []*Limiter) {
		cfg := all[0].cfg
		cfg.Name = "another"
		another, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer another.Close()
		for range 2 {
			n := 0
			for i := range 30 {
				n += passed(all, fmt.Sprintf("203.0.113.%d:1", i), 1, time.Millisecond, time.Millisecond)
			}
			if n != 10 {
				t.Errorf("%d requests of everybody passed, want a burst of 10", n)
			}
			all = []*Limiter{another}
		}
	})
}

// What stands in Redis tells nobody who the clients are, and is bounded.
func TestTheKeys(t *testing.T) {
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 1, Burst: 2}, Prefix: "x:", Name: "{evil}\r\nname"}, func(t *testing.T, l *link, all []*Limiter) {
		for i := range 100 {
			passed(all, fmt.Sprintf("203.0.113.%d:1", i), 3, time.Millisecond, time.Millisecond)
		}
		keys := l.redis.Keys()
		if len(keys) != 101 {
			t.Errorf("%d keys, want one for each of 100 clients and that of the instances", len(keys))
		}
		for _, key := range keys {
			if len(key) != len("x:l:")+22 || !strings.HasPrefix(key, "x:l:") || strings.ContainsAny(key, "{}.\r\n") {
				t.Errorf("key %q", key)
			}
		}
		time.Sleep(beatTTL)
		if keys := l.redis.Keys(); len(keys) != 0 {
			t.Errorf("%d keys are left", len(keys))
		}
	})
	a := newKeys(Config{Prefix: "lb:", Name: "a"})
	b := newKeys(Config{Prefix: "lb:", Name: "a", Secret: make([]byte, 32)})
	c := newKeys(Config{Prefix: "lb:", Name: "c"})
	seen := map[string]bool{}
	for _, k := range []string{a.client(name{}), b.client(name{}), c.client(name{}), a.instances(), b.instances(), c.instances(), a.client(name{kind: everybody})} {
		if seen[k] {
			t.Errorf("%s stands for two", k)
		}
		seen[k] = true
	}
}

func TestWhoAClientIs(t *testing.T) {
	one := func(addr string) name { return nameOf(netip.MustParseAddr(addr)) }
	if one("2001:db8::1") != one("2001:db8::2") || one("2001:db8::1") == one("2001:db8:0:1::1") || one("192.0.2.1") == one("192.0.2.2") {
		t.Error("a client is not an IPv4 address or a /64")
	}
	if none := nameOf(netip.Addr{}); none == one("::1") || none == (name{kind: everybody}) || one("::1") == one("0.0.0.0") {
		t.Error("who has no address is somebody else, too")
	}
}

// However many clients ask, memory is bounded, and who is known stays limited.
func TestAFloodOfClients(t *testing.T) {
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 1, Burst: 8, MaxClients: 512}}, func(t *testing.T, l *link, all []*Limiter) {
		passed(all, "192.0.2.1:1", 20, time.Millisecond, time.Millisecond)
		newcomers := 0
		for i := range 3000 {
			newcomers += passed(all, fmt.Sprintf("10.0.%d.%d:1", i/250, i%250), 1, time.Millisecond, time.Millisecond)
		}
		if n := all[0].Clients(); n > 512 || n < 500 {
			t.Errorf("%d clients have accounts", n)
		}
		if newcomers > 512+2*11+8 {
			t.Errorf("%d requests of newcomers passed", newcomers)
		}
		if n := passed(all, "192.0.2.1:1", 20, time.Millisecond, time.Millisecond); n > 3 {
			t.Errorf("%d further requests of a known client passed", n)
		}
		time.Sleep(10 * time.Second)
		if n := passed(all, "10.1.0.1:1", 1, time.Millisecond, time.Millisecond); n != 1 || all[0].Clients() > 512 {
			t.Error("there is no room when all have been idle")
		}
	})
}

func TestTheAnswer(t *testing.T) {
	told := 0
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 0.25, Burst: 1, OnLimited: func(*http.Request) { told++ }}}, func(t *testing.T, l *link, all []*Limiter) {
		serve := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			all[0].Wrap(ok).ServeHTTP(w, request("192.0.2.1:1"))
			synctest.Wait()
			return w
		}
		if w := serve(); w.Code != 200 || told != 0 {
			t.Errorf("the first request got %d", w.Code)
		}
		time.Sleep(time.Second / 2)
		if w := serve(); w.Code != 429 || w.Header().Get("Retry-After") != "4" || w.Body.String() != "Too Many Requests\n" || told != 1 {
			t.Errorf("got %d %v %q and told %d times", w.Code, w.Header(), w.Body, told)
		}
		time.Sleep(4 * time.Second)
		if w := serve(); w.Code != 200 {
			t.Errorf("got %d after Retry-After", w.Code)
		}
		if s := all[0].Stats(); s.Passed != 2 || s.Denied != 1 || s.Clients != 1 || s.Granted != 2 || s.Down {
			t.Errorf("%+v", s)
		}
	})
}

// After Close there is the share, and nothing panics.
func TestCloseEndsNothingButRedis(t *testing.T) {
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 10, Burst: 10}}, func(t *testing.T, l *link, all []*Limiter) {
		all[0].Close()
		all[0].Close()
		if n := passed(all, "192.0.2.1:1", 2, 100*time.Millisecond, 10*time.Second); n < 105 || n > 111 {
			t.Errorf("%d passed, want 110", n)
		}
	})
}

func TestAllAtOnce(t *testing.T) {
	inBubble(t, 3, Config{Limit: limit.Config{Rate: 1, Burst: 60, MaxClients: 600}}, func(t *testing.T, l *link, all []*Limiter) {
		meet(all)
		var wg sync.WaitGroup
		var mu sync.Mutex
		n := 0
		for g := range 9 {
			wg.Go(func() {
				for i := range 200 {
					w := httptest.NewRecorder()
					if all[g%3].Wrap(ok).ServeHTTP(w, request("192.0.2.1:1")); w.Code == http.StatusOK {
						mu.Lock()
						n++
						mu.Unlock()
					}
					all[g%3].Wrap(ok).ServeHTTP(httptest.NewRecorder(), request(fmt.Sprintf("10.%d.0.%d:1", g, i)))
					all[g%3].Stats()
				}
			})
		}
		wg.Wait()
		if n < 20 || n > 121 {
			t.Errorf("%d requests of one client passed, want its burst of 60, or twice that at most", n)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	inBubble(t, 1, Config{Limit: limit.Config{Rate: 1e6, Burst: 1 << 30, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}, func(t *testing.T, l *link, all []*Limiter) {
		for _, peer := range []string{"192.0.2.1:1", "[2001:db8::1]:1", "10.0.0.1:1"} {
			h, w, r := all[0].Wrap(ok), httptest.NewRecorder(), request(peer)
			h.ServeHTTP(w, r)
			if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n != 0 || w.Code != http.StatusOK {
				t.Errorf("%v allocations for %s", n, peer)
			}
		}
	})
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{
		Limit: limit.Config{Burst: -1, MaxClients: -1, TrustedProxies: make([]netip.Prefix, 1)},
		Share: math.NaN(), Grant: -1, Prefix: "{", Secret: []byte("short"), Timeout: -1,
	})
	for _, field := range []string{"limit: Config.Rate", "limit: Config.Burst", "limit: Config.MaxClients", "limit: Config.TrustedProxies",
		"limit/redis: Config.Share", "limit/redis: Config.Grant", "limit/redis: Config.Prefix", "limit/redis: Config.Secret", "limit/redis: Config.Timeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	for _, cfg := range []Config{
		{Limit: limit.Config{Rate: 1}},
		{Limit: limit.Config{Rate: 1e-5, Burst: 1000}, URL: "h:1"},
		{Limit: limit.Config{Rate: 1e6, Burst: 1<<30 + 1}, URL: "h:1"},
		{Limit: limit.Config{Rate: 1}, URL: "h:1", Share: 1.1},
		{Limit: limit.Config{Rate: 1}, URL: "h:1", Secret: make([]byte, 31)},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := newLimiter(Config{Limit: limit.Config{Rate: 0.01}}.withDefaults(), nil, nobody{})
	n := client
	for i := range 150_000 {
		n[0], n[1], n[2] = byte(i), byte(i>>8), byte(i>>16)
		l.take(n, time.Duration(i)*time.Microsecond)
	}
	grown := heap() - before
	if n := l.Clients(); n < 99_000 || n > 100_000 {
		t.Errorf("%d clients have accounts, want 100,000", n)
	}
	if grown > 40<<20 {
		t.Errorf("%d bytes for 100,000 clients, want at most 40 MiB", grown)
	}
	t.Logf("%d bytes for a client", grown/uint64(l.Clients()))
	runtime.KeepAlive(l)
}
