package sim

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

// world is a run.
type world struct {
	cfg      Config
	now, seq uint64 // nanoseconds since the beginning; events planned
	agenda   agenda
	lanes    [lanes]lane
	due      due

	stations  []station
	clients   []client
	fans      slab[fan]
	requests  slab[request]
	tries     slab[attempt]
	inquiries slab[inquiry]
	draws     draws
	reasons   reasons
	bare      *http.Request
	sorted    bool // stations are, by ID

	measuring bool  // what arrives counts
	counting  int64 // arrivals that count and have not ended
	closed    bool  // no more will count
	stopped   bool  // nothing arrives any more
	report    draft
	window    windows
}

// The lanes: for what lies equally far ahead, each time.
const (
	forDeadline = iota
	forExpiry
	forHedge
	forProbe
	lanes
)

// draws are the generators.
type draws struct{ work, again, picks, network, faults, swaps, probes, backoff, notices, wishes *rand.Rand }

// draft is a report in the making.
type draft struct {
	Report
	queue *Levels
}

func (d *draft) refuse(counts bool) {
	if counts {
		d.Refused++
	}
}

// beginning is the virtual time at which all runs begin.
const beginning = 1_000_000_000

// Run runs a world and says what happened. The error names all that is wrong with the
// configuration, or says that the policy picked from outside its set, that requests are left
// which nothing will end, or that a count of requests in flight is not zero at the end. It
// starts no goroutine and reads no clock.
func Run(c Config) (Report, error) {
	w, err := newWorld(c)
	if err == nil {
		err = w.run()
	}
	if err != nil {
		return Report{}, fmt.Errorf("sim: %w", err)
	}
	return w.summary(), nil
}

func newWorld(c Config) (*world, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &world{cfg: c, reasons: newReasons(), stations: make([]station, len(c.Backends)), due: newDue(len(c.Backends))}
	w.clients = make([]client, max(1, c.Clients))
	w.bare = &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}}
	w.draws = draws{
		work: w.generator(working, 0), again: w.generator(working, 1), picks: w.generator(picking, 0),
		network: w.generator(travelling, 0), faults: w.generator(failing, 0), swaps: w.generator(swapping, 0),
		probes: w.generator(asking, 0), backoff: w.generator(waitingAgain, 0), notices: w.generator(noticing, 0),
		wishes: w.generator(wishing, 0),
	}
	w.report.Latency, w.report.queue = new(Durations), new(Levels)
	w.report.InFlight = w.report.queue
	for i := range w.stations {
		s := &w.stations[i]
		*s = station{Backend: c.Backends[i], index: int32(i), first: -1, last: -1}
		if s.Spec.ID == "" {
			s.Spec.ID = fmt.Sprintf("b%04d", i)
		}
		if s.Spec.URL == "" {
			s.Spec.URL = "http://" + s.Spec.ID
		}
		switch p := &c.Probe; {
		case p.Estimator != nil:
			s.latency = p.Estimator(i)
		case p.Policy != nil || p.Reports:
			s.latency = new(shipped)
		}
		w.refit(s)
	}
	w.sorted = slices.IsSortedFunc(w.stations, func(a, b station) int {
		if a.Spec.ID < b.Spec.ID {
			return -1
		}
		return 1 // the same ID twice is not sorted
	})
	for i := range w.clients {
		if err := w.newClient(i); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// begin plans what happens by itself.
func (w *world) begin() {
	c := &w.cfg
	end := c.Warmup + c.Duration
	if c.Window == 0 {
		c.Window = max(1, end/100)
	}
	w.agenda.push(w.event(uint64(c.Warmup), measure, 0, 0))
	w.agenda.push(w.event(uint64(c.Window), window, 0, 0))
	for i := range c.Changes {
		w.agenda.push(w.event(uint64(c.Changes[i].At), edit, int32(i), 0))
	}
	for i := range w.clients {
		w.next(int32(i))
		if c.Probe.Every > 0 {
			w.agenda.push(w.event(uint64(w.draws.probes.Int64N(int64(c.Probe.Every))), poll, int32(i), 0))
		}
	}
	if c.Antagonists.Every > 0 {
		w.agenda.push(w.event(uint64(c.Antagonists.Every), swap, 0, 0))
	}
	w.agenda.push(w.event(uint64(end), closing, 0, 0))
	w.agenda.push(w.event(uint64(end+c.Duration), closing, 1, 0))
}

// run lets events happen until none is left that matters.
func (w *world) run() error {
	w.begin()
	for !w.stopped || w.fans.lent > 0 {
		e, ok := w.pop()
		if !ok {
			return fmt.Errorf("%d requests are left that nothing will end; set a Timeout", w.fans.lent)
		}
		if w.stale(&e) {
			continue
		}
		w.now = e.at
		w.report.Events++
		w.note(e.at)
		w.note(uint64(e.kind)<<32 | uint64(uint32(e.ref)))
		if err := w.happen(e); err != nil {
			return err
		}
		if w.closed && w.counting == 0 {
			w.stopped = true
		}
	}
	return w.leaks()
}

// event plans one after a time.
func (w *world) event(after uint64, what kind, ref int32, gen uint32) event {
	w.seq++
	return event{at: w.now + after, seq: w.seq, kind: what, ref: ref, gen: gen}
}

// pop takes the next event out of where it is.
func (w *world) pop() (event, bool) {
	var first *event
	from := -1
	if len(w.agenda) > 0 {
		first = &w.agenda[0]
	}
	for i := range w.lanes {
		if l := &w.lanes[i]; l.size > 0 && (first == nil || l.head().before(first)) {
			first, from = l.head(), i
		}
	}
	if s, at := w.due.first(); at != never && (first == nil || at <= first.at) {
		return event{at: at, kind: depart, ref: s}, true
	}
	switch {
	case first == nil:
		return event{}, false
	case from >= 0:
		return w.lanes[from].pop(), true
	}
	return w.agenda.pop(), true
}

// stale reports whether an event is about something that has ended.
func (w *world) stale(e *event) bool {
	switch e.kind {
	case reach, settled, answer, expiry, hedge:
		return w.tries.at(e.ref).gen != e.gen
	case deadline, retry:
		return w.requests.at(e.ref).gen != e.gen
	}
	return false
}

// happen lets one event happen.
func (w *world) happen(e event) error {
	switch e.kind {
	case arrival:
		if w.stopped {
			return nil
		}
		if err := w.arrive(e.ref); err != nil {
			return err
		}
		w.next(e.ref)
	case reach:
		w.reached(e.ref)
	case depart:
		s := &w.stations[e.ref]
		w.served(s, w.ready(s), true)
	case settled:
		s := &w.stations[w.tries.at(e.ref).backend]
		w.abort(s, w.tries.at(e.ref), e.ref)
		w.served(s, e.ref, false)
	case answer:
		w.answered(e.ref)
	case deadline:
		w.expire(e.ref)
	case expiry:
		w.close(e.ref, lb.Failure, &w.reasons.late)
	case retry:
		return w.again(e.ref)
	case hedge:
		return w.hedged(e.ref)
	case probed:
		w.hear(e.ref)
	default:
		return w.turn(e)
	}
	return nil
}

// turn lets the world itself change.
func (w *world) turn(e event) error {
	switch e.kind {
	case edit:
		return w.edit(&w.cfg.Changes[e.ref])
	case notice:
		return w.look(&w.clients[e.ref])
	case measure:
		w.mark(true)
	case closing:
		w.mark(false)
		if !w.closed && w.now > w.window.from {
			w.report.Series = append(w.report.Series, w.window.close(w.now, w.stations))
		}
		w.closed = true
		w.stopped = w.stopped || e.ref == 1
	}
	if w.stopped || w.closed && e.kind == window {
		return nil
	}
	switch e.kind {
	case poll:
		w.askAll(e.ref)
	case swap:
		w.swap()
	case window:
		w.report.Series = append(w.report.Series, w.window.close(w.now, w.stations))
		if w.cfg.Progress != nil {
			w.cfg.Progress(asDuration(w.now), w.cfg.Warmup+w.cfg.Duration)
		}
		w.agenda.push(w.event(uint64(w.cfg.Window), window, 0, 0))
	}
	return nil
}

// next plans a client's next arrival.
func (w *world) next(c int32) {
	if at, ok := w.clients[c].next(); ok {
		e := w.event(0, arrival, c, 0)
		e.at = max(w.now, uint64(max(0, at)))
		w.agenda.push(e)
	}
}

// mark begins or ends what counts.
func (w *world) mark(measuring bool) {
	for i := range w.stations {
		w.pass(&w.stations[i])
		w.tell(&w.stations[i])
	}
	w.measuring = measuring
}

// edit makes a change, and lets all clients know.
func (w *world) edit(c *Change) error {
	s := &w.stations[c.Backend]
	w.pass(s)
	was := s.Backend
	c.Edit(&s.Backend)
	if err := s.Backend.check(c.Backend, &w.cfg); err != nil {
		return fmt.Errorf("a change at %v: %w", c.At, err)
	}
	if s.Spec.ID != was.Spec.ID || s.Spec.URL != was.Spec.URL {
		return fmt.Errorf("a change at %v makes backend %q another one", c.At, was.Spec.ID)
	}
	w.refit(s)
	if s.Absent == was.Absent && s.Down == was.Down && s.Spec.Weight == was.Spec.Weight && s.Spec.MaxInFlight == was.Spec.MaxInFlight {
		return nil
	}
	for i := range w.clients {
		if w.cfg.Notice != nil {
			w.agenda.push(w.event(w.delay(w.cfg.Notice, w.draws.notices), notice, int32(i), 0))
		} else if err := w.look(&w.clients[i]); err != nil {
			return err
		}
	}
	return nil
}

// swap moves the antagonists.
func (w *world) swap() {
	for range w.cfg.Antagonists.Pairs {
		i, k := w.draws.swaps.IntN(len(w.stations)), w.draws.swaps.IntN(len(w.stations)-1)
		if k >= i {
			k++
		}
		a, b := &w.stations[i], &w.stations[k]
		w.pass(a)
		w.pass(b)
		a.Cores, b.Cores = b.Cores, a.Cores
		a.Hobbled, b.Hobbled = b.Hobbled, a.Hobbled
		w.refit(a)
		w.refit(b)
	}
	w.agenda.push(w.event(uint64(w.cfg.Antagonists.Every), swap, 0, 0))
}

func (w *world) time() time.Time { return time.Unix(beginning, int64(w.now)) }

// delay draws one; none from nil.
func (w *world) delay(d Dist, r *rand.Rand) uint64 {
	if d == nil {
		return 0
	}
	return uint64(min(max(0, d.Draw(r)), century/2))
}

// note adds to the hash of all that happened.
func (w *world) note(x uint64) {
	h := (bits.RotateLeft64(w.report.Hash, 23) ^ x) * 0x9e3779b97f4a7c15
	w.report.Hash = h ^ h>>29
}

// leaks returns an error if a count of requests in flight is not zero though all have ended.
func (w *world) leaks() error {
	var errs []error
	for i := range w.stations {
		if n := w.stations[i].rif; n != 0 {
			errs = append(errs, fmt.Errorf("backend %q ends with %d in flight", w.stations[i].Spec.ID, n))
		}
	}
	for i := range w.clients {
		for k := range w.clients[i].loads {
			if n := w.clients[i].loads[k].InFlight(); n != 0 {
				errs = append(errs, fmt.Errorf("client %d ends with %d in flight on backend %q", i, n, w.stations[k].Spec.ID))
			}
		}
	}
	if w.tries.lent != 0 || w.requests.lent != 0 {
		errs = append(errs, fmt.Errorf("%d attempts and %d requests have not ended", w.tries.lent, w.requests.lent))
	}
	return errors.Join(errs...)
}

// summary finishes the report.
func (w *world) summary() Report {
	r := w.report.Report
	r.End = asDuration(w.now)
	ns := float64(w.cfg.Duration)
	for i := range w.stations {
		s := &w.stations[i]
		r.Backends = append(r.Backends, BackendReport{
			ID: s.Spec.ID, Attempts: s.tally.attempts, Failures: s.tally.failures,
			Share:    float64(s.tally.attempts) / float64(max(1, r.Attempts)),
			InFlight: s.tally.queue / ns, Busy: s.tally.busy / ns,
		})
	}
	return r
}
