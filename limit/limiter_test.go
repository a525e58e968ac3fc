package limit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

func limiter(t testing.TB, cfg Config) *Limiter {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// v4 returns the n-th IPv4 address.
func v4(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

// passed counts the requests of n at a time that are within the limit.
func passed(l *Limiter, addr netip.Addr, now time.Time, n int) (within int) {
	for range n {
		if l.take(addr, now) == 0 {
			within++
		}
	}
	return within
}

func TestABurstPassesAtOnce(t *testing.T) {
	for rate, burst := range map[float64]int{0.00001: 1, 0.2: 1, 0.6: 2, 1: 2, 10: 20, 12.3: 25} {
		now := time.Now()
		l := limiter(t, Config{Rate: rate})
		for i := range 10 {
			if n := passed(l, v4(i), now, 100); n != burst {
				t.Errorf("rate %v: %d requests passed at once, want %d", rate, n, burst)
			}
		}
		if n := passed(limiter(t, Config{Rate: rate, Burst: 7}), v4(0), now, 100); n != 7 {
			t.Errorf("rate %v: %d requests passed at once, want the burst of 7", rate, n)
		}
	}
}

func TestTheRateIsExact(t *testing.T) {
	const hour, step = 3600, 50 * time.Millisecond
	for _, rate := range []float64{0.01, 0.3, 1, 7.3, 20} {
		l := limiter(t, Config{Rate: rate, Burst: 5})
		now, n := time.Now(), 0
		for at := time.Duration(0); at <= hour*time.Second; at += step {
			n += passed(l, v4(0), now.Add(at), 2)
		}
		if want := rate*hour + 5; float64(n) < want-1 || float64(n) > want+1 {
			t.Errorf("rate %v: %d requests passed in an hour, want %v", rate, n, want)
		}
	}
}

// Coming back after Retry-After is right, and a second earlier was too early.
func TestRetryAfterIsTrue(t *testing.T) {
	for _, rate := range []float64{0.00001, 0.01, 0.3, 1. / 3, 0.7, 1, 1.5, 100} {
		for i := range 200 {
			l := limiter(t, Config{Rate: rate, Burst: 3})
			now := time.Now()
			var wait int
			for wait == 0 {
				now = now.Add(rand.N(time.Duration(float64(time.Second) / rate / 2)))
				wait = l.take(v4(i), now)
			}
			early, late := now.Add(time.Duration(wait-1)*time.Second), now.Add(time.Duration(wait)*time.Second)
			if wait < 1 || wait > 1 && l.take(v4(i), early) == 0 {
				t.Errorf("rate %v: was sent away for %d seconds, needlessly long", rate, wait)
			}
			if l.take(v4(i), late) != 0 {
				t.Errorf("rate %v: was sent away again after %d seconds", rate, wait)
			}
		}
	}
}

func TestANetworkIsOneClient(t *testing.T) {
	now := time.Now()
	l := limiter(t, Config{Rate: 1, Burst: 1})
	one, next := 0, 0
	for i := range 200 {
		addr := netip.MustParseAddr("2001:db8:0:1::").As16()
		binary.BigEndian.PutUint64(addr[8:], rand.Uint64())
		if l.take(clientip.Subscriber(netip.AddrFrom16(addr)), now) == 0 {
			one++
		}
		addr[7] = byte(2 + i)
		if l.take(clientip.Subscriber(netip.AddrFrom16(addr)), now) == 0 {
			next++
		}
	}
	if one != 1 || next != 200 {
		t.Errorf("%d requests of one /64 passed, want 1; %d of 200 neighbours, want all", one, next)
	}
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8::1": "2001:db8::", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
	} {
		if got := clientip.Subscriber(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s is limited as %s, want %s", in, got, want)
		}
	}
}

// Millions of addresses do not make room for who has spent his bucket.
func TestAFloodOfAddresses(t *testing.T) {
	const clients, seconds, perSecond = 1000, 10, 10_000
	l := limiter(t, Config{Rate: 10, Burst: 20, MaxClients: clients})
	start, heavy, newcomers := time.Now(), 0, 0
	hitter, n := netip.MustParseAddr("203.0.113.1"), 0
	l.take(hitter, start) // and is known
	for i := range seconds * perSecond {
		now := start.Add(time.Duration(i) * time.Second / perSecond)
		if i%20 == 0 && l.take(hitter, now) == 0 {
			heavy++
		}
		n++
		if l.take(v4(n), now) == 0 {
			newcomers++
		}
	}
	if want := 20 + 10*seconds; heavy < want-2 || heavy > want {
		t.Errorf("%d requests of the heavy hitter passed, want %d", heavy, want)
	}
	if got := l.Clients(); got != clients-clients%len(l.shards) {
		t.Errorf("%d clients have buckets of their own, want %d", got, clients)
	}
	// A bucket is full again a tenth of a second after its only request.
	if most := clients*10*(seconds+1) + 20 + 10*seconds; newcomers > most {
		t.Errorf("%d requests of newcomers passed, want at most %d", newcomers, most)
	}
}

// Newcomers for whom there is no bucket share one; who has one keeps his own.
func TestNewcomersShareABucket(t *testing.T) {
	now := time.Now()
	l := limiter(t, Config{Rate: 1, Burst: 10, MaxClients: 50})
	for i := range 50 {
		passed(l, v4(i), now, 5)
	}
	shared := 0
	for i := range 1000 {
		shared += passed(l, v4(100+i), now, 1)
	}
	if shared != 10 {
		t.Errorf("%d requests of newcomers passed, want one burst of 10", shared)
	}
	for i := range 50 {
		if n := passed(l, v4(i), now, 10); n != 5 {
			t.Errorf("%d further requests of a known client passed, want 5", n)
		}
	}
	now = now.Add(5 * time.Second) // half full: nobody can go
	if passed(l, v4(5000), now, 100) != 5 || l.Clients() != 50 {
		t.Errorf("a newcomer did not get what the shared bucket had")
	}
	now = now.Add(5 * time.Second)
	if passed(l, v4(6000), now, 100) != 10 || l.Clients() != 50 {
		t.Errorf("a newcomer did not get the bucket of the client that was idle longest")
	}
	if l.shards[0].clients[v4(0)] != nil {
		t.Error("the client that was idle longest is still known")
	}
}

// Idle clients make room before the table grows.
func TestTheTableHoldsWhoIsActive(t *testing.T) {
	now := time.Now()
	l := limiter(t, Config{Rate: 1, Burst: 2})
	for i := range 50_000 {
		now = now.Add(100 * time.Millisecond)
		l.take(v4(i), now)
	}
	// About ten are not full at a time. A shard keeps as many as it ever had of them.
	if n := l.Clients(); n > 6*len(l.shards) {
		t.Errorf("%d clients have buckets", n)
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
	before, now := heap(), time.Now()
	l := limiter(t, Config{Rate: 0.01})
	for i := range 150_000 {
		l.take(v4(i), now.Add(time.Duration(i)*time.Microsecond))
	}
	grown := heap() - before
	if n := l.Clients(); n < 99_000 || n > 100_000 {
		t.Errorf("%d clients have buckets, want 100,000", n)
	}
	if grown > 32<<20 {
		t.Errorf("%d bytes for 100,000 clients, want at most 32 MiB", grown)
	}
	runtime.KeepAlive(l)
}

// The ring and the map hold the same clients, in the order of their last requests.
func TestTheRing(t *testing.T) {
	now := time.Now()
	l := limiter(t, Config{Rate: 1, Burst: 3, MaxClients: 7})
	s, last := &l.shards[0], map[netip.Addr]int{}
	for i := range 5000 {
		now = now.Add(rand.N(700 * time.Millisecond))
		addr := v4(rand.IntN(20))
		l.take(addr, now)
		last[addr] = i
		seen := 0
		for c := s.idlest; seen == 0 || c != s.idlest; c = c.after {
			seen++
			if s.clients[c.addr] != c || c.after.before != c || c.after != s.idlest && last[c.addr] >= last[c.after.addr] {
				t.Fatalf("after %d requests: %v is out of place", i, c.addr)
			}
		}
		if seen != len(s.clients) || seen > 7 {
			t.Fatalf("%d clients in the ring, %d in the map, want the same and at most 7", seen, len(s.clients))
		}
	}
}

func TestTheClockMaySlip(t *testing.T) {
	start := time.Now().Round(0) // as from outside: no monotonic reading
	l := limiter(t, Config{Rate: 10, Burst: 5})
	run := func(from time.Time, seconds int) (n int) {
		for i := range seconds * 100 {
			n += passed(l, v4(0), from.Add(time.Duration(i)*10*time.Millisecond), 1)
		}
		return n
	}
	near := func(what string, got, want int) {
		t.Helper()
		if got < want-1 || got > want+1 {
			t.Errorf("%s: %d requests passed, want %d", what, got, want)
		}
	}
	near("at first", run(start, 60), 605)
	near("an hour back", run(start.Add(-time.Hour), 60), 600)
	near("a year back", run(start.Add(-365*24*time.Hour), 60), 600)
	near("and forth again", run(start, 60), 605)
	// Readings of goroutines that overtook each other.
	n := 0
	for i := range 6000 {
		at := start.Add(time.Minute + time.Duration(i)*10*time.Millisecond)
		n += passed(l, v4(0), at.Add(-rand.N(500*time.Millisecond)), 1)
	}
	if n < 600-6 || n > 600+1 { // the newest reading is half a second behind at most: five tokens
		t.Errorf("out of order: %d requests passed, want 600", n)
	}
}

// request makes one from a peer.
func request(peer string, forwarded ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	r.Header["X-Forwarded-For"] = forwarded
	return r
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})

func TestWhoTheClientIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limiter(t, Config{Rate: 1, Burst: 5, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}).Wrap(ok)
		count := func(r func(i int) *http.Request) (n int) {
			for i := range 100 {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r(i)); w.Code == http.StatusOK {
					n++
				}
			}
			return n
		}
		for what, c := range map[string]struct {
			want int
			r    func(i int) *http.Request
		}{
			"a client that says it is others": {5, func(i int) *http.Request { return request("192.0.2.1:1", v4(i).String()) }},
			"a client that changes its port":  {5, func(i int) *http.Request { return request("192.0.2.2:" + strconv.Itoa(1+i)) }},
			"clients behind a proxy":          {100, func(i int) *http.Request { return request("10.0.0.1:1", v4(1000+i).String()) }},
			"a client behind a proxy":         {5, func(i int) *http.Request { return request("10.0.0.2:1", v4(2000+i).String()+", 192.0.2.3") }},
			"a client behind two proxies":     {5, func(i int) *http.Request { return request("10.0.0.3:1", v4(i).String(), "192.0.2.4, 10.9.9.9") }},
			"a peer without an address":       {5, func(i int) *http.Request { return request("@", v4(i).String()) }},
			"a /64":                           {5, func(i int) *http.Request { return request("[2001:db8::" + strconv.Itoa(i) + "]:1") }},
		} {
			if n := count(c.r); n != c.want {
				t.Errorf("%s: %d requests passed, want %d", what, n, c.want)
			}
		}
		if n := count(func(int) *http.Request { return request("[::ffff:192.0.2.1]:1") }); n != 0 {
			t.Errorf("%d requests of a known client passed when its address was written as IPv6", n)
		}
	})
}

func TestTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		l := limiter(t, Config{Rate: 0.25, Burst: 1, OnLimited: func(r *http.Request) { told++ }})
		h := l.Wrap(ok)
		serve := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request("192.0.2.1:1"))
			return w
		}
		if w := serve(); w.Code != http.StatusOK || told != 0 {
			t.Errorf("the first request got %d", w.Code)
		}
		time.Sleep(time.Second / 2)
		w := serve()
		if w.Code != 429 || w.Header().Get("Retry-After") != "4" || w.Body.String() != "Too Many Requests\n" || told != 1 {
			t.Errorf("got %d %v %q and told %d times", w.Code, w.Header(), w.Body, told)
		}
		time.Sleep(4 * time.Second)
		if w := serve(); w.Code != http.StatusOK || told != 1 {
			t.Errorf("got %d after Retry-After", w.Code)
		}
	})
}

func TestAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{Rate: 1, Burst: 50, MaxClients: 600})
		h := l.Wrap(ok)
		var known, refused atomic.Int64
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 500 {
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, request("192.0.2.1:1")); w.Code == http.StatusOK {
						known.Add(1)
					} else {
						refused.Add(1)
					}
					h.ServeHTTP(httptest.NewRecorder(), request(v4(g*500+i).String()+":1"))
					l.Clients()
				}
			})
		}
		wg.Wait()
		if known.Load() != 50 || known.Load()+refused.Load() != 4000 {
			t.Errorf("%d requests of one client passed, want its burst of 50", known.Load())
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	h := limiter(t, Config{Rate: 1e6, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}).Wrap(ok)
	for _, r := range []*http.Request{
		request("192.0.2.1:1"), request("[2001:db8::1]:1"), request("192.0.2.2:1", "192.0.2.3"),
		request("10.0.0.1:1", "192.0.2.4, 192.0.2.5, 10.0.0.2"),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r) // and is known
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n != 0 || w.Code != http.StatusOK {
			t.Errorf("%v allocations for %s %v", n, r.RemoteAddr, r.Header)
		}
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{Burst: -1, MaxClients: -1, TrustedProxies: make([]netip.Prefix, 1)})
	for _, field := range []string{"Rate", "Burst", "MaxClients", "TrustedProxies"} {
		if err == nil || !strings.Contains(err.Error(), "limit: Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	zero := 0.0
	for _, rate := range []float64{0, -1, 1e-6, 2e6, zero / zero, 1 / zero} {
		if _, err := New(Config{Rate: rate}); err == nil {
			t.Errorf("rate %v was accepted", rate)
		}
	}
}

func BenchmarkKnownClient(b *testing.B) {
	h := limiter(b, Config{Rate: 1e6, Burst: 1 << 30}).Wrap(ok)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r, w := request("192.0.2.1:1"), httptest.NewRecorder()
		for pb.Next() {
			h.ServeHTTP(w, r)
		}
	})
}

func BenchmarkFlood(b *testing.B) {
	l, now := limiter(b, Config{Rate: 10}), time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.take(v4(i), now.Add(time.Duration(i)*time.Microsecond))
	}
}
