package sim

import (
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/estimate"
)

// Probe lets policies hear from the backends how busy they are. The zero value tells nothing.
// Utilization is the cores at work, by Backend.Allocation; it, Rate and Errors are of the last second
// that is over, when somebody looked at it.
type Probe struct {
	// Policy takes the place of Config.Policy for policies that ask. It is given ask, which sends
	// a probe and may be called from within a pick, and returns the policy and what the answers
	// go to, at the virtual time of their coming.
	Policy func(client int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time))
	// Delay is how old a reading is when it comes. A probe of a backend that hangs or is absent has
	// no answer.
	Delay time.Duration
	// Every lets each client ask all backends at once that often, beginning at a time of its own.
	// Zero: only what the policy asks for.
	Every time.Duration
	// Reports lets each answer say, too, how loaded its backend is: lb.Result.Report has it.
	Reports bool
	// Estimator makes what a backend finds its latency with. Nil: what package loadreport has, the
	// median of those of its last 48 requests that found about as many as there are now.
	Estimator func(backend int) Estimator
}

// Estimator is a backend's idea of how long it takes. It is called by one goroutine.
type Estimator interface {
	// Add tells that a request which found so many others in flight has taken that long.
	Add(now time.Time, inFlight int64, latency time.Duration)
	// At returns what to expect of one that finds so many; zero if unknown.
	At(now time.Time, inFlight int64) time.Duration
}

// inquiry is a probe under way.
type inquiry struct {
	client, backend int32
	reading         lb.Report
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
func (w *world) read(s *station) lb.Report {
	w.pass(s)
	s.meter.roll(w.now)
	allocated := s.Allocation
	if allocated == 0 {
		allocated = s.Cores
	}
	return lb.Report{
		InFlight: s.rif, Latency: s.latency.At(w.time(), s.rif),
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

// shipped is the estimator that package loadreport has.
type shipped struct{ estimate.Latencies }

func (s *shipped) Add(_ time.Time, inFlight int64, latency time.Duration) {
	s.Latencies.Add(inFlight, latency)
}

func (s *shipped) At(_ time.Time, inFlight int64) time.Duration { return s.Latencies.At(inFlight) }
