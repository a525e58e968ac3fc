package loadreport

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/estimate"
	"github.com/go-loadbalancer/lb/internal/orca"
)

// Config is what a Meter says, and where. The zero value says requests in flight, latency and rates.
type Config struct {
	// Path is where probes are answered. Empty means "/.well-known/load".
	Path string
	// Capacity is how many requests in flight use the backend fully: the utilisation is their number
	// divided by it. Zero means that no utilisation is said, unless Utilization says it.
	Capacity int
	// Utilization takes the place of Capacity: it returns what share of the backend is in use, 1 for all,
	// more if it does more than it should. Zero and below, NaN and infinity say nothing. It is called
	// for every answer, concurrently, and must be quick.
	Utilization func() float64
	// ProbesOnly leaves the header out of all answers but those to probes.
	ProbesOnly bool
}

// Meter measures what a backend has to do. Make one with New.
type Meter struct {
	cfg   Config
	begun time.Time

	mu       sync.Mutex
	inFlight int64
	latency  estimate.Latencies
	window   window
}

// New returns a Meter that has seen nothing, or an error that names every field that is wrong.
func New(cfg Config) (*Meter, error) {
	cfg.Path = cmp.Or(cfg.Path, "/.well-known/load")
	var errs []error
	if !strings.HasPrefix(cfg.Path, "/") || strings.ContainsAny(cfg.Path, "?# ") {
		errs = append(errs, fmt.Errorf("loadreport: Config.Path %q is not a path like /.well-known/load", cfg.Path))
	}
	if cfg.Capacity < 0 {
		errs = append(errs, fmt.Errorf("loadreport: Config.Capacity %d is negative; zero means that no utilisation is said", cfg.Capacity))
	}
	if cfg.Capacity > 0 && cfg.Utilization != nil {
		errs = append(errs, errors.New("loadreport: Config has a Capacity and a Utilization; set one of them"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Meter{cfg: cfg, begun: time.Now()}, nil
}

// InFlight returns how many requests Handler is serving now, without probes.
func (m *Meter) InFlight() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight
}

// enter counts a request in, and returns how many others it found.
func (m *Meter) enter() (found int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found = m.inFlight
	m.inFlight++
	return found
}

// ending is how a request ended.
type ending uint8

const (
	answered ending = iota
	failed          // it panicked, or the answer was a 5xx
	left            // its client did not wait
	taken           // its connection was hijacked
)

// leave counts a request out that had found so many others. What fails or is left quickly must not
// look quick: such a request only counts for the latency if it took longer than others do.
func (m *Meter) leave(found int64, latency time.Duration, how ending) {
	now := time.Since(m.begun)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
	m.window.add(now, how == failed)
	if how == answered || how != taken && latency > m.latency.At(found) {
		m.latency.Add(found, latency)
	}
}

// report is what the meter says now.
func (m *Meter) report() orca.Report {
	utilization := 0.0
	if m.cfg.Utilization != nil {
		utilization = m.cfg.Utilization()
	}
	now := time.Since(m.begun)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := orca.Report{Said: orca.InFlight | orca.Rate | orca.Errors, InFlight: m.inFlight}
	r.Rate, r.Errors = m.window.rates(now)
	if r.Latency = m.latency.At(m.inFlight); r.Latency > 0 {
		r.Said |= orca.Latency
	}
	if m.cfg.Capacity > 0 {
		utilization = float64(m.inFlight) / float64(m.cfg.Capacity)
	}
	if m.cfg.Capacity > 0 || utilization > 0 && !math.IsInf(utilization, 1) {
		r.Said |= orca.Application
		r.Application = utilization
	}
	return r
}

// say puts the report into the headers of an answer.
func (m *Meter) say(h http.Header) {
	r := m.report()
	h.Set(orca.Header, string(r.AppendText(make([]byte, 0, 192))))
}

// seconds is how far back rates look.
const seconds = 10

// window counts requests by the second, for the last ten of them.
type window struct {
	slots [seconds]slot
}

// slot is a second, counted from the meter's beginning.
type slot struct {
	second        int64
	ended, failed int64
}

func (w *window) add(now time.Duration, failed bool) {
	second := int64(now / time.Second)
	s := &w.slots[second%seconds]
	if s.second != second {
		*s = slot{second: second}
	}
	s.ended++
	if failed {
		s.failed++
	}
}

// rates returns requests and failures per second. In the first second it is as if that were over.
func (w *window) rates(now time.Duration) (ended, failed float64) {
	second := int64(now / time.Second)
	for _, s := range w.slots {
		if s.second > second-seconds {
			ended += float64(s.ended)
			failed += float64(s.failed)
		}
	}
	from := time.Duration(max(0, second-seconds+1)) * time.Second
	covered := max(1, (now - from).Seconds())
	return ended / covered, failed / covered
}
