package session

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// CookieConfig describes a session cookie. The zero value works for one process.
type CookieConfig struct {
	// Name is the cookie's name. Empty means "lb_session". No backend may use the same one:
	// its cookie would take turns with ours at the client, and never come back to it.
	Name string
	// Path and Domain are the cookie's attributes. An empty Path means "/", an empty Domain the
	// host that the client asked.
	Path, Domain string
	// SameSite is the cookie's attribute. Zero means Lax.
	SameSite http.SameSite
	// Secure reports whether the cookie for this request's client may travel by TLS only. Nil
	// means that the request itself came by TLS. Behind a proxy that ends TLS, say so here.
	Secure func(*http.Request) bool
	// Keys sign cookies: the first one new cookies, and all of them are believed, so that a new
	// first key can be set while the old one still counts. Each has at least 32 random bytes.
	// Processes that serve the same clients need the same. None means a random key: then no
	// session survives the end of the process.
	Keys [][]byte
	// TTL is how long a cookie is believed after it was issued. One that is in use is issued
	// anew after half of that, so a session ends after TTL/2 to TTL without use. Zero means an
	// hour; the least is two seconds.
	TTL time.Duration
	// Pool is that of the balancer, by which a cookie remembers its backend. With nil it
	// remembers none, and all is up to Config.Sessions of the balancer.
	Pool lb.Pool
}

// Cookie is an lb.SessionKey that gives each client a signed cookie; see [NewCookie].
type Cookie struct {
	name   string
	cookie http.Cookie // what all have in common
	secure func(*http.Request) bool
	ttl    time.Duration
	keys   []*signer
	tags   *tags
}

// NewCookie returns a Cookie, or an error that names every wrong field.
func NewCookie(cfg CookieConfig) (*Cookie, error) {
	cfg.Name = cmp.Or(cfg.Name, "lb_session")
	cfg.TTL = cmp.Or(cfg.TTL, defaultTTL)
	cfg.Path = cmp.Or(cfg.Path, "/")
	cfg.SameSite = cmp.Or(cfg.SameSite, http.SameSiteLaxMode)
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	if cfg.Secure == nil {
		cfg.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if len(cfg.Keys) == 0 {
		key := make([]byte, minKey)
		rand.Read(key) // never fails
		cfg.Keys = [][]byte{key}
	}
	c := &Cookie{
		name:   cfg.Name,
		cookie: http.Cookie{Name: cfg.Name, Path: cfg.Path, Domain: cfg.Domain, SameSite: cfg.SameSite, HttpOnly: true},
		secure: cfg.Secure,
		ttl:    cfg.TTL,
	}
	for _, k := range cfg.Keys {
		c.keys = append(c.keys, newSigner(k))
	}
	c.tags = &tags{pool: cfg.Pool, keys: c.keys}
	return c, nil
}

const (
	minKey  = 32
	maxName = 64
	minTTL  = 2 * time.Second // times in cookies are whole seconds
)

// faults lists what is wrong, after the defaults were filled in.
func (cfg CookieConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("session: CookieConfig."+format, args...))
		}
	}
	add(len(cfg.Name) > maxName || !isToken(cfg.Name), "Name %q is not a word of at most %d letters, digits, - and _", cfg.Name, maxName)
	err := (&http.Cookie{Name: "x", Path: cfg.Path}).Valid()
	add(err != nil || cfg.Path[0] != '/', "Path %q is not the path of a cookie; begin it with / and leave out ;", cfg.Path)
	err = (&http.Cookie{Name: "x", Domain: cfg.Domain}).Valid()
	add(err != nil, "Domain %q is not a domain; write it like example.com", cfg.Domain)
	add(cfg.SameSite < http.SameSiteLaxMode || cfg.SameSite > http.SameSiteNoneMode, "SameSite %d is none of Lax, Strict and None", cfg.SameSite)
	for i, k := range cfg.Keys {
		add(len(k) < minKey, "Keys[%d] has %d bytes; make it of at least %d random ones", i, len(k), minKey)
	}
	add(cfg.TTL < minTTL, "TTL %v is less than %v; zero means %v", cfg.TTL, minTTL, defaultTTL)
	return errs
}

// isToken reports whether s may name a cookie or a header: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// Read returns the session of a request's cookie, as 22 characters, and the ID of the backend
// that it is bound to, unless that has left the pool. A cookie that is forged, malformed or too
// old is as good as none. It takes time in the length of the Cookie headers, and once after each
// change of the pool in the number of backends.
func (c *Cookie) Read(r *http.Request) (session, backend string) {
	now := time.Now()
	t, ok := c.find(r.Header, func(raw sealed) (ticket, bool) {
		t, ok := c.open(&raw)
		return t, ok && t.freshAt(now, c.ttl)
	})
	if !ok {
		return "", ""
	}
	return t.session(), c.tags.backend(t.tag)
}

// Write sets a cookie that binds session to backend, beside whatever cookies the backend sets
// itself. For session "" it makes a new one. It writes nothing if r carries a cookie that says
// the same and is not half its TTL old.
func (c *Cookie) Write(h http.Header, r *http.Request, session, backend string) {
	now := time.Now()
	next := ticket{tag: c.tags.of(backend), issued: now.Unix()}
	if !next.setSession(session) {
		next.id = newID()
	} else if old, ok := c.find(r.Header, func(raw sealed) (ticket, bool) {
		old := raw.ticket() // read and found signed before; a forged one deceives who sends it
		return old, old.id == next.id
	}); ok &&
		old.tag == next.tag && old.freshAt(now, c.ttl/2) {
		return
	}
	cookie := c.cookie
	cookie.Value = c.keys[0].seal(next)
	cookie.Secure = c.secure(r)
	h.Add("Set-Cookie", cookie.String())
}

func newID() (id [16]byte) {
	rand.Read(id[:]) // never fails
	return id
}

// StripCookie takes the cookie out of one line of cookies, and reports whether any are left.
func (c *Cookie) StripCookie(line string) (rest string, left bool) { return without(line, c.name) }

// Strip takes the cookie out of a request's headers and leaves all others as they are.
func (c *Cookie) Strip(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		if line, left := without(line, c.name); left {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// find returns the first ticket that is accepted. It looks at a few only: no client that means
// well sends more.
func (c *Cookie) find(h http.Header, accept func(sealed) (ticket, bool)) (t ticket, ok bool) {
	const most = 8
	checked := 0
	for _, line := range h["Cookie"] {
		for rest := line; rest != "" && checked < most; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			name, value, _ := strings.Cut(pair, "=")
			if trim(name) != c.name {
				continue
			}
			var raw sealed
			if value = trim(value); !raw.decode(value) {
				continue
			}
			checked++
			if t, ok = accept(raw); ok {
				return t, true
			}
		}
	}
	return ticket{}, false
}

// open returns the ticket in raw if one of our keys signed it.
func (c *Cookie) open(raw *sealed) (ticket, bool) {
	for _, k := range c.keys {
		if k.signed(raw) {
			return raw.ticket(), true
		}
	}
	return ticket{}, false
}

// without returns a line of cookies without those of a name, and whether any others are left.
func without(line, name string) (string, bool) {
	if !mentions(line, name) {
		return line, true
	}
	kept := make([]byte, 0, len(line))
	for pair := range strings.SplitSeq(line, ";") {
		if isNamed(pair, name) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, ';')
		} else {
			pair = strings.TrimLeft(pair, " \t")
		}
		kept = append(kept, pair...)
	}
	return string(kept), len(kept) > 0
}

// mentions reports whether one of a line's cookies has that name.
func mentions(line, name string) bool {
	for pair := range strings.SplitSeq(line, ";") {
		if isNamed(pair, name) {
			return true
		}
	}
	return false
}

func isNamed(pair, name string) bool {
	got, _, _ := strings.Cut(pair, "=")
	return trim(got) == name
}

func trim(s string) string { return strings.Trim(s, " \t") }

// encoding is how cookies and sessions are written.
var encoding = base64.RawURLEncoding.Strict()
