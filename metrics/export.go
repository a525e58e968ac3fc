package metrics

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/go-loadbalancer/lb"
)

// Source is what an Export asks how things stand: an *lb.Balancer.
type Source interface{ Status() lb.Status }

// ExportConfig is what an Export says beside what it finds out. Everything is optional.
type ExportConfig struct {
	Title    string   // names the balancer to people; "Load balancer" if empty
	Policy   string   // such as "least loaded of two"
	Features []string // what the program has switched on, such as "sticky sessions"
	// Probe returns how long the last health check of a backend took, or zero if unknown. It is
	// called once per backend and Report, concurrently; it must be quick. Nil means unknown.
	Probe func(backend string) time.Duration
}

// Export shows what a Recorder has counted and how a balancer's backends are. All its methods
// may be called by many goroutines at once.
type Export struct {
	recorder *Recorder
	source   Source
	cfg      ExportConfig
	since    time.Time
	readers  readers
}

// Export returns what shows the counts together with the state of source, the balancer that r
// observes, which must not be nil. It starts nothing; its Run is for lb.Run.
func (r *Recorder) Export(source Source, cfg ExportConfig) *Export {
	if cfg.Title == "" {
		cfg.Title = "Load balancer"
	}
	return &Export{recorder: r, source: source, cfg: cfg, since: time.Now()}
}

// Prometheus serves all metrics in the Prometheus text format, version 0.0.4. A scrape costs one
// Status of the source and time in the number of series.
func (e *Export) Prometheus() http.Handler {
	return readOnly(func(w http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		e.recorder.set.WritePrometheus(&text)
		writeStatus(&text, e.source.Status())
		if e.recorder.cfg.Process {
			vm.WriteProcessMetrics(&text)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(text.Bytes())
	})
}

// writeStatus writes what is not counted but read, one family after the other.
func writeStatus(text *bytes.Buffer, st lb.Status) {
	for _, family := range []struct {
		name  string
		value func(lb.BackendStatus) float64
	}{
		{connections, func(b lb.BackendStatus) float64 { return float64(b.InFlight()) }},
		{backendUp, func(b lb.BackendStatus) float64 { return oneIf(b.Facts().Fit()) }},
		{backendWeight, func(b lb.BackendStatus) float64 { return b.Share }},
		{breakerState, func(b lb.BackendStatus) float64 { return float64(b.Breaker) }},
	} {
		if len(st.Backends) > 0 {
			vm.WriteMetadataIfNeeded(text, family.name, "gauge")
		}
		for _, b := range st.Backends {
			fmt.Fprintf(text, "%s %g\n", seriesName(family.name, "backend", b.ID()), family.value(b))
		}
	}
	vm.WriteGaugeFloat64(text, failOpen, oneIf(st.FailOpen))
	vm.WriteGaugeUint64(text, queued, uint64(st.Queued))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// readOnly refuses whatever is not GET or HEAD, and keeps answers out of caches.
func readOnly(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		serve(w, r)
	})
}
