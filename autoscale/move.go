package autoscale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-loadbalancer/lb"
)

// move is one step between numbers of backends.
type move struct {
	id       string // of the backend that goes; empty on the way up
	from, to int
	reason   string
}

// tell reports how a move has ended.
func (s *Scaler) tell(kind Kind, m move, errs ...error) {
	if err := errors.Join(errs...); err != nil {
		m.reason += "; " + err.Error()
	}
	if kind == Failed {
		m.to = m.from
	}
	s.cfg.OnEvent(Event{Kind: kind, Backend: m.id, From: m.from, To: m.to, Reason: line(m.reason)})
}

// line makes a text fit on one line.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// start counts launches in, as many as may be begun now.
func (s *Scaler) start(now time.Time, missing int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.backoff.allow(now, max(0, missing), s.starting)
	s.starting += n
	return n
}

// launch adds one backend to the pool. Whatever goes wrong, nothing half-started is left.
func (s *Scaler) launch(ctx context.Context, m move) {
	within, cancel := context.WithTimeout(ctx, s.cfg.LaunchTimeout)
	defer cancel()
	spec, err := s.cfg.Provider.Launch(within)
	if err != nil {
		s.started("", ctx.Err() != nil)
		if ctx.Err() == nil { // else it was cut short, which is no failure
			s.tell(Failed, m, fmt.Errorf("launch: %w", err))
		}
		return
	}
	m.id = cmp.Or(spec.ID, spec.URL)
	if err := s.add(ctx, m.id, spec); err != nil {
		s.started("", false)
		s.tell(Failed, m, err)
		return
	}
	s.started(m.id, true)
	s.tell(Up, m)
}

// add puts a launched backend into the pool, or terminates it.
func (s *Scaler) add(ctx context.Context, id string, spec lb.Spec) error {
	err := errors.New("its ID is in use")
	if s.owns(id) { // what to terminate would be the one that serves
		return fmt.Errorf("launch: %q: %w", id, err)
	}
	if s.cfg.Pool.Snapshot().Find(id) == nil {
		err = s.cfg.Pool.Add(spec)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("launch: %q: %w", id, errors.Join(err, s.terminate(ctx, id)))
}

// owns reports whether the backend is one of those launched.
func (s *Scaler) owns(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.launched, id)
}

// started counts a launch out, and notes what came of it, if anything. For a moment that backend
// counts twice, since it is in the pool already: better than not at all, which could exceed Max.
func (s *Scaler) started(id string, well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
	s.moved = time.Now()
	if !well {
		s.backoff = s.backoff.failed(s.moved, s.cfg.Backoff)
	}
	if id != "" {
		s.launched = append(s.launched, id)
		s.backoff = backoff{}
	}
}

// strays chooses the launched backends that somebody else has taken out of the pool.
func (s *Scaler) strays() (moves []move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.cfg.Pool.Snapshot()
	s.launched = slices.DeleteFunc(s.launched, func(id string) bool {
		if snap.Find(id) != nil {
			return false
		}
		moves = append(moves, move{id: id, from: snap.Len(), to: snap.Len(), reason: "it has left the pool"})
		return true
	})
	s.leaving += len(moves)
	return moves
}

// retire drains a backend and terminates it, which the end of ctx does not cut short.
func (s *Scaler) retire(ctx context.Context, m move) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leaving--
		s.moved = time.Now()
	}()
	drained, terminated := s.drain(ctx, m.id), s.terminate(ctx, m.id)
	if terminated != nil {
		s.tell(Failed, m, drained, fmt.Errorf("terminate: %w", terminated))
		return
	}
	s.tell(Down, m, drained)
}

func (s *Scaler) drain(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	return s.cfg.Pool.Remove(ctx, id)
}

func (s *Scaler) terminate(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	return s.cfg.Provider.Terminate(ctx, id)
}

// leave retires all that was launched, at once.
func (s *Scaler) leave(ctx context.Context) {
	s.mu.Lock()
	all := s.launched
	s.launched, s.leaving = nil, s.leaving+len(all)
	s.mu.Unlock()
	size := s.cfg.Pool.Snapshot().Len()
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, id := range all {
		wg.Go(func() {
			s.retire(ctx, move{id: id, from: size - i, to: size - i - 1, reason: "the scaler stops"})
		})
	}
}
