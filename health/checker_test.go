package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

var errSick = errors.New("sick")

// newPool returns a pool of n backends b00, b01, ...
func newPool(t testing.TB, n int) *lb.DynamicPool {
	t.Helper()
	pool, err := lb.NewPool(specs(n)...)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func specs(n int) []lb.Spec {
	all := make([]lb.Spec, n)
	for i := range all {
		all[i] = lb.Spec{ID: fmt.Sprintf("b%02d", i), URL: fmt.Sprintf("http://10.0.0.%d", 1+i%250)}
	}
	return all
}

// letters abbreviates the facts of all backends.
func letters(p lb.Pool) string {
	var all strings.Builder
	for s, i := p.Snapshot(), 0; i < s.Len(); i++ {
		all.WriteString(letter(s.At(i).Facts()))
	}
	return all.String()
}

// run runs r until the returned function is called, which waits for its end.
func run(t testing.TB, r lb.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// TestCheckerScripts lets backends pass and fail as scripts say, all at the same time, and looks
// at the pool after each round.
func TestCheckerScripts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scripts := map[string][2]string{ // checks, and the facts after each
			"b00": {"++++++++++", ".........."},
			"b01": {"---+++++++", "..dd......"},
			"b02": {"--+--+---+", "........dd"},
			"b03": {"----------", "..dddddddd"},
			"b04": {"---+-+-+++", "..dddddd.."},
		}
		pool := newPool(t, len(scripts))
		var round atomic.Int64
		probe := func(_ context.Context, b *lb.Backend) error {
			if scripts[b.ID()][0][round.Load()] == '-' {
				return errSick
			}
			return nil
		}
		defer run(t, lb.Must(New(Config{Pool: pool, Probe: probe, Jitter: -1})))()
		for i := range 10 {
			synctest.Wait()
			for id, script := range scripts {
				if got := letter(pool.Snapshot().Find(id).Facts()); got != script[1][i:i+1] {
					t.Errorf("%s after check %d of %s: %s, want %s", id, i+1, script[0], got, script[1])
				}
			}
			round.Add(1)
			if i < 9 {
				time.Sleep(10 * time.Second)
			}
		}
	})
}

// TestCheckerCauses checks what the pool is told, and what Report says.
func TestCheckerCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 2)
		var sick atomic.Bool
		sick.Store(true)
		probe := func(_ context.Context, b *lb.Backend) error {
			time.Sleep(30 * time.Millisecond)
			if b.ID() == "b01" && sick.Load() {
				return errors.New("connection\nrefused")
			}
			return nil
		}
		checker := lb.Must(New(Config{Pool: pool, Probe: probe, Jitter: -1}))
		if got := checker.Report(); len(got) != 0 {
			t.Errorf("before Run: %+v", got)
		}
		stop := run(t, checker)
		start := time.Now()
		synctest.Wait()
		if got := checker.Report(); len(got) != 2 || !got[0].Checked.IsZero() || got[0].Backend != "b00" {
			t.Errorf("during the first check: %+v", got)
		}
		time.Sleep(29 * time.Second)
		r := checker.Report()
		if want := (Report{Backend: "b00", Checked: start.Add(20*time.Second + 30*time.Millisecond), Latency: 30 * time.Millisecond, Passed: 3}); r[0] != want {
			t.Errorf("got %+v, want %+v", r[0], want)
		}
		if r[1].Failed != 3 || r[1].Passed != 0 || r[1].Err == nil || r[1].Err.Error() != "connection refused" {
			t.Errorf("got %+v", r[1])
		}
		b := pool.Snapshot().Find("b01")
		if b.Facts() != lb.Down || b.Cause() != "check failed: connection refused" {
			t.Errorf("%v because %q", b.Facts(), b.Cause())
		}
		sick.Store(false)
		time.Sleep(20 * time.Second)
		b = pool.Snapshot().Find("b01")
		if b.Facts() != 0 || b.Cause() != "passed 2 checks in a row" {
			t.Errorf("%v because %q", b.Facts(), b.Cause())
		}
		stop()
		if got := checker.Report(); len(got) != 2 || got[1].Passed != 2 {
			t.Errorf("after Run: %+v", got)
		}
	})
}

// TestCheckerOneAtATime has probes that hang until they are stopped, longer than the interval,
// and checks that they fail, and never meet one another.
func TestCheckerOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		pool := newPool(t, n)
		asking := make(map[string]*atomic.Int32)
		for _, s := range specs(n) {
			asking[s.ID] = new(atomic.Int32)
		}
		var checks atomic.Int64
		probe := func(ctx context.Context, b *lb.Backend) error {
			if asking[b.ID()].Add(1) != 1 {
				t.Errorf("%s was asked twice at a time", b.ID())
			}
			defer asking[b.ID()].Add(-1)
			checks.Add(1)
			<-ctx.Done()
			return nil // even so
		}
		checker := lb.Must(New(Config{Pool: pool, Probe: probe, Interval: time.Second, Timeout: 3 * time.Second, Fall: 2}))
		stop := run(t, checker)
		time.Sleep(6500 * time.Millisecond)
		synctest.Wait()
		if got := letters(pool); got != strings.Repeat("d", n) {
			t.Errorf("after two timeouts: %s", got)
		}
		if got := checks.Load(); got != 3*n {
			t.Errorf("%d checks, want %d", got, 3*n)
		}
		if r := checker.Report()[7]; r.Err == nil || r.Err.Error() != "no answer within 3s" || r.Latency != 3*time.Second {
			t.Errorf("%+v", r)
		}
		stop()
	})
}

// TestCheckerNothingProved checks that neither the end of Run nor a want of file descriptors
// counts against a backend.
func TestCheckerNothingProved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 1)
		hang := func(ctx context.Context, _ *lb.Backend) error { <-ctx.Done(); return ctx.Err() }
		stop := run(t, lb.Must(New(Config{Pool: pool, Probe: hang, Fall: 1})))
		time.Sleep(time.Second)
		stop()
		if got := pool.Snapshot().At(0).Facts(); got != 0 {
			t.Errorf("the end of Run made the backend %v", got)
		}
		for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
			poor := func(context.Context, *lb.Backend) error {
				return &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}
			}
			checker := lb.Must(New(Config{Pool: pool, Probe: poor, Fall: 1}))
			stop = run(t, checker)
			time.Sleep(time.Minute)
			if got := pool.Snapshot().At(0).Facts(); got != 0 {
				t.Errorf("%v made the backend %v", errno, got)
			}
			if r := checker.Report()[0]; r.Err == nil || r.Failed != 0 || r.Passed != 0 {
				t.Errorf("%v: %+v", errno, r)
			}
			stop()
		}
	})
}

// TestCheckerMembership adds and removes backends, and checks who is asked.
func TestCheckerMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 2)
		var mu sync.Mutex
		asked := make(map[string]time.Duration) // when last, since the start
		var first atomic.Int64                  // checks of b00
		start := time.Now()
		probe := func(_ context.Context, b *lb.Backend) error {
			mu.Lock()
			defer mu.Unlock()
			asked[b.ID()] = time.Since(start)
			if b.ID() == "b00" {
				first.Add(1)
			}
			return errSick
		}
		last := func(id string) (time.Duration, bool) {
			mu.Lock()
			defer mu.Unlock()
			at, ok := asked[id]
			return at, ok
		}
		checker := lb.Must(New(Config{Pool: pool, Probe: probe}))
		defer run(t, checker)()
		synctest.Wait()
		if at, ok := last("b01"); !ok || at != 0 {
			t.Errorf("the first check was at %v, %v", at, ok)
		}
		time.Sleep(40*time.Second + 300*time.Millisecond)
		if err := pool.Replace(specs(3)[1:]...); err != nil { // without b00, with b02
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if at, ok := last("b02"); !ok || at > 41300*time.Millisecond {
			t.Errorf("the newcomer was checked at %v, %v", at, ok)
		}
		if r := checker.Report(); len(r) != 2 || r[0].Backend != "b01" || r[1].Backend != "b02" {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Minute)
		if at, _ := last("b00"); at > 40500*time.Millisecond {
			t.Errorf("the one that left was still checked at %v", at)
		}
		if err := pool.Add(specs(1)...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := letters(pool); got != ".dd" {
			t.Errorf("one that comes back starts anew: %s", got)
		}
		before := first.Load()
		time.Sleep(100 * time.Second)
		if n := first.Load() - before; n < 9 || n > 12 {
			t.Errorf("one that has come back is checked %d times in 100s", n)
		}
	})
}

func TestCheckerStartDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		pool := newPool(t, n)
		var early atomic.Int64
		probe := func(_ context.Context, b *lb.Backend) error {
			if strings.Contains(letters(pool), ".") {
				early.Add(1)
			}
			time.Sleep(time.Second)
			return nil
		}
		defer run(t, lb.Must(New(Config{Pool: pool, Probe: probe, Jitter: -1, StartDown: true})))()
		time.Sleep(5 * time.Second)
		if got := letters(pool); got != strings.Repeat("d", n) {
			t.Errorf("after one check: %s", got)
		}
		if got := early.Load(); got != 0 {
			t.Errorf("%d checks began before all were down", got)
		}
		if got := pool.Snapshot().At(0).Cause(); got != "not checked yet" {
			t.Errorf("cause %q", got)
		}
		time.Sleep(10 * time.Second)
		if got := letters(pool); got != strings.Repeat(".", n) {
			t.Errorf("after two checks: %s", got)
		}
		if err := pool.Add(lb.Spec{ID: "new", URL: "http://10.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := letters(pool); got != strings.Repeat(".", n)+"d" {
			t.Errorf("with a newcomer: %s", got)
		}
	})
}

// TestCheckerPhases checks that many backends, met together, are not checked together for long.
func TestCheckerPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		var mu sync.Mutex
		slices := make(map[time.Duration]int) // checks per tenth of a second
		byID := make(map[string][]time.Duration)
		start := time.Now()
		probe := func(_ context.Context, b *lb.Backend) error {
			mu.Lock()
			defer mu.Unlock()
			at := time.Since(start)
			slices[at/(100*time.Millisecond)]++
			byID[b.ID()] = append(byID[b.ID()], at)
			return nil
		}
		all := make([]lb.Spec, n)
		for i := range all {
			all[i] = lb.Spec{ID: fmt.Sprint(i), URL: "http://10.0.0.1"}
		}
		stop := run(t, lb.Must(New(Config{Pool: lb.Must(lb.NewPool(all...)), Probe: probe})))
		time.Sleep(100 * time.Second)
		stop()
		for at, checks := range slices {
			if at > 0 && checks > 60 { // 10 on average
				t.Errorf("%d checks within a tenth of a second, after %v", checks, at*100*time.Millisecond)
			}
		}
		for id, times := range byID {
			for i := 2; i < len(times); i++ {
				if gap := times[i] - times[i-1]; gap < 9*time.Second || gap > 11*time.Second {
					t.Errorf("%s: %v between two checks", id, gap)
				}
			}
		}
	})
}

// TestCheckerRace changes a pool at random while it is checked, and checks that Run ends.
func TestCheckerRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 10)
		probe := func(ctx context.Context, _ *lb.Backend) error {
			time.Sleep(rand.N(3 * time.Second))
			if rand.IntN(2) == 0 {
				return errSick
			}
			return ctx.Err()
		}
		checker := lb.Must(New(Config{Pool: pool, Probe: probe, Interval: time.Second, Rise: 1, Fall: 1, StartDown: true}))
		stop := run(t, checker)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					if err := pool.Replace(specs(rand.IntN(20))...); err != nil {
						t.Error(err)
					}
					if b := pool.Snapshot().Find("b03"); b != nil {
						pool.Mark(b.ID(), lb.Ejected, "test")
					}
					checker.Report()
					time.Sleep(rand.N(time.Second))
				}
			})
		}
		wg.Wait()
		stop()
		before := letters(pool)
		time.Sleep(time.Hour)
		if after := letters(pool); after != before {
			t.Errorf("after Run the pool went from %s to %s", before, after)
		}
	})
}

func TestCheckerRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := func(context.Context, *lb.Backend) error { return nil }
		checker := lb.Must(New(Config{Pool: newPool(t, 1), Probe: probe}))
		stop := run(t, checker)
		synctest.Wait()
		if err := checker.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time was let in")
		}
		stop()
		stop = run(t, checker) // one after the other is fine
		time.Sleep(time.Minute)
		stop()
	})
}

func TestNewFaults(t *testing.T) {
	_, err := New(Config{Interval: -1, Timeout: -1, Rise: -1, Fall: -1, Jitter: 1.5})
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"Pool", "Probe", "Interval", "Timeout", "Rise", "Fall", "Jitter"} {
		if !strings.Contains(err.Error(), "health: Config."+word+" ") {
			t.Errorf("%s is not named in\n%v", word, err)
		}
	}
}
