package lb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-loadbalancer/lb/internal/live"
)

// maxID bounds the length of an ID, which goes into metric labels, logs and shared stores.
const maxID = 128

// Spec describes a backend, as configuration or discovery knows it.
type Spec struct {
	// ID names the backend in its pool: at most 128 bytes of printable text. It defaults to URL.
	ID string
	// URL is scheme, host and an optional base path, which is put before each request's path.
	// Schemes are http, https, h2c (HTTP/2 without TLS) and unix (unix:///run/app.sock).
	URL string
	// Weight is the relative share of requests. Zero means 1; the most is 1,000,000.
	Weight int
	// MaxInFlight bounds the requests that are in flight at a time, exactly. Zero means no limit.
	MaxInFlight int
	// ServerName is what an https backend's certificate must be for. It defaults to URL's host.
	ServerName string
	// Labels are free-form facts: zone, region, version, track.
	Labels map[string]string
}

// URLs describes one default backend for each address.
func URLs(addrs ...string) []Spec {
	specs := make([]Spec, len(addrs))
	for i, a := range addrs {
		specs[i] = Spec{URL: a}
	}
	return specs
}

// Facts is a set of what is known about a backend. The zero value is a backend that is fit.
// Facts are independent of each other: a passing health check cannot end a drain.
type Facts uint16

const (
	Down     Facts = 1 << iota // fails its health checks
	Ejected                    // answers too badly
	Draining                   // finishes what it has and keeps its sessions; nothing new goes there
	Warming                    // has just come and gets less than its share
	Suspect                    // holds requests for too long without a word
	Resting                    // has asked for it, by Retry-After; a balancer says so, not the pool
)

// unfit are the facts that keep new requests away, unless too few backends are left.
const unfit = Down | Ejected | Suspect | Resting

// Has reports whether all of g are in f.
func (f Facts) Has(g Facts) bool { return f&g == g }

// Fit reports whether nothing in f keeps new requests away.
func (f Facts) Fit() bool { return f&(unfit|Draining) == 0 }

// String lists the facts, such as "down draining", or says "fit" for none.
func (f Facts) String() string {
	if f == 0 {
		return "fit"
	}
	var words []string
	for i, word := range []string{"down", "ejected", "draining", "warming", "suspect", "resting"} {
		if f&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// Load is what a backend was last seen to do, as a picker should read it: old observations have
// faded.
type Load struct {
	InFlight  int64         // requests being served now
	Latency   time.Duration // peak-sensitive average of the time to response headers; 0 if unknown
	ErrorRate float64       // moving share of failures, 0 to 1
}

// Tally counts what has become of a backend's requests, those of all balancers, since the pool first
// had it. The counts wrap around, so that only differences mean something.
type Tally struct {
	// Begun are requests that were sent there, or are about to be.
	Begun uint32
	// Ended are those of them that nothing is waited for any more: their answer has begun, or they
	// have failed or were given up. A request whose body is still being sent counts as ended from
	// the beginning, since it may be the backend that waits.
	Ended uint32
	// Answers are heads of answers that came.
	Answers uint32
}

// Waiting returns how many requests are waited for. While requests come and go, it may be seen to be
// too low, and below zero, but not too high.
func (t Tally) Waiting() int { return int(int32(t.Begun - t.Ended)) }

// Backend is one server as a [Snapshot] saw it. Its description and facts never change; its
// load is live and shared by every snapshot that has the backend.
type Backend struct {
	spec  Spec
	url   *url.URL
	facts Facts
	cause string
	load  *live.Load
}

// NewBackend returns a fit backend outside of any pool, or an error that names what is wrong.
// Nil gives it a load of its own. Package lbtest uses it; programs use [NewPool].
func NewBackend(s Spec, load *live.Load) (*Backend, error) {
	s.ID = cmp.Or(s.ID, s.URL)
	s.Weight = cmp.Or(s.Weight, 1)
	s.Labels = maps.Clone(s.Labels)
	if load == nil {
		load = new(live.Load)
	}
	var errs []error
	if err := checkID(s.ID); err != nil {
		errs = append(errs, err)
	}
	u, err := parseURL(s.URL)
	if err != nil {
		errs = append(errs, err)
	}
	if s.Weight < 0 || s.Weight > maxWeight {
		errs = append(errs, fmt.Errorf("weight %d is not between 1 and %d", s.Weight, maxWeight))
	}
	if s.MaxInFlight < 0 {
		errs = append(errs, fmt.Errorf("MaxInFlight %d is negative; zero means no limit", s.MaxInFlight))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("lb: backend %q: %w", shown(s.ID), errors.Join(errs...))
	}
	return &Backend{spec: s, url: u, load: load}, nil
}

// shown is an ID for people: one that is a URL shows no password.
func shown(id string) string {
	if u, err := url.Parse(id); err == nil && u.User != nil {
		return u.Redacted()
	}
	return id
}

// maxWeight keeps sums of weights far from overflow.
const maxWeight = 1_000_000

func checkID(id string) error {
	if len(id) > maxID {
		return fmt.Errorf("the ID has %d bytes, more than %d; set Spec.ID", len(id), maxID)
	}
	if !utf8.ValidString(id) {
		return errors.New("the ID is not UTF-8")
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return errors.New("the ID has a character that cannot be printed on one line")
		}
	}
	return nil
}

// parseURL checks a backend's address. The path of a unix socket becomes the URL's host.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL, which may hold a password
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, fmt.Errorf("url %q has a user, query or fragment; want scheme, host and path only", u.Redacted())
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || len(u.Path) < 2 {
			return nil, fmt.Errorf("url %q names no socket; want unix:///path/to/socket", s)
		}
		return &url.URL{Scheme: "unix", Host: u.Path}, nil
	case "http", "https", "h2c":
		if err := checkHost(u); err != nil {
			return nil, fmt.Errorf("url %q: %w", s, err)
		}
		return u, nil
	}
	return nil, fmt.Errorf("url %q is not like http://host:port; schemes are http, https, h2c and unix", s)
}

func checkHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	switch {
	case host == "":
		return errors.New("no host; want http://host:port")
	case strings.HasPrefix(u.Host, "["):
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
	case strings.ContainsAny(host, " ,<>\"\\^`{|}%"):
		return fmt.Errorf("host %q has a character that no host has", host)
	}
	if strings.HasSuffix(u.Host, ":") {
		return errors.New("the port is missing behind the colon")
	}
	if port == "" {
		return nil
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return fmt.Errorf("port %q is not between 1 and 65535", port)
	}
	return nil
}

// ID returns what names the backend in its pool.
func (b *Backend) ID() string { return b.spec.ID }

// URL returns where the backend is. It is only to be read. For a unix socket, scheme is unix
// and host is the socket's path.
func (b *Backend) URL() *url.URL { return b.url }

// Weight returns the configured share, at least 1.
func (b *Backend) Weight() int { return b.spec.Weight }

// MaxInFlight returns the limit of requests in flight, or zero for none.
func (b *Backend) MaxInFlight() int { return b.spec.MaxInFlight }

// Label returns a fact from Spec.Labels, or "".
func (b *Backend) Label(key string) string { return b.spec.Labels[key] }

// Spec returns the description, with its defaults filled in. Labels are a copy.
func (b *Backend) Spec() Spec {
	s := b.spec
	s.Labels = maps.Clone(s.Labels)
	return s
}

// Facts returns what the pool knew about the backend in this snapshot.
func (b *Backend) Facts() Facts { return b.facts }

// Cause returns what was said when the facts last changed, or "" if they never have.
func (b *Backend) Cause() string { return b.cause }

// InFlight returns how many requests the backend is serving now.
func (b *Backend) InFlight() int64 { return b.load.InFlight() }

// Latency returns the time to response headers: it follows a slower answer at once and faster
// ones over ten seconds. It is zero when no answer came yet.
func (b *Backend) Latency() time.Duration { return b.load.Latency() }

// ErrorRate returns the moving share of failed requests, 0 to 1; each counts for a tenth.
func (b *Backend) ErrorRate() float64 { return b.load.ErrorRate() }

// Load returns all three as a picker should see them at a time: latency and error rate fade
// with a time constant of ten seconds, so that a backend that nobody asks is forgiven.
func (b *Backend) Load(now time.Time) Load {
	var l Load
	l.InFlight, l.Latency, l.ErrorRate = b.load.At(now)
	return l
}

// Tally returns what has become of the requests so far. Requests that were begun when an earlier
// tally was made and are still waited for are at least earlier.Begun - now.Ended.
func (b *Backend) Tally() Tally {
	begun, ended, answers := b.load.Tally()
	return Tally{Begun: begun, Ended: ended, Answers: answers}
}

// Quantile returns within which time that share, 0 to 1, of the last good answers began, rounded up
// by at most an eighth, and how many answers that is drawn from: those of the last ten to twenty
// seconds, but none from before it was first called for the backend. With few answers the highest
// quantiles are the slowest of them, with none zero. From the first call on, each answer costs some
// nanoseconds more, and the backend two kilobytes. A call costs some hundred nanoseconds.
func (b *Backend) Quantile(now time.Time, share float64) (d time.Duration, answers int) {
	b.load.Track()
	d, n := b.load.Recent(now, share)
	return d, int(n)
}
