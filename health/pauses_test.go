package health

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// stops is what a program lost.
type stops struct{ sum atomic.Int64 }

func (s *stops) Lost() time.Duration { return time.Duration(s.sum.Load()) }

// in a while adds to it as time goes by.
func (s *stops) inAWhile(wait, d time.Duration) {
	time.AfterFunc(wait, func() { s.sum.Add(int64(d)) })
}

// A check has as much longer as this program did not run: who answers within its time then is well, and who
// does not is to blame. Without knowledge of pauses, time is time.
func TestChecksHaveTheTimeThatWasLost(t *testing.T) {
	const timeout = 2 * time.Second
	for _, c := range []struct {
		name   string
		pauses [][2]time.Duration // after how long which time was found to be lost
		blind  bool               // nobody knows of pauses
		takes  time.Duration
		passes bool
		took   time.Duration
	}{
		{name: "no pause", takes: timeout + 1, took: timeout},
		{name: "in time", takes: timeout - 1, passes: true, took: timeout - 1},
		{name: "a pause", pauses: [][2]time.Duration{{time.Second, time.Second}}, takes: 3*time.Second - 1, passes: true, took: 3*time.Second - 1},
		{name: "nobody knows", pauses: [][2]time.Duration{{time.Second, time.Second}}, blind: true, takes: 3*time.Second - 1, took: timeout},
		{name: "silent all the same", pauses: [][2]time.Duration{{time.Second, time.Second}}, takes: time.Hour, took: 3 * time.Second},
		{
			name: "a pause in the time that was added", pauses: [][2]time.Duration{{time.Second, time.Second}, {2500 * time.Millisecond, time.Second}},
			takes: 4*time.Second - 1, passes: true, took: 4*time.Second - 1,
		},
		{name: "silent, and two pauses", pauses: [][2]time.Duration{{time.Second, time.Second}, {2500 * time.Millisecond, time.Second}}, takes: time.Hour, took: 4 * time.Second},
		{name: "the counter began anew", pauses: [][2]time.Duration{{time.Second, -time.Hour}}, takes: time.Hour, took: timeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			lost := new(stops)
			lost.sum.Store(int64(5 * time.Hour))
			cfg := Config{Pool: newPool(t, 1), Jitter: -1, Fall: 1, Timeout: timeout, Interval: time.Minute, Pauses: lost}
			if c.blind {
				cfg.Pauses = nil
			}
			cfg.Probe = func(ctx context.Context, _ *lb.Backend) error {
				for _, p := range c.pauses {
					lost.inAWhile(p[0], p[1])
				}
				timer := time.NewTimer(c.takes)
				defer timer.Stop()
				select {
				case <-timer.C:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			checker := lb.Must(New(cfg))
			stop := run(t, checker)
			time.Sleep(30 * time.Second)
			r := checker.Report()[0]
			if r.Err == nil != c.passes || r.Latency != c.took || !c.passes && r.Err.Error() != "no answer within 2s" {
				t.Errorf("%s: %v after %v", c.name, r.Err, r.Latency)
			}
			if want := map[bool]string{true: ".", false: "d"}[c.passes]; letters(cfg.Pool) != want {
				t.Errorf("%s: %s, want %s", c.name, letters(cfg.Pool), want)
			}
			stop()
			time.Sleep(time.Minute) // for timers that nobody waits for
		})
	}
}

// An answer that was late while this program did not run proves nothing; one that is wrong does.
func TestLateChecksProveNothing(t *testing.T) {
	for _, c := range []struct {
		status int
		pause  time.Duration
		want   string
	}{{200, 0, "d"}, {200, time.Second, "."}, {500, time.Second, "d"}} {
		synctest.Test(t, func(t *testing.T) {
			lost := new(stops)
			probe := lb.Must(HTTP(HTTPConfig{MaxLatency: 500 * time.Millisecond, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				lost.sum.Add(int64(c.pause))
				return &http.Response{StatusCode: c.status, Body: http.NoBody}, nil
			})}))
			pool := newPool(t, 1)
			stop := run(t, lb.Must(New(Config{Pool: pool, Probe: probe, Jitter: -1, Fall: 1, Pauses: lost})))
			time.Sleep(5 * time.Second)
			if got := letters(pool); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
			stop()
		})
	}
}

// What a backend did not say while nobody listened is no silence, however often that is; what it does not say
// when we do listen still is.
func TestSuspectWhileDeaf(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3, rotate)
			c := &changes{DynamicPool: w.pool}
			lost := new(stops)
			s := lb.Must(NewSuspector(SuspectorConfig{Pool: c, Pauses: lost}))
			s.watched = map[string]*suspicion{}
			look := func(n int, paused bool) {
				for range n {
					if paused {
						lost.sum.Add(int64(20 * time.Millisecond))
					}
					s.look(time.Now())
					w.send(100, 50*time.Millisecond, "/")
				}
			}
			look(60, false)
			mend := make(chan struct{})
			w.change(0, func(s *service) { s.hangs = mend })
			look(4, false)
			look(40, deaf)
			if got := suspects(c) != "..."; got == deaf {
				t.Errorf("deaf %v: %s", deaf, suspects(c))
			}
			look(40, false)
			if suspects(c) == "..." {
				t.Error("it is not suspected afterwards")
			}
			close(mend)
			w.change(0, func(s *service) { s.hangs = nil })
			look(10, true) // and that it answers is heard at once
			if suspects(c) != "..." {
				t.Errorf("it answers: %s", suspects(c))
			}
			w.flying.Wait()
		})
	}
}
