package main

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// patience is how many failures a client survives in one slice.
const patience = 20

// tally is what came of a load.
type tally struct {
	requests int // answered as they should be
	failures int
	first    error // the first failure
	took     time.Duration
}

func (t *tally) fail(err error) {
	t.failures++
	if t.first == nil {
		t.first = err
	}
}

func (t *tally) add(other tally) {
	t.requests += other.requests
	t.failures += other.failures
	if t.first == nil {
		t.first = other.first
	}
}

// closedLoop lets each client make one exchange after another for that long, and at least one.
// What is under way at the end is finished, so that the requests counted are those that the
// proxy has worked for.
func closedLoop(clients []client, length time.Duration) (sum tally) {
	began := time.Now()
	tallies := make([]tally, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { tallies[i] = repeat(c, began.Add(length)) })
	}
	all.Wait()
	for _, t := range tallies {
		sum.add(t)
	}
	sum.took = time.Since(began)
	return sum
}

func repeat(c client, end time.Time) (t tally) {
	for t.failures < patience {
		if err := c.exchange(); err != nil {
			t.fail(err)
		} else {
			t.requests++
		}
		if !time.Now().Before(end) {
			break
		}
	}
	return t
}

// openLoop starts requests at a fixed rate, whether or not earlier ones have been answered, and
// returns the sorted latencies from their scheduled starts: a request that had to wait for a
// free client has waited in the client's eyes, too.
func openLoop(clients []client, rate float64, length time.Duration) (latencies []time.Duration, sum tally) {
	usual := runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // one more, for the schedule
	defer runtime.GOMAXPROCS(usual)
	total := max(1, int(rate*length.Seconds()))
	due := make(chan time.Duration, total) // since began
	began := time.Now()
	var all sync.WaitGroup
	all.Go(func() { schedule(due, began, rate, total) })
	tallies := make([]tally, len(clients))
	seen := make([][]time.Duration, len(clients))
	for i, c := range clients {
		all.Go(func() { seen[i], tallies[i] = serve(c, due, began) })
	}
	all.Wait()
	for i := range clients {
		latencies = append(latencies, seen[i]...)
		sum.add(tallies[i])
	}
	slices.Sort(latencies)
	sum.took = time.Since(began)
	return latencies, sum
}

// schedule sends the times of all starts, each when it has come. It has a thread of its own,
// which sleeps in the kernel: Go's timers are too coarse for this.
func schedule(due chan<- time.Duration, began time.Time, rate float64, total int) {
	runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
	sharpen()
	defer close(due)
	for i := range total {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		for wait := at - time.Since(began); wait > 0; wait = at - time.Since(began) {
			sleep(wait)
		}
		due <- at
	}
}

func serve(c client, due <-chan time.Duration, began time.Time) (seen []time.Duration, t tally) {
	for at := range due {
		if t.failures >= patience {
			t.fail(t.first) // a request that nobody is there for
			continue
		}
		if err := c.exchange(); err != nil {
			t.fail(err)
			continue
		}
		seen = append(seen, time.Since(began)-at)
		t.requests++
	}
	return seen, t
}
