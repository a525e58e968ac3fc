package health

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// tell gives an ejector results of one backend: F failed, S succeeded, N neutral.
func tell(e *Ejector, p lb.Pool, id, results string) {
	outcomes := map[rune]lb.Outcome{'F': lb.Failure, 'S': lb.Success, 'N': lb.Neutral}
	for _, r := range results {
		e.Observer().Attempt(lb.Result{Backend: p.Snapshot().Find(id), Outcome: outcomes[r], Reason: "dial"})
	}
}

func TestEjectorCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ results, want string }{
			{"FFFF", "."}, {"FFFFF", "e"}, {"FFFFSFFFF", "."}, {"FFFFNFN", "e"}, {"FFFFSFFFFF", "e"},
			{"NNNNNNNN", "."}, {"SSSSSSSS", "."}, {"FNFNFNFNF", "e"}, {"FFFFFSSS", "e"}, {"", "."},
		} {
			pool := newPool(t, 4)
			ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
			stop := run(t, ejector)
			synctest.Wait()
			tell(ejector, pool, "b02", tt.results)
			if got := letters(pool); got != ".."+tt.want+"." {
				t.Errorf("%s: %s", tt.results, got)
			}
			if b := pool.Snapshot().Find("b02"); tt.want == "e" && b.Cause() != `5 requests in a row failed, the last for "dial"; out for 30s` {
				t.Errorf("cause %q", b.Cause())
			}
			stop()
			if got := letters(pool); got != "...." {
				t.Errorf("%s, after Run: %s", tt.results, got)
			}
		}
	})
}

// outFor ejects b00 and returns how long it stays out, to the second.
func outFor(t *testing.T, e *Ejector, pool *lb.DynamicPool) time.Duration {
	t.Helper()
	synctest.Wait() // until Run has looked, which would make tell's results wait for others
	start := time.Now()
	tell(e, pool, "b00", "FFFFF")
	for pool.Snapshot().Find("b00").Facts().Has(lb.Ejected) {
		time.Sleep(time.Second)
		synctest.Wait()
		if time.Since(start) > time.Hour {
			t.Fatal("it never comes back")
		}
	}
	return time.Since(start).Round(time.Second)
}

func TestEjectorTimeGrowsAndDecays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 3)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		defer run(t, ejector)()
		synctest.Wait()
		if got := outFor(t, ejector, pool); got != 30*time.Second {
			t.Errorf("the first time: %v", got)
		}
		for times := 2; times < 15; times++ {
			if got, want := outFor(t, ejector, pool), min(time.Duration(times)*30*time.Second, 300*time.Second); got != want {
				t.Errorf("time %d in a row: %v, want %v", times, got, want)
			}
		}
		time.Sleep(4*30*time.Second + time.Second) // four are forgotten of the ten that it can be
		if got := outFor(t, ejector, pool); got != 7*30*time.Second {
			t.Errorf("after two minutes of peace: %v, want 210s", got)
		}
		time.Sleep(7 * 30 * time.Second)
		if got := outFor(t, ejector, pool); got != 30*time.Second {
			t.Errorf("when all is forgotten: %v", got)
		}
	})
}

func TestTerm(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, tt := range []struct {
		cfg  EjectorConfig
		want []time.Duration // of ejections without a pause between
	}{
		{EjectorConfig{Time: 30, MaxTime: 300}, []time.Duration{30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300}},
		{EjectorConfig{Time: 30, MaxTime: 70}, []time.Duration{30, 60, 70, 70}},
		{EjectorConfig{Time: 30, MaxTime: 30}, []time.Duration{30, 30}},
	} {
		var x term
		now := start
		for i, want := range tt.want {
			x = x.begin(now, tt.cfg)
			if got := x.turn.Sub(now); got != want {
				t.Errorf("%v of %v: ejection %d lasts %v, want %v", tt.cfg.Time, tt.cfg.MaxTime, i+1, got, want)
			}
			now = x.turn
			x = x.end(now)
		}
		if y := x.begin(now.Add(-time.Hour), tt.cfg); y.times > x.times+1 {
			t.Errorf("a clock that jumps back made %d times of %d", y.times, x.times)
		}
	}
}

// orders calls f with every order of 0 to n-1.
func orders(n int, f func([]int)) {
	order := make([]int, 0, n)
	var extend func()
	extend = func() {
		if len(order) == n {
			f(order)
			return
		}
	next:
		for i := range n {
			for _, used := range order {
				if used == i {
					continue next
				}
			}
			order = append(order, i)
			extend()
			order = order[:len(order)-1]
		}
	}
	extend()
}

// TestEjectorCap lets all backends fail, one after the other, in every order, with some of them
// down or draining before: no more than the share is ever out, and never the last fit one.
func TestEjectorCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := map[float64][]int{ // by the number of backends that do not drain
			0:    {0, 0, 1, 1, 2, 2},
			0.1:  {0, 0, 1, 1, 1, 1},
			0.34: {0, 0, 1, 1, 1, 1},
			1:    {0, 0, 1, 2, 3, 4},
		}
		for share, caps := range most {
			for n := 1; n <= 5; n++ {
				for before := range 1 << min(n, 3) { // which of the first three are down, or drain if odd
					orders(n, func(order []int) {
						pool := newPool(t, n)
						fit, staying := n, n
						for i := range n {
							switch {
							case before>>i&1 == 0:
							case i%2 == 1:
								pool.Mark(pool.Snapshot().At(i).ID(), lb.Draining, "test")
								fit, staying = fit-1, staying-1
							default:
								pool.Mark(pool.Snapshot().At(i).ID(), lb.Down, "test")
								fit--
							}
						}
						ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, MaxShare: share, Failures: 1, Jitter: -1}))
						stop := run(t, ejector)
						synctest.Wait()
						for range 2 {
							for _, i := range order {
								tell(ejector, pool, pool.Snapshot().At(i).ID(), "F")
							}
						}
						want := max(0, min(caps[staying], fit-1))
						if got := strings.Count(letters(pool), "e"); got != want {
							t.Errorf("share %v, order %v, out %b: %s, want %d ejected", share, order, before, letters(pool), want)
						}
						stop()
					})
				}
			}
		}
	})
}

// watched is a pool that checks the cap whenever a fact is marked.
type watched struct {
	*lb.DynamicPool
	t    *testing.T
	most int
}

func (w watched) Mark(id string, f lb.Facts, cause string) bool {
	news := w.DynamicPool.Mark(id, f, cause)
	if all := letters(w); strings.Count(all, "e") > w.most || !strings.Contains(all, ".") {
		w.t.Errorf("ejected are %s", all)
	}
	return news
}

// TestEjectorRace has many goroutines tell of many backends' failures, while backends come and go
// and somebody else lets some back.
func TestEjectorRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := watched{newPool(t, 20), t, 10}
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Failures: 2, Time: 3 * time.Second}))
		stop := run(t, ejector)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 500 {
					s := pool.Snapshot()
					ejector.attempt(lb.Result{Backend: s.At(rand.IntN(s.Len())), Outcome: lb.Outcome(1 + rand.IntN(2))})
					if rand.IntN(10) == 0 {
						time.Sleep(rand.N(200 * time.Millisecond))
					}
				}
			})
		}
		wg.Go(func() {
			for range 50 {
				id := fmt.Sprintf("b%02d", rand.IntN(20))
				pool.Clear(id, lb.Ejected, "test")
				if err := pool.Remove(t.Context(), id); err != nil {
					t.Error(err)
				}
				time.Sleep(rand.N(time.Second))
				if err := pool.Replace(specs(20)...); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		time.Sleep(10 * time.Minute)
		if got := letters(pool); strings.Contains(got, "e") {
			t.Errorf("some never came back: %s", got)
		}
		stop()
	})
}

// TestEjectorLetBack has somebody else end an ejection: the count begins anew, the next ejection
// is longer all the same.
func TestEjectorLetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 3)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		defer run(t, ejector)()
		synctest.Wait()
		for times, pause := range []time.Duration{0, 5 * time.Second, 0, 5 * time.Second} {
			tell(ejector, pool, "b00", "FFFFF")
			tell(ejector, pool, "b00", "FFFFFFFFF") // came too late
			if got, want := pool.Snapshot().At(0).Cause(), fmt.Sprintf("out for %v", time.Duration(times+1)*30*time.Second); !strings.HasSuffix(got, want) {
				t.Errorf("time %d: %q, want %q", times, got, want)
			}
			time.Sleep(pause)
			pool.Clear("b00", lb.Ejected, "test")
			time.Sleep(pause)
			synctest.Wait()
			tell(ejector, pool, "b00", "FFFF")
			if got := letters(pool); got != "..." {
				t.Errorf("time %d: after four failures: %s", times, got)
			}
		}
	})
}

// TestEjectorRoom checks that a refusal for want of room holds only as long as there is none.
func TestEjectorRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 4)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		defer run(t, ejector)()
		synctest.Wait()
		tell(ejector, pool, "b00", "FFFFF")
		tell(ejector, pool, "b01", "FFFFF")
		tell(ejector, pool, "b02", "FFFFFFFF")
		if got := letters(pool); got != "ee.." {
			t.Errorf("without room: %s", got)
		}
		pool.Clear("b00", lb.Ejected, "test")
		tell(ejector, pool, "b02", "F")
		if got := letters(pool); got != ".ee." {
			t.Errorf("with room again: %s", got)
		}
	})
}

// TestEjectorLeavesOthersAlone checks that it ends no ejection but its own.
func TestEjectorLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 3)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		stop := run(t, ejector)
		synctest.Wait()
		tell(ejector, pool, "b00", "FFFFF")
		pool.Clear("b00", lb.Ejected, "test")
		time.Sleep(2 * time.Second)
		pool.Mark("b00", lb.Ejected, "by hand")
		time.Sleep(time.Hour)
		stop()
		if got := letters(pool); got != "e.." {
			t.Errorf("%s", got)
		}
	})
}

// TestEjectorMembership checks that nothing is kept of backends that have left, and that
// newcomers count at once.
func TestEjectorMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 5)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		defer run(t, ejector)()
		synctest.Wait()
		late := pool.Snapshot().Find("b00")
		tell(ejector, pool, "b00", "FFFFF")
		if err := pool.Replace(specs(7)[2:]...); err != nil { // without b00 and b01, with b05 and b06
			t.Fatal(err)
		}
		tell(ejector, pool, "b05", "FFFFF")
		if got := letters(pool); got != "...e." {
			t.Errorf("a newcomer that fails: %s", got)
		}
		for range 10 {
			ejector.attempt(lb.Result{Backend: late, Outcome: lb.Failure})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(*ejector.records.Load()); got != 5 {
			t.Errorf("%d records of 5 backends", got)
		}
		if err := pool.Replace(specs(5)...); err != nil {
			t.Fatal(err)
		}
		tell(ejector, pool, "b00", "FFFF")
		if got := letters(pool); got != "....." {
			t.Errorf("one that is new again: %s", got)
		}
	})
}

// TestEjectorIdle checks that an Ejector that does not run ejects nobody, for nobody would let
// them back.
func TestEjectorIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 3)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		tell(ejector, pool, "b00", "FFFFFFFF")
		stop := run(t, ejector)
		synctest.Wait()
		if got := letters(pool); got != "..." {
			t.Errorf("before Run: %s", got)
		}
		if err := ejector.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time was let in")
		}
		stop()
		tell(ejector, pool, "b00", "FFFFFFFF")
		if got := letters(pool); got != "..." {
			t.Errorf("after Run: %s", got)
		}
		stop = run(t, ejector)
		synctest.Wait()
		tell(ejector, pool, "b00", "FFFFF")
		if got := letters(pool); got != "e.." {
			t.Errorf("in the next Run: %s", got)
		}
		stop()
	})
}

func TestEjectorAllocs(t *testing.T) {
	pool := newPool(t, 100)
	ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Failures: 1 << 30}))
	ejector.records.Store(new(map[string]*record)) // as Run does
	ejector.look(time.Now())
	b := pool.Snapshot().At(50)
	for _, o := range []lb.Outcome{lb.Neutral, lb.Success, lb.Failure} {
		if n := testing.AllocsPerRun(1000, func() { ejector.attempt(lb.Result{Backend: b, Outcome: o}) }); n != 0 {
			t.Errorf("%v: %v allocations", o, n)
		}
	}
}

func TestNewEjectorFaults(t *testing.T) {
	_, err := NewEjector(EjectorConfig{
		Failures: -1, GatewayFailures: -1, FailureShare: -1, Deviations: -1,
		Interval: -1, Requests: -1, Time: -1, MaxTime: -1, MaxShare: 1.5, Jitter: 2,
	})
	for _, word := range []string{"Pool", "Failures, GatewayFailures, FailureShare and Deviations", "Interval", "Requests", "Time", "MaxTime", "MaxShare", "Jitter"} {
		if !strings.Contains(text(err), "health: EjectorConfig."+word+" ") {
			t.Errorf("%s is not named in\n%v", word, err)
		}
	}
	for field, cfg := range map[string]EjectorConfig{
		"MaxTime": {Time: 10, MaxTime: 5}, "FailureShare": {FailureShare: 1.01}, "Deviations": {Deviations: math.NaN()},
		"Jitter": {Jitter: math.NaN()}, "MaxShare": {MaxShare: math.NaN()}, "Interval": {Interval: time.Millisecond},
	} {
		cfg.Pool = newPool(t, 1)
		if _, err := NewEjector(cfg); !strings.Contains(text(err), "health: EjectorConfig."+field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
