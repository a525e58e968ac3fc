package sim

import (
	"time"

	"github.com/go-loadbalancer/lb"
)

// Probe lets policies ask the backends how busy they are. The zero value asks nobody.
type Probe struct {
	// Policy takes the place of Config.Policy for policies that ask. It is given ask, which sends
	// a probe and may be called from within a pick, and returns the policy and what the answers
	// go to, at the virtual time of their coming.
	Policy func(client int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, Reading, time.Time))
	// Delay is how old a reading is when it comes. A probe of a backend that hangs or is absent has
	// no answer.
	Delay time.Duration
	// Every lets each client ask all backends at once that often, beginning at a time of its own.
	// Zero: only what the policy asks for.
	Every time.Duration
	// Estimator makes what a backend finds its latency with. Nil: the median of those of its last
	// 48 requests that met about as many as there are now.
	Estimator func(backend int) Estimator
}

// Reading is what a backend says about itself.
type Reading struct {
	InFlight    int64         // requests there
	Latency     time.Duration // what it expects a request to take that comes now; 0 if it cannot say
	Utilization float64       // cores at work in the last second or so, by Backend.Allocation; above 1 if it borrows
	Rate        float64       // answers per second, of late
	Errors      float64       // failures among them, per second
}

// Estimator is a backend's idea of how long it takes. It is called by one goroutine.
type Estimator interface {
	// Completed tells that a request has taken so long that met so many others when it came.
	Completed(latency time.Duration, inFlight int64)
	// Latency returns what to expect with so many requests there; zero if unknown.
	Latency(inFlight int64) time.Duration
}

// inquiry is a probe under way.
type inquiry struct {
	client, backend int32
	reading         Reading
}

// ask sends a client's probe. It is called from within picks.
func (w *world) ask(c int32, b *lb.Backend) {
	backend, ok := w.clients[c].index[b]
	if !ok {
		return
	}
	if w.measuring {
		w.report.Probes++
	}
	s := &w.stations[backend]
	if s.Absent || s.Hang > 0 && w.draws.probes.Float64() < s.Hang {
		return
	}
	i := w.inquiries.take()
	*w.inquiries.at(i) = inquiry{client: c, backend: backend, reading: w.read(s)}
	w.lanes[forProbe].push(w.event(uint64(w.cfg.Probe.Delay), probed, i, 0))
}

// askAll sends a client's probes to all that it knows, and plans the next time.
func (w *world) askAll(c int32) {
	for i := range w.stations {
		if !w.stations[i].Absent {
			w.ask(c, w.clients[c].backends[i])
		}
	}
	w.agenda.push(w.event(uint64(w.cfg.Probe.Every), poll, c, 0))
}

// hear gives a client the answer to its probe.
func (w *world) hear(ref int32) {
	q := *w.inquiries.at(ref)
	w.inquiries.give(ref)
	c := &w.clients[q.client]
	if c.answered != nil {
		c.answered(c.backends[q.backend], q.reading, w.time())
	}
}

// read returns what a backend says now.
func (w *world) read(s *station) Reading {
	w.pass(s)
	s.meter.roll(w.now)
	allocated := s.Allocation
	if allocated == 0 {
		allocated = s.Cores
	}
	return Reading{
		InFlight: s.rif, Latency: s.latency.Latency(s.rif),
		Utilization: s.meter.cores / allocated, Rate: s.meter.rate, Errors: s.meter.errors,
	}
}

// meter counts what a backend does, by seconds.
type meter struct {
	from         uint64
	busy         float64 // core nanoseconds
	done, failed int64

	cores, rate, errors float64 // of the last second that was looked at
}

func (m *meter) ended(now uint64, ok bool) {
	m.roll(now)
	m.done++
	if !ok {
		m.failed++
	}
}

// roll closes the books if a second is over.
func (m *meter) roll(now uint64) {
	dt := float64(now - m.from)
	if dt < float64(time.Second) {
		return
	}
	m.cores = m.busy / dt
	m.rate, m.errors = float64(m.done)/dt*1e9, float64(m.failed)/dt*1e9
	m.from, m.busy, m.done, m.failed = now, 0, 0, 0
}

const (
	remembered = 48 // completions
	enough     = 7  // of them that are looked at, or more if they are as near
)

// recent is the estimator for which the figures of Prequal (NSDI 2024) come out: the median of the
// completions nearest to the present number of requests, however old. An age limit would make a
// backend look good again because everybody avoids it. When there are more requests than any of
// those met, it grows with them.
type recent struct {
	ring [remembered]completion
	n    int
}

type completion struct {
	latency  time.Duration
	inFlight int64
}

func (r *recent) Completed(latency time.Duration, inFlight int64) {
	r.ring[r.n%remembered] = completion{latency, inFlight}
	r.n++
}

func (r *recent) Latency(inFlight int64) time.Duration {
	known := r.ring[:min(r.n, remembered)]
	if len(known) == 0 {
		return 0
	}
	reach, most := nearest(known, inFlight), int64(0)
	var latencies [remembered]time.Duration
	n := 0
	for _, c := range known {
		if distance(c.inFlight, inFlight) > reach {
			continue
		}
		most = max(most, c.inFlight)
		i := n
		for ; i > 0 && latencies[i-1] > c.latency; i-- {
			latencies[i] = latencies[i-1]
		}
		latencies[i] = c.latency
		n++
	}
	median := latencies[n/2]
	if inFlight > most {
		median = time.Duration(float64(median) * float64(inFlight+1) / float64(most+1))
	}
	return median
}

// nearest returns how far from inFlight one has to go to find enough.
func nearest(known []completion, inFlight int64) int64 {
	var near [enough]int64
	n := 0
	for _, c := range known {
		d := distance(c.inFlight, inFlight)
		if n == enough && d >= near[n-1] {
			continue
		}
		n = min(n+1, enough)
		i := n - 1
		for ; i > 0 && near[i-1] > d; i-- {
			near[i] = near[i-1]
		}
		near[i] = d
	}
	return near[n-1]
}

func distance(a, b int64) int64 { return max(a-b, b-a) }
