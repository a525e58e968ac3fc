package lb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/budget"
	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/transport"
)

// Config is everything a Balancer needs. Only Pool and Policy are required.
type Config struct {
	Pool   Pool   // where the backends are; see NewPool
	Policy Policy // which of them gets a request; see package picker

	// Breakers makes a backend's breaker when the balancer first meets the backend; it keeps it
	// until the backend leaves the pool. Nil means none.
	Breakers func(*Backend) Breaker

	// SessionKey finds a request's session; see package session. Nil means no stickiness.
	SessionKey SessionKey
	// Sessions remembers what SessionKey does not. Nil means that there is nothing else.
	Sessions SessionStore

	// Retries bounds the tries after the first, each on another backend. Zero means 1, negative
	// none. Tried again are requests of which nothing was sent, and idempotent ones whose body, if
	// they have one, can be sent again; never once a byte of an answer has gone to the client. All
	// retries share one budget: each request adds a fifth of a retry to it, up to ten. None is made
	// when less is left of the request's deadline than an answer usually takes.
	Retries int
	// Retry says more about what is tried again.
	Retry Retry
	// Hedge has a second backend asked when the first takes long. Zero is off.
	Hedge Hedge
	// PanicThreshold is the share of backends, 0 to 1, below which those that are out (Down,
	// Ejected, Suspect) are eligible, too; see Retry.MaxRest for those that rest. Zero means only when no other is left; then those
	// whose last request failed come last. Negative means never. Backends that drain or that
	// breakers stop are not revived.
	PanicThreshold float64
	// SlowStart has new and recovered backends begin with less than their share. Zero is off.
	SlowStart SlowStart
	// Queue has requests wait while all backends are full. Zero is off: 503 at once.
	Queue Queue
	// WaitForBackend is how long a request waits that finds nobody to ask: the pool is empty, all of
	// it is draining, out (without fail-open) or stopped by breakers. Somebody who is fit again is
	// noticed within some milliseconds, and those who waited go on one after the other, in the order
	// in which they came. As many may wait as Queue.Length says, or 1000 if that is zero: the others
	// get 503 at once. Zero means that all do.
	WaitForBackend time.Duration

	// Pauses measures when this program did not run: that is not held against backends, and nobody is
	// hedged for it. Nil means that nobody does.
	Pauses *Pauses

	// Transport reaches the backends. Nil means transport.New(transport.Config{}).
	Transport http.RoundTripper
	// Classify judges a response, or the error in its place. Nil means that errors, 502, 503 and
	// 504 are failures; other answers of 500 and up only raise the error rate. What clients cause
	// is neutral without being asked about, and so is what this machine lacks: files and memory.
	Classify func(*http.Response, error) Outcome

	// TrustedProxies are believed about who the client is. By default nobody is.
	TrustedProxies []netip.Prefix
	// RewriteHost sends each backend the host of its URL instead of the request's Host.
	RewriteHost bool
	// Upgrades are the protocols that a connection may be switched to. Nil means websocket only.
	Upgrades []string

	// Hosts are the names that RoundTrip answers for, as they stand in URLs, with or without a
	// port. Empty means that RoundTrip refuses every request: a redirect must not carry another
	// site's cookies to these backends. ServeHTTP answers for any name.
	Hosts []string

	// Observers are told what happens, in this order.
	Observers []Observer
	// MaxBody bounds the body of a request to ServeHTTP, in bytes: 413 above. Zero means no bound.
	MaxBody int64
	// UploadIdle is how long a client may pause in a request's body: 408 after that. Zero means 30s,
	// negative for ever.
	UploadIdle time.Duration
	// DownloadIdle is how long a client may take for the next part of an answer, of 63 KiB or, where
	// it is long and fast, up to 1 MiB, until it is given up. An http.Server with a WriteTimeout has a bound of its
	// own, which then is the only one; answers of up to 32 KiB have none. Zero means 30s, negative for
	// ever.
	DownloadIdle time.Duration
	// TunnelIdle is how long nothing may pass through a connection that was switched to another
	// protocol, in either direction. Zero means an hour, negative for ever.
	TunnelIdle time.Duration
	// ReasonHeader names a header in which answers of our own say why: a word as Summary.Reason.
	// Empty means none.
	ReasonHeader string
	// ExplainTo are the peers, by the address of their connection and not by what a header says, whose
	// answers say in a header how they came about: Lb-Explain has [Explanation.String] in ASCII. A
	// proxy among them passes it on to its own clients. Nil means nobody.
	ExplainTo []netip.Prefix
	// OnError answers in place of a backend: err is one of this package's errors. Nil means a
	// status text without details: 502, 503 with Retry-After, 504, and others as errors.go says.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

// Balancer sends each request to one backend of a pool: as an http.Handler for clients
// elsewhere, and as an http.RoundTripper for an http.Client in this program. All its methods
// may be called by many goroutines at once.
type Balancer struct {
	cfg       Config
	trusted   clientip.Proxies
	explainTo clientip.Proxies
	explains  bool // somebody may want to know how answers came about
	observers observers
	strip     func(http.Header)                // takes the session key from a request's headers; may be nil
	stripLine func(line string) (string, bool) // does the same to one line of cookies; may be nil
	seen      func(session, backend string)
	engine    *transport.Transport // that Config.Transport is, or nil
	byStatus  bool                 // Config.Classify is nil
	budget    budget.Budget
	kept      atomic.Int64 // bytes of bodies that may be sent again
	patience  *patience    // nil: nobody waits
	rests     rests

	view     atomic.Pointer[view]
	epoch    atomic.Uint64 // breakers and rests seen to change; a view from before the last is out of date
	building sync.Mutex    // held by whoever builds the next view
	mishap   atomic.Pointer[mishap]

	active  atomic.Int64 // requests that have not ended
	trips   sync.Pool    // of *trip, that ServeHTTP is done with
	tunnels tunnels
}

// New returns a Balancer, or an error that names every field that is wrong. It starts nothing.
func New(cfg Config) (*Balancer, error) {
	trusted, err := clientip.New(cfg.TrustedProxies)
	if err != nil {
		err = fmt.Errorf("lb: Config.TrustedProxies: %w", err)
	}
	explainTo, wrong := clientip.New(cfg.ExplainTo)
	if wrong != nil {
		wrong = fmt.Errorf("lb: Config.ExplainTo: %w", wrong)
	}
	if err := errors.Join(append(cfg.faults(), err, wrong)...); err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		cfg.Transport = transport.New(transport.Config{})
	}
	byStatus := cfg.Classify == nil
	if byStatus {
		cfg.Classify = classify
	}
	if cfg.OnError == nil {
		cfg.OnError = answer
	}
	if cfg.Upgrades == nil {
		cfg.Upgrades = []string{"websocket"}
	}
	cfg.Retries = max(0, cmp.Or(cfg.Retries, 1))
	cfg.Retry = cfg.Retry.defaults()
	cfg.SlowStart = cfg.SlowStart.defaults()
	cfg.UploadIdle = cmp.Or(cfg.UploadIdle, 30*time.Second)
	cfg.DownloadIdle = cmp.Or(cfg.DownloadIdle, 30*time.Second)
	cfg.TunnelIdle = cmp.Or(cfg.TunnelIdle, time.Hour)
	b := &Balancer{cfg: cfg, byStatus: byStatus, trusted: trusted, observers: slices.Clone(cfg.Observers)}
	if key, ok := cfg.SessionKey.(interface{ Strip(http.Header) }); ok {
		b.strip = key.Strip
	}
	if key, ok := cfg.SessionKey.(interface{ StripCookie(string) (string, bool) }); ok {
		b.stripLine = key.StripCookie
	}
	if store, ok := cfg.Sessions.(interface{ Seen(session, backend string) }); ok {
		b.seen = store.Seen
	}
	b.explainTo, b.explains = explainTo, len(cfg.ExplainTo) > 0 || b.observers.explains()
	b.patience = newPatience(cfg.Queue, cfg.WaitForBackend)
	b.engine, _ = cfg.Transport.(*transport.Transport)
	b.view.Store(&view{snap: new(Snapshot)})
	return b, nil
}

// faults lists what is wrong with a Config, each with its cure.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lb: Config."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Policy == nil, "Policy is nil; try picker.RoundRobin")
	add(cfg.Sessions != nil && cfg.SessionKey == nil, "Sessions has no SessionKey to find sessions by; try session.NewCookie")
	add(cfg.PanicThreshold > 1 || cfg.PanicThreshold != cfg.PanicThreshold, "PanicThreshold %v is above 1; it is a share of the backends", cfg.PanicThreshold)
	for _, protocol := range cfg.Upgrades {
		add(!isToken(protocol), "Upgrades: %q is not the name of a protocol", protocol)
	}
	errs = append(errs, cfg.Retry.faults()...)
	errs = append(errs, cfg.Hedge.faults()...)
	errs = append(errs, cfg.SlowStart.faults()...)
	errs = append(errs, cfg.Queue.faults()...)
	add(cfg.WaitForBackend < 0, "WaitForBackend %v is negative; zero means not at all", cfg.WaitForBackend)
	add(cfg.Hedge.on() && cfg.Retries < 0, "Hedge needs a second try, and Retries %d allows none; zero means 1", cfg.Retries)
	add(cfg.MaxBody < 0, "MaxBody %d is negative; zero means no bound", cfg.MaxBody)
	add(cfg.ReasonHeader != "" && !isToken(cfg.ReasonHeader), "ReasonHeader %q is not the name of a header", cfg.ReasonHeader)
	for _, host := range cfg.Hosts {
		add(host == "" || strings.ContainsAny(host, "/ "), "Hosts: %q is not a host name", host)
	}
	return errs
}

// ServeHTTP answers r with a backend's response, with a proxy's manners: RFC 9110 section 7.
// Without a response, Config.OnError answers. As net/http wants it, it panics with
// http.ErrAbortHandler when a response breaks off.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := b.depart(r)
	t.w = w
	done := false
	defer func() {
		if !done { // refused, or panicking
			t.end(nil)
		}
	}()
	if err := forwardable(t.req); err != nil {
		t.answer(w, err)
		return
	}
	if t.req.URL.Path == "*" {
		w.Header().Set("Content-Length", "0")
		t.noted, t.sum.Status = true, http.StatusOK
		return
	}
	t.forward()
	t.end(nil)
	done = true
	t.recycle()
}

// RoundTrip sends req to a backend, and to another if that fails and it is safe. Scheme and
// host of its URL name the service, one of Config.Hosts, and are replaced by the backend's. The
// request is in flight until its response's body has been read to the end or closed.
func (b *Balancer) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	t := b.depart(req)
	if t.carry(req.Body); t.upload != nil {
		t.keepBody()
	}
	defer func() {
		if resp == nil { // failed, or panicking
			t.end(err)
		}
	}()
	if err := forwardable(req); err != nil {
		return nil, err
	}
	if err := b.answersFor(req); err != nil {
		return nil, err
	}
	out := *t.req
	switch {
	case out.Header == nil:
		out.Header = make(http.Header)
	case b.strip != nil:
		out.Header = out.Header.Clone()
		b.strip(out.Header)
	}
	if ctx := withoutReports(out.Context()); ctx != out.Context() {
		out = *out.WithContext(ctx)
	}
	s := sending{trip: t, out: &out}
	err = t.attempts(&s)
	return s.resp, err
}

func (b *Balancer) answersFor(req *http.Request) error {
	for _, host := range b.cfg.Hosts {
		if strings.EqualFold(host, req.URL.Host) || strings.EqualFold(host, req.URL.Hostname()) {
			return nil
		}
	}
	return fmt.Errorf("%w: %q; add it there", ErrHost, req.URL.Host)
}

// Shutdown waits until every request and tunnel has ended, then closes idle connections. When
// ctx is done first, it closes the tunnels that are left, and the event streams and gRPC calls, which may
// go on for ever, and returns ctx's cause. It refuses nothing by itself: stop the http.Server first,
// or at the same time: that one does not wait for tunnels.
func (b *Balancer) Shutdown(ctx context.Context) error {
	defer func() {
		if t, ok := b.cfg.Transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for b.active.Load() > 0 {
		select {
		case <-ctx.Done():
			left := b.active.Load()
			b.tunnels.close()
			return fmt.Errorf("lb: shut down with %d requests unfinished: %w", left, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
