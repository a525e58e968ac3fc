package redisconn

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// patient is a timeout that a busy test machine keeps.
const patient = 20 * time.Second

func dial(t *testing.T, r *redistest.Redis, timeout time.Duration, told *states) *Conn {
	t.Helper()
	c, err := New(Config{URL: r.Address(), Timeout: timeout, OnState: told.tell})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// waitFor calls try until it is true. A call that is refused costs next to nothing, so it waits
// a little between.
func waitFor(t *testing.T, what string, try func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); time.Now().Before(end); <-tick.C {
		if try() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patient, what)
}

// answers waits until Redis does: on a busy machine not even the first connection is sure.
func answers(t *testing.T, c *Conn) {
	t.Helper()
	waitFor(t, "an answer", func() bool { _, _, err := c.Get(t.Context(), "k"); return err == nil })
}

func TestRealCommands(t *testing.T) {
	var told states
	r := redistest.Start(t)
	c := dial(t, r, patient, &told)
	answers(t, c)
	before := c.Stats().Failures
	do := func(args ...string) error {
		return c.link.Load().Do(t.Context(), c.link.Load().B().Arbitrary(args...).Build()).Error()
	}
	testCommands(t, c,
		func(k, v string) error { return do("SET", k, v) },
		func(k, v string) (int, error) { return 0, do("RPUSH", k, v) })
	if n := c.Stats().Failures - before; n != 0 {
		t.Errorf("%d failures", n)
	}
}

func TestRealKillAndRestart(t *testing.T) {
	var told states
	r := redistest.Start(t)
	c := dial(t, r, patient, &told)
	get := func() error { _, _, err := c.Get(t.Context(), "k"); return err }
	answers(t, c)
	before := c.Stats().Failures
	r.Kill()
	waitFor(t, "down", func() bool { return errors.Is(get(), ErrDown) })
	if n := c.Stats().Failures - before; n < enough {
		t.Errorf("%d failures sufficed", n)
	}
	r.Restart()
	answers(t, c)
	if !strings.HasSuffix(told.String(), "down up") {
		t.Errorf("told %q", told.String())
	}
	r.Kill()
	c.Close()
}

func TestRealPause(t *testing.T) {
	var told states
	r := redistest.Start(t)
	c := dial(t, r, 30*time.Millisecond, &told)
	answers(t, c)
	r.Pause()
	var wg sync.WaitGroup
	for range 2000 {
		wg.Go(func() {
			if _, _, err := c.Get(t.Context(), "k"); err == nil {
				t.Error("a paused Redis answers")
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	if s.Most > maxInFlight || s.Most < enough || s.Refused == 0 || !s.Down {
		t.Errorf("%+v", s)
	}
	r.Resume()
	answers(t, c)
	if !strings.HasSuffix(told.String(), "down up") {
		t.Errorf("told %q", told.String())
	}
	r.Pause()
	c.Close() // must not wait for ever
	if _, _, err := c.Get(t.Context(), "k"); err != ErrClosed {
		t.Error(err)
	}
}
