package autoscale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Scaler adds backends to a pool and takes them away while it runs.
type Scaler struct {
	cfg              Config
	asked            Plan // as it was given
	meter            *meter
	answered, failed atomic.Int64 // requests since the last interval
	running          atomic.Bool
	moves            sync.WaitGroup  // of the Run that is going on
	listed           map[string]bool // with a Leader: backends in the pool because its State lists them

	mu       sync.Mutex
	launched []string  // what to terminate one day, oldest first
	starting int       // launches that have not ended
	backoff  backoff   // after launches that failed
	leaving  int       // backends that are being drained or terminated
	moved    time.Time // when the last of these moves ended
}

// New returns a Scaler that has yet to Run, or an error that names every field that is wrong.
func New(cfg Config) (*Scaler, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	return &Scaler{cfg: cfg.defaults(), asked: cfg.Plan, meter: &meter{since: time.Now()}, listed: make(map[string]bool)}, nil
}

// Observer returns what to put into lb.Config.Observers. Several balancers may share it. It
// reads the clock twice for each request, and allocates nothing.
func (s *Scaler) Observer() lb.Observer {
	return lb.Observer{
		RequestStart: func(ctx context.Context, _ *http.Request) context.Context {
			s.meter.begin(time.Since(s.meter.since))
			return ctx
		},
		Request: func(sum lb.Summary) {
			s.meter.end(time.Since(s.meter.since))
			s.count(sum)
		},
	}
}

// count counts one request. It is on the request path.
func (s *Scaler) count(sum lb.Summary) {
	switch {
	case sum.Backend == nil:
		if !unasked(sum.Reason) {
			s.failed.Add(1)
		}
	case sum.Status == http.StatusServiceUnavailable:
		s.failed.Add(1)
	case sum.Status != http.StatusTooManyRequests:
		s.answered.Add(1)
	}
}

// unasked reports whether a request without a backend's answer had none because no backend was
// to be asked, or its body was broken. A client that left may have done so for want of an answer.
func unasked(reason string) bool {
	switch reason {
	case "", "host", "method", "upload", "shutdown":
		return true
	}
	return false
}

// Run scales until ctx is done; then it drains and terminates what was launched, and returns.
// Each backend gets DrainTimeout to end its requests, and as much to stop. With Config.Leader,
// what was launched stays, and so does the pool. It returns an error only if it is running already.
func (s *Scaler) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("autoscale: the Scaler is running already")
	}
	defer s.running.Store(false)
	s.answered.Store(0)
	s.failed.Store(0)
	last, plan := time.Now(), s.cfg.Plan
	s.meter.take(last)
	if s.cfg.Leader != nil {
		s.newFleet().run(ctx)
		return nil
	}
	defer func() {
		s.moves.Wait()
		s.leave(ctx)
	}()
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		plan = s.decide(ctx, plan, now, now.Sub(last))
		last = now
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// decide starts the moves that the last interval calls for, and returns the plan to ask next.
func (s *Scaler) decide(ctx context.Context, plan Plan, now time.Time, interval time.Duration) Plan {
	for _, m := range s.strays() {
		s.moves.Go(func() { s.retire(ctx, m) })
	}
	l := s.load(now, interval)
	plan, want := plan.Next(l)
	reason := s.reason(l)
	for i := range s.start(now, want-l.Backends) {
		from := l.Backends + i
		s.moves.Go(func() { s.launch(ctx, move{from: from, to: from + 1, reason: reason}) })
	}
	if want < l.Backends {
		for i, id := range s.surplus(l.Backends - want) {
			from := l.Backends - i
			s.moves.Go(func() { s.retire(ctx, move{id: id, from: from, to: from - 1, reason: reason}) })
		}
	}
	return plan
}

// reason puts what a decision was made by on one line.
func (s *Scaler) reason(l Load) string {
	text := fmt.Sprintf("%d requests answered, %d failed in %v", l.Requests, l.Failed, l.Interval.Round(time.Millisecond))
	if forgets(s.asked) {
		return text
	}
	return text + fmt.Sprintf(", %.1f begun/s, %.1f in flight", l.rate(), l.Concurrency)
}

// load says how things stand.
func (s *Scaler) load(now time.Time, interval time.Duration) Load {
	l := Load{Now: now, Moved: now, Interval: interval, Requests: s.answered.Swap(0), Failed: s.failed.Swap(0)}
	f := s.meter.take(now)
	l.Begun, l.Ended = f.begun, f.ended
	if interval > 0 {
		l.Concurrency = float64(f.busy) / float64(interval)
	}
	s.stand(&l, func(string) bool { return false })
	return l
}

// stand says what there is, without the backends that are known to go.
func (s *Scaler) stand(l *Load, going func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.cfg.Pool.Snapshot()
	for i := range snap.Len() {
		b := snap.At(i)
		l.InFlight += b.InFlight()
		if b.Facts().Has(lb.Draining) || going(b.ID()) {
			continue
		}
		l.Backends++
		if b.Facts().Fit() {
			l.Fit++
			if b.Facts().Has(lb.Warming) {
				l.Warming++
			}
		}
	}
	l.Starting = s.starting
	l.Backends += s.starting
	if s.starting+s.leaving == 0 {
		l.Moved = s.moved
	}
}
