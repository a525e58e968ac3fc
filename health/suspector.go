package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// SuspectorConfig is when a Suspector has a backend left alone. Pool is required.
type SuspectorConfig struct {
	Pool Pool // whose backends are watched

	// Requests is how many requests have to wait at a time. Zero means 3.
	Requests int
	// Patience is for how long they have to wait at least. Zero means 250ms.
	Patience time.Duration
	// Times is how many times the 99th percentile of the time in which the backend's last answers
	// began they have to wait. Zero means 10.
	Times float64
	// MaxTime bounds a suspicion: after that the backend gets new requests, which tell. Zero means
	// 30s.
	MaxTime time.Duration
	// Interval is the time between two looks, up to Patience. Zero means 50ms, or Patience if that is
	// shorter.
	Interval time.Duration
	// Pauses is told of by lb.Pauses: a look that comes after a pause of this program counts for
	// nothing, since answers may be there that nobody has read. Nil means that nobody knows.
	Pauses Pauses
}

// Suspector marks a backend lb.Suspect that leaves several requests without a word for much longer
// than it usually takes, and takes that back at the next look after it has answered one of them, or
// has no request left, or MaxTime is over. What it needs to know is in the backends' own counts, so
// that requests take no notice of it.
//
// It is quick where timeouts are slow: a backend whose process hangs still accepts connections. It
// does not mind what waits on purpose: nothing is known against a backend that answers others in the
// meantime, or whose last answers took long, too, or of which fewer than ten answers of the last ten
// seconds are known. A stream has answered when its head has come, and a request whose body is still
// being sent is not counted. Where all that could take requests are silent, none is suspect: then it
// is not them.
//
// Time is counted in looks. When the process itself was stopped, that is no time; see Pauses for one that is
// slowed down.
type Suspector struct {
	cfg     SuspectorConfig
	running atomic.Bool
	watched map[string]*suspicion // by ID; belongs to Run, as does what follows
	lost    time.Duration         // what Pauses said at the last look
}

// suspicion is what a Suspector thinks of one backend.
type suspicion struct {
	backend *lb.Backend // as it was at the last look
	tally   lb.Tally
	silence silence
	out     bool   // we have marked it
	heard   uint32 // its answers when it was marked
	left    int    // looks until MaxTime is over
}

// NewSuspector returns a Suspector that has yet to Run, or an error that names every field that is
// wrong.
func NewSuspector(cfg SuspectorConfig) (*Suspector, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	cfg.Requests = cmp.Or(cfg.Requests, 3)
	cfg.Patience = cmp.Or(cfg.Patience, 250*time.Millisecond)
	cfg.Times = cmp.Or(cfg.Times, 10)
	cfg.MaxTime = cmp.Or(cfg.MaxTime, 30*time.Second)
	cfg.Interval = cmp.Or(cfg.Interval, min(50*time.Millisecond, cfg.Patience))
	return &Suspector{cfg: cfg}, nil
}

// faults lists what is wrong with a SuspectorConfig, each with its cure.
func (cfg SuspectorConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("health: SuspectorConfig."+format, args...))
		}
	}
	patience := cmp.Or(cfg.Patience, 250*time.Millisecond)
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Requests < 0, "Requests %d is negative; zero means 3", cfg.Requests)
	add(cfg.Patience < 0, "Patience %v is negative; zero means 250ms", cfg.Patience)
	add(!(cfg.Times >= 0 && cfg.Times <= 1000), "Times %v is not between 0 and 1000; zero means 10", cfg.Times)
	add(cfg.MaxTime < 0, "MaxTime %v is negative; zero means 30s", cfg.MaxTime)
	add(cfg.Interval < 0, "Interval %v is negative; zero means 50ms", cfg.Interval)
	add(patience > 0 && cfg.Interval > patience, "Interval %v is longer than Patience %v; zero means 50ms", cfg.Interval, patience)
	return errs
}

// Run looks until ctx is done, and takes back what it has marked. A look costs two atomic loads for
// each backend. Run returns an error only if it is running already.
func (s *Suspector) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("health: the Suspector is running already")
	}
	defer s.running.Store(false)
	s.watched = make(map[string]*suspicion)
	s.lost = lost(s.cfg.Pauses)
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		s.look(time.Now())
		select {
		case <-ctx.Done():
			s.stop()
			return nil
		case <-tick.C:
		}
	}
}

// stop takes all back.
func (s *Suspector) stop() {
	for id, w := range s.watched {
		if w.out {
			s.cfg.Pool.Clear(id, lb.Suspect, "the suspector has stopped")
		}
	}
}

// look takes a look at all backends.
func (s *Suspector) look(now time.Time) {
	snap := s.cfg.Pool.Snapshot()
	if len(s.watched) > snap.Len() {
		s.forget(snap)
	}
	before := s.lost
	s.lost = lost(s.cfg.Pauses)
	able := 0 // who could take requests, and are not known to leave them
	for i := range snap.Len() {
		b := snap.At(i)
		w := s.meet(b, now)
		w.see(b, s.cfg, now, s.lost != before)
		if b.Facts()&^lb.Suspect == b.Facts()&lb.Warming && !w.silent() {
			able++
		}
	}
	for id, w := range s.watched {
		s.decide(id, w, able)
	}
}

// forget drops those that have left the pool.
func (s *Suspector) forget(snap *lb.Snapshot) {
	for id := range s.watched {
		if snap.Find(id) == nil {
			delete(s.watched, id)
		}
	}
}

// meet returns what is thought of a backend, nothing at first.
func (s *Suspector) meet(b *lb.Backend, now time.Time) *suspicion {
	w := s.watched[b.ID()]
	if w == nil {
		w = new(suspicion)
		s.watched[b.ID()] = w
		b.Quantile(now, 0.99) // so that it is known when it is needed
	}
	return w
}

// see takes in what can be seen of a backend. That it said nothing while we did not listen is no silence.
func (w *suspicion) see(b *lb.Backend, cfg SuspectorConfig, now time.Time, deaf bool) {
	w.backend, w.tally = b, b.Tally()
	if w.out && !b.Facts().Has(lb.Suspect) { // somebody else has taken it back
		w.out, w.silence = false, silence{}
	}
	next := w.silence.add(w.tally, cfg.Requests)
	if deaf {
		next.looks = min(next.looks, w.silence.looks)
	}
	w.silence = next.asked(cfg, b, now)
}

// silent reports whether the backend says nothing, or has said nothing since it is suspect.
func (w *suspicion) silent() bool {
	if !w.out {
		return w.silence.overdue()
	}
	return w.tally.Answers == w.heard && w.tally.Waiting() > 0
}

// decide marks a backend, or takes that back, when so many could serve.
func (s *Suspector) decide(id string, w *suspicion, able int) {
	if !w.out {
		if able > 0 && w.backend.Facts().Fit() && w.silence.overdue() {
			s.suspect(id, w)
		}
		return
	}
	cause := ""
	switch w.left--; {
	case w.tally.Answers != w.heard:
		cause = "it answers again"
	case w.tally.Waiting() <= 0:
		cause = "its requests have ended without an answer"
	case able == 0:
		cause = "no other backend answers either"
	case w.left <= 0:
		cause = fmt.Sprintf("it was left alone for %v", s.cfg.MaxTime)
		w.silence = silence{}
	default:
		return
	}
	w.out = false
	s.cfg.Pool.Clear(id, lb.Suspect, cause)
}

func (s *Suspector) suspect(id string, w *suspicion) {
	w.out, w.heard, w.left = true, w.tally.Answers, s.cfg.looks(s.cfg.MaxTime)
	s.cfg.Pool.Mark(id, lb.Suspect, fmt.Sprintf("%d requests wait, of them %d or more for over %v without a word",
		w.tally.Waiting(), s.cfg.Requests, time.Duration(w.silence.looks)*s.cfg.Interval))
}
