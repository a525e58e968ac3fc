package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

// Probe asks one backend whether it is well: nil means yes, an error says on one short line what
// is wrong. It must return soon after ctx is done, and must not panic. A Checker calls it
// concurrently for different backends, but never twice at a time for the same.
type Probe func(ctx context.Context, b *lb.Backend) error

// maxBody bounds what is read of a response.
const maxBody = 64 << 10

// HTTPConfig is what an HTTP probe asks and what it wants to hear.
type HTTPConfig struct {
	// Path is put behind the base path of the backend's URL. It begins with a slash and may have
	// a query. Empty means "/".
	Path string
	// Host is sent as the request's Host. Empty means the host of the backend's URL.
	Host string
	// Header is sent with each request. User-Agent defaults to "lb-health".
	Header http.Header

	// MinStatus and MaxStatus bound the statuses that pass. Zero means 200 and 299. Redirects
	// are not followed: they pass only if their own status does.
	MinStatus, MaxStatus int
	// Body must match somewhere in the first 64 KiB of the response's body; more is never read.
	// Nil means that any body passes that does not break off.
	Body *regexp.Regexp
	// MaxLatency bounds the time until the body was read. Zero means that only the Checker's
	// Timeout does.
	MaxLatency time.Duration

	// Transport reaches the backends. Nil means a transport of its own that makes a new connection
	// for each probe, so that probes prove that connections can be made.
	Transport http.RoundTripper
}

// HTTP returns a Probe that sends a GET to a backend, by the protocol that the scheme of its URL
// names, or an error that names every field that is wrong.
func HTTP(cfg HTTPConfig) (Probe, error) {
	below, err := parsePath(cmp.Or(cfg.Path, "/"))
	p := httpProbe{cfg: cfg, below: below, fresh: cfg.Transport == nil}
	p.cfg.MinStatus = cmp.Or(cfg.MinStatus, http.StatusOK)
	p.cfg.MaxStatus = cmp.Or(cfg.MaxStatus, max(299, p.cfg.MinStatus))
	if err := errors.Join(append(p.cfg.faults(), err)...); err != nil {
		return nil, err
	}
	p.cfg.Header = cfg.Header.Clone()
	if p.cfg.Header == nil {
		p.cfg.Header = make(http.Header)
	}
	if p.cfg.Header["User-Agent"] == nil {
		p.cfg.Header.Set("User-Agent", "lb-health")
	}
	if p.fresh {
		p.cfg.Transport = transport.New(transport.Config{})
	}
	return p.ask, nil
}

// parsePath checks a path that may have a query.
func parsePath(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || u.Fragment != "" {
		return nil, fmt.Errorf("health: HTTPConfig.Path %q is not a path like /health", s)
	}
	return u, nil
}

// faults lists what is wrong with an HTTPConfig, each with its cure.
func (cfg HTTPConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("health: HTTPConfig."+format, args...))
		}
	}
	add(cfg.MinStatus < 200 || cfg.MaxStatus > 599 || cfg.MinStatus > cfg.MaxStatus,
		"MinStatus %d and MaxStatus %d are not a range between 200 and 599", cfg.MinStatus, cfg.MaxStatus)
	add(cfg.MaxLatency < 0, "MaxLatency %v is negative; zero means no bound", cfg.MaxLatency)
	add(strings.ContainsFunc(cfg.Host, func(r rune) bool { return r <= ' ' || r == '/' || r > '~' }), "Host %q is not a host name", cfg.Host)
	for name, values := range cfg.Header {
		add(!isToken(name), "Header: %q is not the name of a header", name)
		add(http.CanonicalHeaderKey(name) == "Host", "Header has %q; use HTTPConfig.Host", name)
		for _, v := range values {
			add(strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }), "Header: the value of %q has a control character", name)
		}
	}
	return errs
}

// isToken follows RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// httpProbe is a checked HTTPConfig.
type httpProbe struct {
	cfg   HTTPConfig
	below *url.URL // path and query to ask for
	fresh bool     // a new connection for each probe
}

// ask is the Probe.
func (p httpProbe) ask(ctx context.Context, b *lb.Backend) error {
	start := time.Now()
	resp, err := p.cfg.Transport.RoundTrip(p.request(ctx, b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if s := resp.StatusCode; s < p.cfg.MinStatus || s > p.cfg.MaxStatus {
		return fmt.Errorf("answered %d, want %d to %d", s, p.cfg.MinStatus, p.cfg.MaxStatus)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("answered %d, then the body broke off: %w", resp.StatusCode, err)
	}
	if p.cfg.Body != nil && !p.cfg.Body.Match(body) {
		return fmt.Errorf("answered %d with a body that does not match %q", resp.StatusCode, p.cfg.Body)
	}
	if took := time.Since(start); p.cfg.MaxLatency > 0 && took > p.cfg.MaxLatency {
		return late{took.Round(time.Millisecond), p.cfg.MaxLatency}
	}
	return nil
}

// late is an answer that took longer than it may.
type late struct{ took, most time.Duration }

func (l late) Error() string { return fmt.Sprintf("answered after %v, more than %v", l.took, l.most) }

// isLate reports whether a check failed by nothing but the time that its answer took.
func isLate(err error) bool {
	_, ok := errors.AsType[late](err)
	return ok
}

// request returns the question to b. A socket's path is no URL that could be parsed, so the
// request is made by hand.
func (p httpProbe) request(ctx context.Context, b *lb.Backend) *http.Request {
	if name := b.Spec().ServerName; name != "" {
		ctx = transport.WithServerName(ctx, name)
	}
	req := &http.Request{
		Method: http.MethodGet,
		URL:    join(b.URL(), p.below),
		Host:   p.cfg.Host,
		Header: p.cfg.Header.Clone(),
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Close: p.fresh,
	}
	return req.WithContext(ctx)
}

// join returns the URL of a path below that of base.
func join(base, below *url.URL) *url.URL {
	u := *base
	u.Path = strings.TrimSuffix(base.Path, "/") + below.Path
	u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + below.EscapedPath()
	u.RawQuery = below.RawQuery
	return &u
}

// TCP is a Probe that makes a connection to a backend, or to its socket, and closes it at once.
// That proves that its system listens, not that the program behind it still answers.
func TCP(ctx context.Context, b *lb.Backend) error {
	network, address := "tcp", b.URL().Host
	switch u := b.URL(); {
	case u.Scheme == "unix":
		network = "unix"
	case u.Port() == "":
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		address = net.JoinHostPort(u.Hostname(), port)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
