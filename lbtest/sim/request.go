package sim

import (
	"math/rand/v2"
	"net/http"
	"net/netip"

	"github.com/go-loadbalancer/lb"
)

// request is one of a client's, until it has ended and no attempt of it is left.
type request struct {
	gen     uint32
	client  int32
	fan     int32 // the arrival it is a part of
	first   int32 // of its attempts in flight, linked by sibling; -1 for none
	number  int32 // of attempts made
	retries int32 // of them, after failures
	work    float64
	asked   []int32 // the backends that were tried
	seen    *http.Request
	from    netip.Addr
	counts  bool
}

// fan is an arrival, which ends when all of its requests have.
type fan struct {
	born   uint64
	left   int32
	failed bool
	counts bool
}

// attempt is one try.
type attempt struct {
	gen      uint32
	request  int32
	backend  int32
	sibling  int32
	place    int32 // in its station's heap, or one of the below
	prev     int32 // of those who wait there
	next     int32
	number   int32
	hedge    bool
	ok       bool // the answer that is under way
	waited   bool
	sent     uint64
	entered  uint64
	inFlight int64 // at the backend, when it came there
	work     float64
	picked   *lb.Backend
	seen     *http.Request
	learner  interface{ Attempted(lb.Result) }
	why      *reason
	report   *lb.Report
}

// Where an attempt is when no core works on it.
const (
	waiting = -1 - iota // for one
	stuck               // at the backend, where it fails or hangs
	away                // on its way
)

// arrive begins what a client's next arrival asks for.
func (w *world) arrive(c int32) error {
	f := w.fans.take()
	n := max(1, w.cfg.Fanout)
	*w.fans.at(f) = fan{born: w.now, left: int32(n), counts: w.measuring}
	if w.measuring {
		w.report.Requests++
		w.counting++
	}
	for range n {
		ref := w.requests.take()
		r := w.requests.at(ref)
		*r = request{gen: r.gen, client: c, fan: f, first: -1, asked: r.asked[:0], counts: w.measuring, seen: w.bare}
		r.work = max(0, float64(w.cfg.Work.Draw(w.draws.work)))
		if w.cfg.Request != nil {
			r.seen, r.from = w.cfg.Request(w.draws.wishes)
		} else {
			r.from = anyone(w.draws.wishes)
		}
		w.clients[c].budget.Earn()
		if w.cfg.Timeout > 0 {
			w.lanes[forDeadline].push(w.event(uint64(w.cfg.Timeout), deadline, ref, r.gen))
		}
		if err := w.attempt(ref, false); err != nil {
			return err
		}
	}
	return nil
}

// anyone returns an address of 10.0.0.0/8.
func anyone(r *rand.Rand) netip.Addr {
	x := r.Uint32()
	return netip.AddrFrom4([4]byte{10, byte(x >> 16), byte(x >> 8), byte(x)})
}

// attempt makes a try of a request. If there is no place for it and nothing else to wait for, the
// request has failed.
func (w *world) attempt(ref int32, hedged bool) error {
	r := w.requests.at(ref)
	c := &w.clients[r.client]
	info := lb.PickInfo{Request: r.seen, ClientIP: r.from, Attempt: int(r.number), Now: w.time()}
	for _, b := range r.asked {
		info = info.WithTried(c.backends[b])
	}
	backend, err := w.choose(c, info)
	w.note(uint64(uint32(backend)))
	if err != nil {
		return err
	}
	if backend < 0 {
		if r.first < 0 {
			w.report.refuse(r.counts)
			w.end(ref, false)
		}
		return nil
	}
	work := r.work
	if r.number > 0 {
		work = max(0, float64(w.cfg.Work.Draw(w.draws.again)))
	}
	i := w.tries.take()
	a := w.tries.at(i)
	*a = attempt{
		gen: a.gen, request: ref, backend: backend, sibling: r.first, place: away, number: r.number, hedge: hedged,
		sent: w.now, work: work, picked: c.backends[backend], seen: r.seen, learner: c.learner,
	}
	r.first = i
	r.number++
	r.asked = append(r.asked, backend)
	if r.counts {
		w.stations[backend].tally.attempts++
		w.report.Attempts++
	}
	if w.cfg.Tries.Timeout > 0 {
		w.lanes[forExpiry].push(w.event(uint64(w.cfg.Tries.Timeout), expiry, i, a.gen))
	}
	if !hedged {
		w.planHedge(i, a, &c.loads[backend])
	}
	w.travel(i, reach)
	return nil
}

// travel plans what happens at the other end of the network.
func (w *world) travel(ref int32, what kind) {
	if w.cfg.Network != nil {
		w.agenda.push(w.event(w.delay(w.cfg.Network, w.draws.network), what, ref, w.tries.at(ref).gen))
		return
	}
	if what == reach {
		w.reached(ref)
	} else {
		w.answered(ref)
	}
}

// reached lets a backend have an attempt.
func (w *world) reached(ref int32) {
	a := w.tries.at(ref)
	s := &w.stations[a.backend]
	if s.Absent {
		a.why = &w.reasons.refused
		w.travel(ref, answer)
		return
	}
	a.entered, a.inFlight = w.now, s.rif
	w.count(s, +1)
	if s.Fail+s.Hang > 0 {
		x := w.draws.faults.Float64()
		if x < s.Fail {
			a.place = stuck
			w.fail(s, ref)
			return
		}
		if x < s.Fail+s.Hang {
			a.place = stuck
			return
		}
	}
	w.enter(s, ref)
}
