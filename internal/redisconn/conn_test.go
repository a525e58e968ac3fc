package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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
		cfg.Address = "redis:6379"
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

// testCommands is what both Redises must do.
func testCommands(t *testing.T, c *Conn, set func(k, v string) error, push func(k, v string) (int, error)) {
	ctx := t.Context()
	swap := func(old, value string) string {
		t.Helper()
		got, err := c.Swap(ctx, "k", old, value, time.Hour, func(v string) bool { return strings.HasPrefix(v, "good") })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	get := func(want string) {
		t.Helper()
		if got, err := c.Get(ctx, "k"); err != nil || got != want {
			t.Fatalf("got %.20q (%d bytes), %v; want %.20q", got, len(got), err, want)
		}
	}
	get("")
	for _, s := range []struct{ old, value, want string }{
		{"", "good1", "good1"},      // assign
		{"", "good2", "good1"},      // too late
		{"good0", "good2", "good1"}, // moved by another
		{"good1", "good2", "good2"}, // moved by us
		{"good1", "good3", "good2"},
	} {
		if got := swap(s.old, s.value); got != s.want {
			t.Fatalf("swap %q for %q: %q, want %q", s.old, s.value, got, s.want)
		}
		get(s.want)
	}
	long := strings.Repeat("x", 10*MaxValue)
	for _, bad := range []string{"bad", "", long, "good" + long} {
		if err := set("k", bad); err != nil {
			t.Fatal(err)
		}
		get(bad[:min(len(bad), MaxValue+1)])
		if got := swap("", "good4"); got != "good4" {
			t.Errorf("over %.20q: %.20q, want good4", bad, got)
		}
		get("good4")
	}
	if err := c.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	get("")
	if _, err := push("k", "a list"); err != nil {
		t.Fatal(err)
	}
	get("")
	if got := swap("", "good5"); got != "good5" {
		t.Errorf("over a list: %q", got)
	}
}

// A touch without a value brings nothing back that was deleted.
func TestTouchWithoutAValueOnlyProlongs(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		touch := func() {
			c.Touch(func() (string, string) { return "k", "" }, time.Minute, func() { t.Error("failed") })
			synctest.Wait()
		}
		if touch(); m.Exists("k") {
			t.Error("a key was made of nothing")
		}
		if err := m.Set("k", "v"); err != nil {
			t.Fatal(err)
		}
		m.SetTTL("k", time.Second)
		touch()
		if v, _ := m.Get("k"); v != "v" || m.TTL("k") != time.Minute {
			t.Errorf("value %q for %v", v, m.TTL("k"))
		}
	})
}

func TestTouchSetsAndProlongs(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		touch := func(value string) {
			c.Touch(func() (string, string) { return "k", value }, time.Minute, func() { t.Error("failed") })
			synctest.Wait()
		}
		for _, s := range []struct {
			wait time.Duration
			left time.Duration // afterwards
		}{
			{0, 60 * time.Second},
			{29 * time.Second, 31 * time.Second}, // not half over: left alone
			{2 * time.Second, 60 * time.Second},
			{59 * time.Second, 60 * time.Second},
		} {
			time.Sleep(s.wait)
			touch("first")
			if got := m.TTL("k").Round(time.Second); got != s.left {
				t.Errorf("after another %v: %v left, want %v", s.wait, got, s.left)
			}
		}
		touch("second")
		if got, _ := m.Get("k"); got != "first" {
			t.Errorf("touch changed the value to %q", got)
		}
		time.Sleep(61 * time.Second)
		touch("third")
		if got, _ := m.Get("k"); got != "third" {
			t.Errorf("after it expired: %q", got)
		}
	})
}

func TestOutageCostsFiveFailuresAndATrialPerSecond(t *testing.T) {
	var told states
	var cut bool // only touched while nothing runs
	var m0 *miniredis.Miniredis
	cfg := Config{OnState: told.tell, Dial: func(context.Context, string) (net.Conn, error) {
		if cut {
			return nil, errors.New("cut")
		}
		return m0.Dial()
	}}
	cut = true
	inBubble(t, cfg, func(t *testing.T, m *miniredis.Miniredis, c *Conn) {
		m0 = m
		get := func() error { _, err := c.Get(t.Context(), "k"); return err }
		if told.String() != "down" {
			t.Errorf("begun without Redis: told %q", told.String())
		}
		cut = false
		if err := get(); err != nil || told.String() != "down up" {
			t.Fatalf("the first call after New is no trial: %v, told %q", err, told.String())
		}

		cut = true
		m.SetError("LOADING")
		for i := range 5 {
			if err := get(); err == nil || errors.Is(err, ErrDown) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		sent := c.Stats().Commands
		for range 10_000 {
			if err := get(); err != ErrDown {
				t.Fatal(err)
			}
		}
		failed := 0
		c.Touch(func() (string, string) { t.Error("asked"); return "", "" }, time.Hour, func() { failed++ })
		if n := c.Stats().Commands - sent; n != 0 || failed != 1 || told.String() != "down up down" {
			t.Errorf("%d commands were sent to a Redis that is down; failed %d, told %q", n, failed, told.String())
		}
		for range 10 {
			time.Sleep(time.Second)
			for range 100 {
				get()
			}
		}
		if n := c.Stats().Commands - sent; n != 10 {
			t.Errorf("%d trials in 10 s", n)
		}

		m.SetError("")
		time.Sleep(time.Second)
		if err := get(); err != nil || told.String() != "down up down up" || c.Stats().Down {
			t.Errorf("after the outage: %v, told %q", err, told.String())
		}
	})
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
		c.gate = gate{} // as if Redis had fallen silent just now
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() {
				began := time.Now()
				if _, err := c.Get(t.Context(), "k"); err == nil || time.Since(began) > 20*time.Millisecond {
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
		if n := c.Stats().InFlight; n != 0 {
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
			if _, err := c.Get(gone, "k"); err != nil && !errors.Is(err, left) {
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
		c.Touch(func() (string, string) { time.Sleep(time.Second); return "k", "v" }, time.Hour, func() { t.Error("failed") })
		c.Close()
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("%d commands still run", n)
		}
		if _, err := c.Get(t.Context(), "k"); err != ErrClosed {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), "k"); err != ErrClosed {
			t.Error(err)
		}
		c.Close()
	})
}

func TestFaults(t *testing.T) {
	for _, address := range []string{"", "localhost", ":6379", "h:", "h:0", "h:65536", "h:redis", "redis://h:6379", "[::1]", "a b:1"} {
		if errs := (Config{Address: address}).Faults(); len(errs) != 1 || !strings.Contains(errs[0].Error(), address) || !strings.Contains(errs[0].Error(), "127.0.0.1:6379") {
			t.Errorf("%q: %v", address, errs)
		}
	}
	for _, address := range []string{"h:1", "127.0.0.1:6379", "[::1]:65535"} {
		if errs := (Config{Address: address}).Faults(); errs != nil {
			t.Errorf("%q: %v", address, errs)
		}
	}
	_, err := New(Config{Address: "redis://:secret@h:1", Timeout: -1})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "@h:1") || !strings.Contains(err.Error(), "Timeout -1ns") {
		t.Error(err)
	}
}
