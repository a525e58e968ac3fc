package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// states collects what OnState is told.
type states struct {
	mu  sync.Mutex
	got []string
}

func (s *states) tell(reachable bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reachable != (err == nil) {
		s.got = append(s.got, fmt.Sprintf("reachable %v with %v", reachable, err))
	}
	s.got = append(s.got, map[bool]string{true: "up", false: "down"}[reachable])
}

func (s *states) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

// inBubble runs a test against an in-process Redis on virtual time.
func inBubble(t *testing.T, cfg Config, test func(*testing.T, *miniredis.Miniredis, *Conn)) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		m.ClockTTL(true)
		cfg.URL = "redis:6379"
		if cfg.Dial == nil {
			cfg.Dial = func(context.Context, string) (net.Conn, error) { return m.Dial() }
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, m, c)
	})
}

func TestCommands(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		testCommands(t, c, m.Set, m.Lpush)
		if s := c.Stats(); s.Failures != 0 || s.Refused != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

var (
	setOnce = NewScript(`if redis.call('SET', KEYS[1], ARGV[1], 'NX') then return 'OK' end return false`)
	kinds   = NewScript(`return {1, 'two', false, 4}`)
	push    = NewScript(`return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`)
	broken  = NewScript(`return redis.error_reply('OOM nothing left')`)
)

// testCommands is what both Redises must do.
func testCommands(t *testing.T, c *Conn, set func(k, v string) error, list func(k, v string) (int, error)) {
	ctx := t.Context()
	get := func(want string) {
		t.Helper()
		if got, _, err := c.Get(ctx, "k"); err != nil || got != want {
			t.Fatalf("got %.20q (%d bytes), %v; want %.20q", got, len(got), err, want)
		}
	}
	eval := func(want string, s Script, args ...string) {
		t.Helper()
		if got, err := c.Eval(ctx, s, []string{"k"}, args); err != nil || strings.Join(got, "|") != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	get("")
	eval("OK", setOnce, "v")
	eval("", setOnce, "w")
	get("v")
	eval("1|two||4", kinds)
	long := strings.Repeat("x", 10*MaxValue)
	for _, value := range []string{"", "short", long} {
		if err := set("k", value); err != nil {
			t.Fatal(err)
		}
		get(value[:min(len(value), MaxValue+1)])
	}
	if _, err := c.Eval(ctx, broken, []string{"k"}, nil); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Error(err)
	}
	for i := range 5 {
		if m, err := c.Hash(ctx, "h", 4); err != nil || len(m) != i {
			t.Errorf("%d fields: %v, %v", i, m, err)
		}
		if _, err := c.Eval(ctx, push, []string{"h"}, []string{fmt.Sprint(i), "v"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Hash(ctx, "h", 4); err == nil {
		t.Error("a hash that is too large is returned")
	}
	if _, err := list("l", "a list"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := c.Get(ctx, "l"); got != "" || err != nil {
		t.Error(got, err)
	}
	if _, err := c.Hash(ctx, "l", 4); err == nil {
		t.Error("a list passes for a hash")
	}
}

// Later tells how it ended, once, also when nothing could be sent.
func TestLater(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		var told []string
		later := func(s Script) {
			c.Later(s, []string{"k"}, []string{"v"}, func(reply []string, err error) { told = append(told, fmt.Sprint(reply, err)) })
			synctest.Wait()
		}
		later(setOnce)
		later(setOnce)
		later(broken)
		c.Close()
		later(setOnce)
		if got := strings.Join(told, ", "); got != "[OK] <nil>, [] <nil>, [] OOM nothing left, [] "+ErrClosed.Error() {
			t.Error(got)
		}
	})
}

// An outage costs five failures; then no caller waits, and the probe finds its end without any.
func TestOutage(t *testing.T) {
	var told states
	var cut atomic.Bool
	var m0 *miniredis.Miniredis
	cfg := Config{OnState: told.tell, Dial: func(context.Context, string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("cut")
		}
		return m0.Dial()
	}}
	cut.Store(true)
	inBubble(t, cfg, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		m0 = m
		get := func() error { _, _, err := c.Get(t.Context(), "k"); return err }
		if err := get(); err != ErrDown || told.String() != "down" {
			t.Errorf("begun without Redis: %v, told %q", err, told.String())
		}
		cut.Store(false)
		time.Sleep(2 * time.Second)
		if err := get(); err != nil || told.String() != "down up" {
			t.Fatalf("nobody found that Redis is there: %v, told %q", err, told.String())
		}

		m.SetError("LOADING")
		for i := range 5 {
			if err := get(); err == nil || errors.Is(err, ErrDown) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		sent := c.Stats().Commands
		failed := 0
		for range 10_000 {
			if err := get(); err != ErrDown {
				t.Fatal(err)
			}
			c.Later(setOnce, []string{"k"}, []string{"v"}, func(_ []string, err error) {
				if err == ErrDown {
					failed++
				}
			})
		}
		if told.String() != "down up down" || failed != 10_000 || !c.Stats().Down {
			t.Errorf("told %q, %d failed", told.String(), failed)
		}
		time.Sleep(10 * time.Second)
		if n := c.Stats().Commands - sent; n < 19 || n > 21 {
			t.Errorf("%d probes in 10 s", n)
		}

		m.SetError("")
		time.Sleep(probeGap)
		synctest.Wait()
		if err := get(); err != nil || told.String() != "down up down up" || c.Stats().Down || c.Stats().Opened != 2 {
			t.Errorf("after the outage: %v, told %q, %+v", err, told.String(), c.Stats())
		}
		sent = c.Stats().Commands
		time.Sleep(time.Minute)
		if n := c.Stats().Commands - sent; n != 0 {
			t.Errorf("%d probes after the end", n)
		}
	})
}

// An answer that is an error says that Redis answers, unless it says that it cannot serve.
func TestWhatShutsTheGate(t *testing.T) {
	for reply, shuts := range map[string]bool{
		"LOADING": true, "MASTERDOWN": true, "CLUSTERDOWN": true, "NOAUTH": true, "WRONGPASS": true,
		"READONLY": false, "OOM": false, "NOPERM": false, "ERR": false, "WRONGTYPE": false,
	} {
		inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
			if _, _, err := c.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			m.SetError(reply + " of a test")
			for range 20 {
				_, _ = c.Eval(t.Context(), setOnce, []string{"k"}, []string{"v"})
			}
			if s := c.Stats(); s.Down != shuts {
				t.Errorf("%s: %+v", reply, s)
			}
		})
	}
}

// A subscription goes on after the connection was lost.
func TestSubscribe(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 10)
		ended := make(chan error)
		go func() { ended <- c.Subscribe(ctx, "ch", func(s string) { got <- s }) }()
		synctest.Wait()
		m.Publish("ch", "one")
		if s := <-got; s != "one" {
			t.Error(s)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		go func() { ended <- c.Subscribe(t.Context(), "ch", func(string) {}) }()
		synctest.Wait()
		go c.Close()
		if err := <-ended; err != ErrClosed {
			t.Error(err)
		}
	})
}

// No address is dialled more than five times in a second.
func TestDialsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		d := dialer{own: func(context.Context, string) (net.Conn, error) {
			times = append(times, time.Now())
			return nil, errors.New("no")
		}}
		for range 50 {
			_, _ = d.dial(t.Context(), "a", nil, nil)
		}
		for i := range times[5:] {
			if gap := times[i+5].Sub(times[i]); gap < time.Second {
				t.Errorf("six dials within %v", gap)
			}
		}
		if d.count() != 50 {
			t.Error(d.count())
		}
	})
}

// The slots are those of the specification.
func TestSlot(t *testing.T) {
	for key, want := range map[string]int{"": 0, "123456789": 0x31C3, "foo": 12182, "bar": 5061, "hello": 866} {
		if got := slot(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}

func TestSilenceCostsTheDeadline(t *testing.T) {

	var told states
	silent := func(context.Context, string) (net.Conn, error) {
		a, b := net.Pipe()
		go func() { // reads for ever and says nothing
			defer b.Close()
			buf := make([]byte, 1024)
			for {
				if _, err := b.Read(buf); err != nil {
					return
				}
			}
		}()
		return a, nil
	}
	inBubble(t, Config{Dial: silent, OnState: told.tell, Timeout: 20 * time.Millisecond}, func(t *testing.T, _ *miniredis.Miniredis, c *Conn) {
		c.mu.Lock()
		c.lanes[0].gate, c.shut = gate{}, 0
		c.mu.Unlock() // as if Redis had fallen silent just now
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() {
				began := time.Now()
				if _, _, err := c.Get(t.Context(), "k"); err == nil || time.Since(began) > 20*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		s := c.Stats()
		if s.Most != maxInFlight || s.Commands != maxInFlight || s.InFlight != maxInFlight || !s.Down {
			t.Errorf("%+v: want %d in flight, held to their true end", s, maxInFlight)
		}
		time.Sleep(time.Second)
		if n := c.Stats().InFlight; n > 1 { // a probe
			t.Errorf("%d still in flight", n)
		}
	})
}

func TestTheCallersContextSaysNothingAboutRedis(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, _ *miniredis.Miniredis, c *Conn) {
		gone, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		cancel(left)
		for range 100 {
			if _, _, err := c.Get(gone, "k"); err != nil && !errors.Is(err, left) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if s := c.Stats(); s.Failures != 0 || s.Down || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, _ *miniredis.Miniredis, c *Conn) {
		c.Later(setOnce, []string{"k"}, []string{"v"}, func([]string, error) { time.Sleep(time.Second) })
		c.Close()
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("%d commands still run", n)
		}
		if _, _, err := c.Get(t.Context(), "k"); err != ErrClosed {
			t.Error(err)
		}
		if _, _, err := c.Lock(t.Context(), "l", time.Second); err != ErrClosed {
			t.Error(err)
		}
		c.Close()
	})
}

func TestFaults(t *testing.T) {
	for _, text := range []string{"", "localhost", ":6379", "h:", "h:0", "h:65536", "h:redis", "http://h:6379", "[::1]", "a b:1",
		"redis://", "redis://h:0", "redis://h/x", "redis://h/-1", "redis://a,b", "redis-sentinel://h:1", "redis-sentinel://h:1/", "redis-cluster://h:1/2", "unix://sock", "redis://u:%zz@h"} {
		errs := (Config{URL: text}).Faults()
		if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "URL ") || !strings.Contains(errs[0].Error(), "127.0.0.1:6379") {
			t.Errorf("%q: %v", text, errs)
		}
	}
	for text, want := range map[string]place{
		"h:1":                                  {addresses: []string{"h:1"}},
		"[::1]:65535":                          {addresses: []string{"[::1]:65535"}},
		"redis://h":                            {addresses: []string{"h:6379"}},
		"redis://[::1]/3":                      {addresses: []string{"[::1]:6379"}, database: 3},
		"rediss://u:p%2F@h":                    {secure: true, addresses: []string{"h:6379"}, user: "u", password: "p/"},
		"redis://:p@h:1":                       {addresses: []string{"h:1"}, password: "p"},
		"unix:///a/b.sock":                     {unix: true, addresses: []string{"/a/b.sock"}},
		"redis-cluster://a:1,b:2":              {form: cluster, addresses: []string{"a:1", "b:2"}},
		"rediss-sentinel://u:p@a:1,b:2/main/1": {form: sentinel, secure: true, addresses: []string{"a:1", "b:2"}, user: "u", password: "p", master: "main", database: 1},
	} {
		if got, err := locate(text); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	_, err := New(Config{URL: "redis://:secret@h:0", Timeout: -1})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "@h:0") || !strings.Contains(err.Error(), "Timeout -1ns") {
		t.Error(err)
	}
}
