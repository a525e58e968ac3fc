package lbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// TestBalancer tries a balancer with all that a program has put into it, and returns an error if
// it does not give back all that it takes: after requests that were answered, refused, cancelled,
// broken off in the middle or panicked in, one by one and many at a time, no backend has a request
// in flight, no request is active, and the balancer still answers if any backend is available.
//
// Fresh makes a balancer that reaches its backends by the transport that it is given, and by
// nothing else; it is called for each law. Backends may have any address, for nobody is called.
// If its Config.Hosts have "lbtest" it is tried as an http.RoundTripper, too. Panics in a request
// are expected, and caught as net/http's server does it. Time does not pass.
func TestBalancer(fresh func(transport http.RoundTripper) (*lb.Balancer, error)) error {
	var errs []error
	try := func(name string, requests func(*lb.Balancer) error) {
		b, err := fresh(stage{})
		if err == nil {
			err = caught(func() error { return first(func() error { return requests(b) }, func() error { return settled(b) }) })
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("lbtest: %s: %w", name, err))
		}
	}
	for _, act := range acts() {
		for _, face := range []string{"ServeHTTP", "RoundTrip"} {
			try(fmt.Sprintf("%s, after a request that %s", face, act.name), func(b *lb.Balancer) error {
				for range 20 {
					play(b, face, act)
				}
				return nil
			})
		}
	}
	try("many at a time", func(b *lb.Balancer) error {
		return together(6, func(g int) error {
			draws, all := rand.New(rand.NewPCG(uint64(g), 6)), acts()
			for range 100 {
				play(b, []string{"ServeHTTP", "RoundTrip"}[draws.IntN(2)], all[draws.IntN(len(all))])
			}
			return nil
		})
	})
	return errors.Join(errs...)
}

// settled returns what a balancer has not given back.
func settled(b *lb.Balancer) error {
	s := b.Status()
	for _, be := range s.Backends {
		if n := be.InFlight(); n != 0 {
			return fmt.Errorf("backend %q has %d requests in flight, although all have ended", be.ID(), n)
		}
	}
	if s.Active != 0 {
		return fmt.Errorf("%d requests are active, although all have ended", s.Active)
	}
	if s.Available == 0 {
		return nil
	}
	w := new(page)
	for range 20 { // some may meet a fault of the program's own
		w = new(page)
		if serve(b, w, request(context.Background(), act{})); w.status == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%d backends are available, and a simple request gets status %d", s.Available, w.status)
}

// act is a request and what becomes of it.
type act struct {
	name    string
	method  string // empty means GET
	answer  func(*http.Request) (*http.Response, error)
	page    func() http.ResponseWriter // nil means one that takes all
	forsake bool                       // the body of the response is closed unread
}

// quit is the key by which a backend finds how its client can be made to leave.
type quit struct{}

func leave(r *http.Request) { r.Context().Value(quit{}).(context.CancelFunc)() }

func acts() []act {
	lost := errors.New("connection reset")
	return []act{
		{name: "is answered"},
		{name: "is answered with 503", answer: func(*http.Request) (*http.Response, error) { return response(503, strings.NewReader("no")), nil }},
		{name: "fails", answer: func(*http.Request) (*http.Response, error) { return nil, lost }},
		{name: "fails, having a body", method: http.MethodPost, answer: func(*http.Request) (*http.Response, error) { return nil, lost }},
		{name: "panics in the transport", answer: func(*http.Request) (*http.Response, error) { panic("transport") }},
		{name: "is cancelled before the answer", answer: func(r *http.Request) (*http.Response, error) { leave(r); return nil, context.Cause(r.Context()) }},
		{name: "is cancelled in the answer", answer: func(r *http.Request) (*http.Response, error) {
			return response(200, breaking(func() error { leave(r); return context.Cause(r.Context()) })), nil
		}},
		{name: "breaks off in the answer", answer: func(*http.Request) (*http.Response, error) {
			return response(200, breaking(func() error { return io.ErrUnexpectedEOF })), nil
		}},
		{name: "panics in the answer", answer: func(*http.Request) (*http.Response, error) {
			return response(200, breaking(func() error { panic("body") })), nil
		}},
		{name: "is not read to the end", forsake: true},
		{name: "cannot be written", page: func() http.ResponseWriter { return &page{fault: func() error { return lost }} }},
		{name: "panics in writing", page: func() http.ResponseWriter { return &page{fault: func() error { panic("writer") }} }},
	}
}

// breaking is a body of a few bytes and what then happens.
func breaking(then func() error) io.Reader {
	return io.MultiReader(strings.NewReader("half of it"), readFunc(func([]byte) (int, error) { return 0, then() }))
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func response(status int, body io.Reader) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), Body: io.NopCloser(body), ContentLength: -1,
	}
}

// stage is a transport that does what the request's act says.
type stage struct{}

// script is the key by which the stage finds a request's act.
type script struct{}

// RoundTrip reads the request's body, as a transport has to, and plays.
func (stage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	if a, ok := r.Context().Value(script{}).(act); ok && a.answer != nil {
		return a.answer(r)
	}
	return response(http.StatusOK, strings.NewReader("all of it")), nil
}

func request(ctx context.Context, a act) *http.Request {
	r := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "lbtest", Path: "/"}, Host: "lbtest",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), RemoteAddr: "192.0.2.1:1234",
	}
	if a.method != "" {
		r.Method, r.Body, r.ContentLength = a.method, io.NopCloser(strings.NewReader("body")), 4
	}
	return r.WithContext(context.WithValue(ctx, script{}, a))
}

// play makes one request, by one of the balancer's faces.
func play(b *lb.Balancer, face string, a act) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := request(context.WithValue(ctx, quit{}, cancel), a)
	if face == "RoundTrip" {
		_ = caught(func() error { fetch(b, r, a.forsake); return nil })
		return
	}
	var w http.ResponseWriter = new(page)
	if a.page != nil {
		w = a.page()
	}
	serve(b, w, r)
}

// serve calls ServeHTTP as net/http's server does.
func serve(b *lb.Balancer, w http.ResponseWriter, r *http.Request) {
	_ = caught(func() error { b.ServeHTTP(w, r); return nil })
}

// fetch calls RoundTrip as a good client does, which closes what it gets.
func fetch(b *lb.Balancer, r *http.Request, forsake bool) {
	resp, err := b.RoundTrip(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if !forsake {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// page is a client's end of an answer.
type page struct {
	header http.Header
	status int
	fault  func() error // of a Write; nil means none
}

// Header returns what is sent before the body.
func (p *page) Header() http.Header {
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}

// WriteHeader notes a final status.
func (p *page) WriteHeader(status int) {
	if p.status == 0 && status >= 200 {
		p.status = status
	}
}

// Write takes all, or does what the page's fault says.
func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.fault != nil {
		return 0, p.fault()
	}
	return len(b), nil
}

// Flush and deadlines are there because servers have them.
func (p *page) Flush() {}

// SetReadDeadline does nothing.
func (p *page) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (p *page) SetWriteDeadline(time.Time) error { return nil }
