package lb

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb/internal/orca"
)

// Report is what a backend says about its own load, in the header or trailer Endpoint-Load-Metrics
// of an answer; package loadreport says it for a program of one's own. Fields are zero where the
// backend said nothing. All are finite and none is negative, but they are only as true as the backend
// is.
type Report struct {
	InFlight    int64         // requests in flight on the backend, whoever sent them
	Latency     time.Duration // of a request that finds as many in flight as now
	Utilization float64       // share of what the backend can do, up to 1, or above if it does more than it should
	Rate        float64       // requests per second
	Errors      float64       // failed requests per second
}

// loadHeader is what backends say to their balancers. Clients do not get it.
const loadHeader = orca.Header

// addHeader adds an answer's fields to those of the client's answer, without what its backend says to
// us alone.
func (a *attempt) addHeader(h http.Header, x exchange) {
	var own []string // somebody in front of us has set, who is a backend in turn
	if len(h) > 0 {
		own = h[loadHeader]
	}
	x.AddHeader(h)
	if lines, ok := h[loadHeader]; ok && len(lines) > len(own) {
		a.reported(lines[len(own):])
		delete(h, loadHeader)
		if len(own) > 0 {
			h[loadHeader] = own
		}
	}
	if x.Length() < 0 {
		unannounce(h)
	}
}

// unannounce takes the load out of the list of trailers that will come.
func unannounce(h http.Header) {
	lines := h["Trailer"]
	if !listed(lines, loadHeader) {
		return
	}
	var rest []string
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); !isLoadHeader(name) {
				rest = append(rest, name)
			}
		}
	}
	if len(rest) == 0 {
		delete(h, "Trailer")
		return
	}
	h["Trailer"] = []string{strings.Join(rest, ", ")}
}

// takeReport takes what the backend says to us alone out of an answer's header or trailer.
func (a *attempt) takeReport(h http.Header) {
	if lines, ok := h[loadHeader]; ok {
		delete(h, loadHeader)
		a.reported(lines)
	}
}

// reported keeps the backend's report, if it is one. The trailer's takes the place of the header's.
func (a *attempt) reported(lines []string) {
	if len(lines) != 1 {
		return
	}
	if r, ok := orca.Parse(lines[0]); ok {
		a.report.Store(&Report{
			InFlight: r.InFlight, Latency: r.Latency, Utilization: r.Utilization(), Rate: r.Rate, Errors: r.Errors,
		})
	}
}

// isLoadHeader reports whether name is the header's, however a transport spells it.
func isLoadHeader(name string) bool {
	return len(name) == len(loadHeader) && strings.EqualFold(name, loadHeader)
}

// withoutReports returns a context in which whoever traces informational answers does not see what
// backends say to us alone: of two hooks the newer is called first, with the same fields.
func withoutReports(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.Got1xxResponse == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, fields textproto.MIMEHeader) error {
			delete(fields, loadHeader)
			return nil
		},
	})
}
