package metrics

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Report is what operators see of a balancer at one moment.
type Report struct {
	Title     string          `json:"title"`
	Policy    string          `json:"policy"`
	Features  []string        `json:"features"`
	Time      time.Time       `json:"time"`
	Uptime    float64         `json:"uptime_seconds"` // since Recorder.Export
	Available int             `json:"available"`      // as lb.Status.Available
	FailOpen  bool            `json:"fail_open"`
	Active    int64           `json:"active"` // requests that have not ended, tunnels included
	Queued    int             `json:"queued"` // of these, who wait for a place or a backend, as lb.Status.Queued
	Totals    Totals          `json:"totals"`
	Backends  []BackendReport `json:"backends"` // sorted by ID
	Events    []Event         `json:"events"`   // newest first, at most 50
}

// Totals are counts over all backends, of those, too, that have left.
type Totals struct {
	Requests uint64 `json:"requests"` // that have ended
	Errors   uint64 `json:"errors"`   // of these, with a 5xx or broken off, by no fault of the client
	Retries  uint64 `json:"retries"`
}

// BackendReport is what operators see of one backend. Times are in milliseconds, zero when
// unknown.
type BackendReport struct {
	ID      string            `json:"id"`
	URL     string            `json:"url"`
	Labels  map[string]string `json:"labels,omitempty"`
	Weight  int               `json:"weight"` // as configured
	Share   float64           `json:"share"`  // as lb.BackendStatus.Share; zero when it gets nothing new
	State   string            `json:"state"`  // as lb.Facts.String: "fit", or words such as "down draining"
	Healthy bool              `json:"healthy"`
	Cause   string            `json:"cause,omitempty"` // why the state is what it is
	Breaker string            `json:"breaker"`         // closed, open or half-open

	InFlight    int64  `json:"in_flight"`
	MaxInFlight int    `json:"max_in_flight,omitempty"`
	Requests    uint64 `json:"requests"` // attempts made there
	Errors      uint64 `json:"errors"`   // of these, the failed ones

	ErrorRate float64 `json:"error_rate"` // as lb.Load.ErrorRate, 0 to 1
	P50       float64 `json:"latency_p50_ms"`
	P99       float64 `json:"latency_p99_ms"`
	Average   float64 `json:"latency_ewma_ms"` // as lb.Load.Latency
	Probe     float64 `json:"probe_ms,omitempty"`
}

// Report returns how things stand. It costs one Status of the source, and some microseconds for
// each backend.
func (e *Export) Report() Report { return e.report(time.Now()) }

func (e *Export) report(now time.Time) Report {
	r, st := e.recorder, e.source.Status()
	r.turn(now)
	rep := Report{
		Title:     e.cfg.Title,
		Policy:    e.cfg.Policy,
		Features:  append([]string{}, e.cfg.Features...),
		Time:      now,
		Uptime:    now.Sub(e.since).Seconds(),
		Available: st.Available,
		FailOpen:  st.FailOpen,
		Active:    st.Active,
		Queued:    st.Queued,
		Totals:    Totals{Requests: r.requests.Load(), Errors: r.failed.Load(), Retries: r.retries.Get()},
		Backends:  make([]BackendReport, len(st.Backends)),
		Events:    r.events.newest(),
	}
	for i, b := range st.Backends {
		rep.Backends[i] = e.backend(b, now)
	}
	return rep
}

func (e *Export) backend(b lb.BackendStatus, now time.Time) BackendReport {
	spec, load := b.Spec(), b.Load(now)
	rep := BackendReport{
		ID:          spec.ID,
		URL:         spec.URL,
		Labels:      spec.Labels,
		Weight:      spec.Weight,
		Share:       b.Share,
		State:       b.Facts().String(),
		Healthy:     b.Facts().Fit(),
		Cause:       b.Cause(),
		Breaker:     b.Breaker.String(),
		InFlight:    load.InFlight,
		MaxInFlight: spec.MaxInFlight,
		ErrorRate:   load.ErrorRate,
		Average:     milliseconds(load.Latency),
	}
	if s := e.recorder.of(b.Backend); s != e.recorder.nobody {
		rep.Requests, rep.Errors = s.tried()
		p50, p99 := s.latency.quantiles(0.50, 0.99)
		rep.P50, rep.P99 = milliseconds(p50), milliseconds(p99)
	}
	if e.cfg.Probe != nil {
		rep.Probe = milliseconds(e.cfg.Probe(spec.ID))
	}
	return rep
}

// milliseconds returns d to the microsecond.
func milliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// JSON serves a Report.
func (e *Export) JSON() http.Handler {
	return readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encode(e.Report()))
	})
}

// encode returns a Report on one line.
func encode(rep Report) []byte {
	text, _ := json.Marshal(rep) // a Report has nothing that JSON cannot say
	return text
}
