package sim

import "math"

// station is a backend's own side: the requests there, and what they get of its cores. Work is
// reckoned in virtual time, which passes as fast as each request is worked on, so that an arrival
// or a departure costs the logarithm of their number.
type station struct {
	Backend
	index int32

	jobs   []job   // being worked on: a heap by when they are ready
	clock  float64 // virtual nanoseconds
	rate   float64 // virtual nanoseconds for each real one
	at     uint64  // when clock was right
	seats  int     // how many may be worked on at a time
	first  int32   // attempt that waits the longest, -1 for none
	last   int32
	queued int

	rif     int64 // requests here: worked on, waiting, failing or hanging
	since   uint64
	meter   meter
	latency Estimator // nil if nobody asks
	tally   tally
}

// job is an attempt that is worked on.
type job struct {
	ready float64 // in virtual nanoseconds
	ref   int32
}

// refit makes the station's rates agree with its Backend, at a time.
func (w *world) refit(s *station) {
	w.pass(s)
	if s.Cores == 0 {
		s.Cores = 1
	}
	if s.Speed == 0 {
		s.Speed = 1
	}
	s.seats = math.MaxInt
	if w.cfg.Discipline == FIFO {
		s.Cores = max(1, math.Floor(s.Cores))
		s.seats = int(s.Cores)
	}
	w.fill(s)
	w.plan(s)
}

// pass lets virtual time pass until now.
func (w *world) pass(s *station) {
	if w.now == s.at {
		return
	}
	dt := float64(w.now - s.at)
	s.clock += s.rate * dt
	s.meter.busy += dt * s.rate / s.Speed * float64(len(s.jobs))
	if w.measuring {
		s.tally.busy += dt * s.rate / s.Speed * float64(len(s.jobs))
	}
	s.at = w.now
}

// plan reckons how fast work goes on from now, and when the first request is ready.
func (w *world) plan(s *station) {
	n := float64(len(s.jobs))
	if n == 0 {
		s.clock, s.rate = 0, 0
		w.due.set(s.index, never)
		return
	}
	cores := s.Cores
	if s.Hobbled > 0 && float64(s.rif) > cores {
		cores = s.Hobbled
	}
	s.rate = s.Speed * min(1, cores/n)
	left := max(0, s.jobs[0].ready-s.clock)
	w.due.set(s.index, w.now+uint64(math.Ceil(left/s.rate)))
}

// enter begins to work on an attempt, or lets it wait.
func (w *world) enter(s *station, ref int32) {
	w.pass(s)
	a := w.tries.at(ref)
	if len(s.jobs) < s.seats && s.queued == 0 {
		s.start(w, ref)
		w.plan(s)
		return
	}
	a.prev, a.next, a.place = s.last, -1, waiting
	if s.last < 0 {
		s.first = ref
	} else {
		w.tries.at(s.last).next = ref
	}
	s.last = ref
	s.queued++
	a.waited = true
	if s.Hobbled > 0 {
		w.plan(s)
	}
}

// fill gives free seats to those who wait.
func (w *world) fill(s *station) {
	for s.queued > 0 && len(s.jobs) < s.seats {
		ref := s.first
		s.unlink(w, ref)
		s.start(w, ref)
	}
}

// unlink takes an attempt out of those who wait.
func (s *station) unlink(w *world, ref int32) {
	a := w.tries.at(ref)
	if a.prev < 0 {
		s.first = a.next
	} else {
		w.tries.at(a.prev).next = a.next
	}
	if a.next < 0 {
		s.last = a.prev
	} else {
		w.tries.at(a.next).prev = a.prev
	}
	s.queued--
}

func (s *station) start(w *world, ref int32) {
	s.jobs = append(s.jobs, job{})
	s.up(w, len(s.jobs)-1, job{s.clock + w.tries.at(ref).work, ref})
}

// drop takes the attempt at place i of the heap out of it.
func (s *station) drop(w *world, i int32) {
	n := len(s.jobs) - 1
	last := s.jobs[n]
	s.jobs = s.jobs[:n]
	if int(i) == n {
		return
	}
	if i > 0 && last.ready < s.jobs[(i-1)/2].ready {
		s.up(w, int(i), last)
		return
	}
	s.down(w, int(i), last)
}

func (s *station) up(w *world, i int, j job) {
	for i > 0 {
		parent := (i - 1) / 2
		if s.jobs[parent].ready <= j.ready {
			break
		}
		s.put(w, i, s.jobs[parent])
		i = parent
	}
	s.put(w, i, j)
}

func (s *station) down(w *world, i int, j job) {
	for {
		child := 2*i + 1
		if child >= len(s.jobs) {
			break
		}
		if child+1 < len(s.jobs) && s.jobs[child+1].ready < s.jobs[child].ready {
			child++
		}
		if s.jobs[child].ready >= j.ready {
			break
		}
		s.put(w, i, s.jobs[child])
		i = child
	}
	s.put(w, i, j)
}

func (s *station) put(w *world, i int, j job) {
	s.jobs[i] = j
	w.tries.at(j.ref).place = int32(i)
}

// ready takes out the request that is ready, and returns its attempt.
func (w *world) ready(s *station) int32 {
	w.pass(s)
	j := s.jobs[0]
	s.clock = max(s.clock, j.ready)
	s.drop(w, 0)
	w.count(s, -1)
	w.fill(s)
	w.plan(s)
	return j.ref
}

// abort stops whatever the station does for an attempt that has not ended there.
func (w *world) abort(s *station, a *attempt, ref int32) {
	w.pass(s)
	switch {
	case a.place >= 0:
		s.drop(w, a.place)
	case a.place == waiting:
		s.unlink(w, ref)
	}
	w.count(s, -1)
	w.fill(s)
	w.plan(s)
}

// count notes that the station has more or fewer requests.
func (w *world) count(s *station, by int64) {
	w.tell(s)
	s.rif += by
}

// tell adds to the report how long the station had as many requests as it has.
func (w *world) tell(s *station) {
	if w.measuring {
		w.report.queue.add(s.rif, w.now-s.since)
		s.tally.queue += float64(s.rif) * float64(w.now-s.since)
	}
	s.since = w.now
}
