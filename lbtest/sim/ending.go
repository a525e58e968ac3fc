package sim

import (
	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
)

// fail plans an attempt's failure.
func (w *world) fail(s *station, ref int32) {
	w.agenda.push(w.event(w.delay(s.FailAfter, w.draws.faults), settled, ref, w.tries.at(ref).gen))
}

// served sends the answer of a station that is ready with an attempt, or has failed it.
func (w *world) served(s *station, ref int32, ok bool) {
	a := w.tries.at(ref)
	a.place, a.ok, a.why = away, ok, &w.reasons.ok
	if !ok {
		a.why = &w.reasons.failed
	}
	s.meter.ended(w.now, ok)
	if ok && s.latency != nil {
		s.latency.Add(w.time(), a.inFlight, asDuration(w.now-a.entered))
	}
	if w.cfg.Probe.Reports {
		said := w.read(s)
		a.report = &said
	}
	w.travel(ref, answer)
}

// answered ends an attempt with what its backend said. The first good answer ends the request.
func (w *world) answered(ref int32) {
	a := w.tries.at(ref)
	outcome := lb.Success
	if !a.ok {
		outcome = lb.Failure
	}
	w.close(ref, outcome, a.why)
}

// close ends an attempt.
func (w *world) close(ref int32, outcome lb.Outcome, why *reason) {
	a := w.tries.at(ref)
	r := w.requests.at(a.request)
	owner, failed := a.request, a.backend
	w.leave(ref, outcome, why)
	if outcome == lb.Success {
		w.end(owner, true)
		return
	}
	switch more := w.cfg.Tries; {
	case r.first >= 0: // a hedge, or what it was for, is under way
	case int(r.retries) < more.Max && w.inTime(r, failed) && (more.Unbounded || w.clients[r.client].budget.Spend()):
		r.retries++
		w.agenda.push(w.event(w.delay(more.Backoff, w.draws.backoff), retry, owner, r.gen))
	default:
		w.end(owner, false)
	}
}

// inTime reports whether what is left until the request's deadline is enough for an answer, if
// another backend takes as long as this one does usually.
func (w *world) inTime(r *request, backend int32) bool {
	if w.cfg.Timeout == 0 {
		return true
	}
	left := asDuration(w.fans.at(r.fan).born + uint64(w.cfg.Timeout) - w.now)
	return left >= w.clients[r.client].loads[backend].LatencyAt(w.time())
}

// leave ends an attempt wherever it is, and gives back what it held.
func (w *world) leave(ref int32, outcome lb.Outcome, why *reason) {
	a := w.tries.at(ref)
	r := w.requests.at(a.request)
	s := &w.stations[a.backend]
	if a.place != away {
		w.abort(s, a, ref)
	}
	if r.counts {
		if outcome == lb.Failure {
			s.tally.failures++
		}
		if a.waited {
			w.report.Waited++
		}
	}
	for link := &r.first; ; link = &w.tries.at(*link).sibling {
		if *link == ref {
			*link = a.sibling
			break
		}
	}
	w.judge(&w.clients[r.client], a, outcome, why)
	a.gen++
	a.picked, a.seen, a.learner, a.why, a.report = nil, nil, nil, nil, nil
	w.tries.give(ref)
}

// expire ends a request whose time is up, with all its attempts.
func (w *world) expire(ref int32) {
	r := w.requests.at(ref)
	for r.first >= 0 {
		w.leave(r.first, lb.Failure, &w.reasons.late)
	}
	if r.counts {
		w.report.Timeouts++
	}
	w.end(ref, false)
}

// again begins the retry of a request.
func (w *world) again(ref int32) error { return w.another(ref, false, &w.report.Retries) }

// planHedge plans a second attempt beside a first one, as the balancer does it.
func (w *world) planHedge(ref int32, a *attempt, load *live.Load) {
	h := w.cfg.Hedge
	if h.Quantile > 0 {
		after := h.After
		if d, ok := load.Quantile(w.time(), h.Quantile); ok {
			after = max(after, d)
		}
		if after > 0 {
			w.agenda.push(w.event(uint64(after), hedge, ref, a.gen))
		}
	} else if h.After > 0 {
		w.lanes[forHedge].push(w.event(uint64(h.After), hedge, ref, a.gen))
	}
}

// hedged gives an attempt that has no answer yet a second one beside it.
func (w *world) hedged(ref int32) error {
	a := w.tries.at(ref)
	r := w.requests.at(a.request)
	if !w.inTime(r, a.backend) || !w.cfg.Tries.Unbounded && !w.clients[r.client].budget.Spend() {
		return nil
	}
	return w.another(a.request, true, &w.report.Hedges)
}

// another makes a further attempt of a request, and counts it if there was a place for it.
func (w *world) another(ref int32, hedged bool, count *int64) error {
	r := w.requests.at(ref)
	number := r.number
	err := w.attempt(ref, hedged)
	if r.counts && r.number > number {
		*count++
	}
	return err
}

// end ends a request, and what it is a part of if that was its last.
func (w *world) end(ref int32, ok bool) {
	r := w.requests.at(ref)
	for r.first >= 0 {
		w.leave(r.first, lb.Neutral, &w.reasons.cancelled)
	}
	f := w.fans.at(r.fan)
	f.failed = f.failed || !ok
	f.left--
	if f.left == 0 {
		w.finish(f)
		w.fans.give(r.fan)
	}
	r.gen++
	r.seen = nil
	w.requests.give(ref)
}

// finish reports an arrival that has ended.
func (w *world) finish(f *fan) {
	took := w.now - f.born
	w.window.ended(took, f.failed)
	if !f.counts {
		return
	}
	w.counting--
	w.report.Latency.add(took)
	if f.failed {
		w.report.Errors++
	}
}
