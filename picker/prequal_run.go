package picker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/orca"
	"github.com/go-loadbalancer/lb/transport"
)

// Run asks by HTTP what picks want asked, until ctx is done, and returns when no probe is under way any
// more. A probe is a GET of PrequalConfig.Path below a backend's URL; an answer of 2xx with the header
// Endpoint-Load-Metrics is one if it says the requests in flight, as package loadreport does. Whoever
// answers anything else is asked rarely from then on. No backend is asked twice at a time; what cannot
// be asked in time is not asked. It returns an error only if the Prequal has an Ask of its own or is
// running already.
func (p *Prequal) Run(ctx context.Context) error {
	if p.cfg.Ask != nil {
		return errors.New("picker: PrequalConfig.Ask asks already; leave it nil to have Run ask by HTTP")
	}
	if !p.begin() {
		return errors.New("picker: the Prequal is running already")
	}
	defer p.end()
	var all sync.WaitGroup
	defer all.Wait()
	for range p.cfg.Parallel {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case e := <-p.queue:
					p.probe(ctx, e)
				}
			}
		})
	}
	return nil
}

func (p *Prequal) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.running
	p.running = true
	return !was
}

// end forgets what has not been asked, and closes connections that nobody else uses.
func (p *Prequal) end() {
	if p.own != nil {
		p.own.CloseIdleConnections()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
	for len(p.queue) > 0 {
		<-p.queue // only picks put something in, under the mutex
	}
	for _, e := range p.peers {
		e.waiting, e.asked = false, 0
	}
}

// probe asks a backend once.
func (p *Prequal) probe(ctx context.Context, e *peer) {
	p.mu.Lock()
	b := e.backend
	p.mu.Unlock()
	r, heard, said := p.get(ctx, b)
	now := time.Now()
	if said {
		p.Answer(b, lb.Report{InFlight: r.InFlight, Latency: r.Latency}, now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.waiting = false
	if heard && !said {
		p.silencedLocked(e, now.UnixNano())
	}
}

// get reports whether the backend was heard at all, and whether it has said something.
func (p *Prequal) get(ctx context.Context, b *lb.Backend) (r orca.Report, heard, said bool) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	resp, err := p.cfg.Transport.RoundTrip(probeOf(ctx, b, p.cfg.Path))
	if err != nil {
		return r, false, false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	lines := resp.Header[orca.Header]
	if err != nil || resp.StatusCode/100 != 2 || len(lines) != 1 {
		return r, err == nil, false
	}
	r, said = orca.Parse(lines[0])
	return r, true, said && r.Has(orca.InFlight)
}

// probeOf returns the question to a backend. A socket's path is no URL that could be parsed, so the
// request is made by hand.
func probeOf(ctx context.Context, b *lb.Backend, path string) *http.Request {
	if name := b.Spec().ServerName; name != "" {
		ctx = transport.WithServerName(ctx, name)
	}
	u := *b.URL()
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawPath = ""
	req := &http.Request{
		Method: http.MethodGet, URL: &u, Header: http.Header{"User-Agent": {"lb-probe"}},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return req.WithContext(ctx)
}

// isPath reports whether s is a plain path.
func isPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && u.Path == s && u.RawQuery == "" && !u.ForceQuery
}
