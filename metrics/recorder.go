package metrics

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/go-loadbalancer/lb"
)

// The families of metrics. The first three have names that users rely on.
const (
	requestsTotal   = "loadbalancer_requests_total"
	connections     = "loadbalancer_z_backend_connections"
	durationSeconds = "loadbalancer_z_request_duration_seconds"
	attemptsTotal   = "loadbalancer_attempts_total"
	retriesTotal    = "loadbalancer_retries_total"
	hedgesTotal     = "loadbalancer_hedges_total"
	errorsTotal     = "loadbalancer_errors_total"
	backendUp       = "loadbalancer_backend_up"
	backendWeight   = "loadbalancer_backend_weight"
	breakerState    = "loadbalancer_breaker_state"
	failOpen        = "loadbalancer_fail_open"
	queued          = "loadbalancer_queued_requests"
)

// Config is how a Recorder behaves.
type Config struct {
	// Process adds to Export.Prometheus what the process and the Go runtime tell of themselves:
	// memory, processor time, goroutines, open files.
	Process bool
}

// Recorder counts what one balancer tells its observers. All its methods may be called by many
// goroutines at once.
type Recorder struct {
	cfg      Config
	set      *vm.Set
	backends sync.Map // by ID: *series of the backends in the pool
	nobody   *series
	retries  *vm.Counter
	hedges   *vm.Counter
	errors   map[string]*vm.Counter // by reason; never changed
	requests atomic.Uint64          // that have ended
	failed   atomic.Uint64          // of these, as Totals.Errors says

	slice atomic.Uint32 // of every window, the one to write to
	mu    sync.Mutex    // guards turned, kinds and which backends there are
	// turned is when slice last moved on, zero before the first time.
	turned time.Time
	kinds  map[string]kind // by family
	events events
}

// New returns a Recorder that has counted nothing.
func New(cfg Config) *Recorder {
	r := &Recorder{cfg: cfg, set: vm.NewSet(), errors: make(map[string]*vm.Counter), kinds: make(map[string]kind)}
	r.nobody = newSeries(r.set, "")
	r.retries, r.hedges = r.set.NewCounter(retriesTotal), r.set.NewCounter(hedgesTotal)
	for _, reason := range reasons() {
		r.errors[reason] = r.set.NewCounter(seriesName(errorsTotal, "reason", reason))
	}
	for _, family := range []string{requestsTotal, connections, durationSeconds, attemptsTotal, retriesTotal, hedgesTotal,
		errorsTotal, backendUp, backendWeight, breakerState, failOpen, queued} {
		r.kinds[family] = reserved
	}
	return r
}

// reasons are the words that lb.Summary promises, and one for those of a later version.
func reasons() []string {
	return []string{"backend", "client", "dial", "host", "method", "no_backend", "panic", "protocol",
		"queue_full", "queue_timeout", "refused", "request", "reset", "status", "timeout", "tls", "truncated", "upload", otherReason}
}

const otherReason = "other"

// Observer is for the Config.Observers of one balancer. A second balancer needs a Recorder of
// its own: a backend that leaves either would lose its metrics. An event of a known backend
// costs a look-up and some additions, without a lock or an allocation.
func (r *Recorder) Observer() lb.Observer {
	return lb.Observer{Attempt: r.attempt, Request: r.request, Change: r.change}
}

func (r *Recorder) attempt(res lb.Result) {
	s := r.of(res.Backend)
	s.attempts[min(int(res.Outcome), outcomes-1)].Inc()
	switch {
	case res.Hedge:
		r.hedges.Inc()
	case res.Attempt > 0:
		r.retries.Inc()
	}
	if res.Outcome == lb.Success {
		s.latency.record(r.slice.Load(), res.Latency)
	}
}

func (r *Recorder) request(sum lb.Summary) {
	r.requests.Add(1)
	s := r.of(sum.Backend)
	c := s.answered(sum.Status)
	if c == nil {
		c = r.nobody.answered(sum.Status)
	}
	c.Inc()
	if s.duration != nil && sum.Status != http.StatusSwitchingProtocols {
		s.duration.Update(sum.Duration.Seconds())
	}
	if failed(sum) {
		r.failed.Add(1)
	}
	if sum.Reason == "" {
		return
	}
	if c = r.errors[sum.Reason]; c == nil {
		c = r.errors[otherReason]
	}
	c.Inc()
}

// failed reports whether a request ended badly by no fault of its client.
func failed(sum lb.Summary) bool {
	switch sum.Reason {
	case "client", "host", "method", "request", "upload":
		return false
	case "":
		return sum.Status >= http.StatusInternalServerError
	}
	return true
}

// of returns where to count what b did. That is nobody when b has left the pool, or is so new
// that its joining has not been told yet.
func (r *Recorder) of(b *lb.Backend) *series {
	if b == nil {
		return r.nobody
	}
	if s, ok := r.backends.Load(b.ID()); ok {
		return s.(*series)
	}
	return r.nobody
}

func (r *Recorder) change(c lb.Change) {
	switch {
	case c.Joined:
		r.join(c.Backend.ID())
	case c.Removed:
		r.leave(c.Backend.ID())
	}
	r.events.add(Event{Time: time.Now(), Text: describe(c)})
}

func (r *Recorder) join(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.backends.Load(id); !known {
		r.backends.Store(id, newSeries(r.set, id))
	}
}

func (r *Recorder) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, known := r.backends.LoadAndDelete(id); known {
		s.(*series).retire()
	}
}

// turn moves all windows on to now. Times before the last one change nothing.
func (r *Recorder) turn(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turned.IsZero() {
		r.turned = now
	}
	for range windowSlices {
		if now.Sub(r.turned) < sliceLength {
			return
		}
		r.turned = r.turned.Add(sliceLength)
		r.nextSliceLocked()
	}
	r.turned = now // after a pause longer than the window, all of it is empty
}

// nextSliceLocked empties the oldest slice and makes it the one to write to.
func (r *Recorder) nextSliceLocked() {
	next := (r.slice.Load() + 1) % windowSlices
	for _, s := range r.backends.Range {
		s.(*series).latency.clear(next)
	}
	r.slice.Store(next)
}
