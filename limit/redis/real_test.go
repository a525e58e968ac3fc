package redis

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redisconn"
	"github.com/go-loadbalancer/lb/internal/redistest"
	"github.com/go-loadbalancer/lb/limit"
)

// until tries something for a long time.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !try(); runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// serve sends a request and reports whether it passed.
func serve(l *Limiter, peer string) bool {
	w := httptest.NewRecorder()
	l.Wrap(ok).ServeHTTP(w, request(peer))
	return w.Code == http.StatusOK
}

// Eight limiters race on real sockets: a burst passes, and what comes meanwhile, and no more than the
// overshoot.
func TestRealRace(t *testing.T) {
	server := redistest.Start(t)
	const n = 8
	var all [n]*Limiter
	for i := range all {
		l, err := New(Config{Limit: limit.Config{Rate: 200, Burst: 800}, URL: server.Address(), Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all[i] = l
	}
	until(t, "all are seen by all", func() bool {
		seen := true
		for i, l := range all {
			if l.Stats().Instances != n {
				l.beat.Store(0)
				serve(l, fmt.Sprintf("198.51.100.%d:1", i))
				seen = false
				<-time.NewTimer(time.Millisecond).C
			}
		}
		return seen
	})
	began := time.Now()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 * n {
		wg.Go(func() {
			for passed.Load() < 1200 && time.Since(began) < 20*time.Second {
				if serve(all[i%n], "192.0.2.1:1") {
					passed.Add(1)
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	took, tt := time.Since(began), all[0].terms.Load()
	if got, most := float64(passed.Load()), tt.burst+tt.rate*took.Seconds()+tt.overshoot(); got < 1200 || got > most {
		t.Errorf("%v passed in %v, want 1200 at least and %.0f at most", got, took, most)
	}
	for _, l := range all {
		if s := l.Stats(); s.Failures != 0 || s.Fallbacks != 0 || s.Passed == 0 {
			t.Errorf("%+v", s)
		}
	}
	t.Logf("1200 passed in %v, %d commands for %d requests", took, commands(all[:]), requests(all[:]))
}

func commands(all []*Limiter) (n uint64) {
	for _, l := range all {
		n += l.Stats().Commands
	}
	return n
}

func requests(all []*Limiter) (n uint64) {
	for _, l := range all {
		n += l.Stats().Passed + l.Stats().Denied
	}
	return n
}

// The scripts run on a real Redis, over whatever stands at the key, too.
func TestRealScripts(t *testing.T) {
	server := redistest.Start(t)
	c, err := redisconn.New(redisconn.Config{URL: server.Address(), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	set := redisconn.NewScript(`redis.call('DEL', KEYS[1]) if ARGV[1] == 'list' then redis.call('LPUSH', KEYS[1], 'a') else redis.call('SET', KEYS[1], ARGV[1]) end return {'ok'}`)
	tt := newTerms(per(10, 20), 4)
	for _, v := range []string{"", "x", "nan", "-nan", "inf", "-inf", "1e300", "-1e300", "1e400", "0x10", " 5 ", "99999999999999999999", "\x00", "list"} {
		for _, want := range []int32{0, 5} {
			if _, err := evaluate(t, c, set, "k", v); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				q := ask{debt: 2, want: want}
				reply, err := evaluate(t, c, leaseScript, "k", leaseArgs(tt, q)...)
				if err != nil {
					t.Fatalf("%q: %v", v, err)
				}
				if _, credit, err := parseLease(tt, q, reply); err != nil || credit < -tt.over || credit > tt.burst {
					t.Errorf("%q: %v: %v left, %v", v, reply, credit, err)
				}
			}
		}
	}
	full := newTerms(per(0.001, 10), 1) // so slow that no token comes during the test
	n := 0
	for range 20 {
		reply, err := evaluate(t, c, leaseScript, "burst", leaseArgs(full, ask{want: 1})...)
		if err != nil {
			t.Fatal(err)
		}
		k, _, err := parseLease(full, ask{want: 1}, reply)
		if n += int(k); err != nil {
			t.Error(reply, err)
		}
	}
	if n != 10 {
		t.Errorf("%d passed at once, want 10", n)
	}
	for i := range 3 {
		if _, err := evaluate(t, c, set, "i", "not ours"); err != nil && i == 0 {
			t.Fatal(err)
		}
		reply, err := evaluate(t, c, beatScript, "i", "a", "15000")
		if n, wrong := parseBeat(reply); err != nil || wrong != nil || n != 1 {
			t.Errorf("%v, %v", reply, err)
		}
	}
}
