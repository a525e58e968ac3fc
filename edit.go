package lb

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-loadbalancer/lb/transport"
)

// edit is what a request's head becomes on its way to a backend. It is made once, and nothing of
// the client's request is changed or copied, as long as nobody wants to change more.
type edit struct {
	t       *trip
	header  http.Header // the client's own, or a copy
	omit    func(key string) bool
	upgrade string
	count   int
	extra   [8]transport.Pair // what is set, after what is omitted
}

// outgoing is a request for the engine, with the context of its attempt.
type outgoing struct {
	transport.Request
	ctx context.Context
}

// prepare makes the edit: hop-by-hop fields go, then those that say who the client is are set.
// What the client says itself goes in every spelling, unless a trusted proxy passed it on.
func (e *edit) prepare(t *trip) {
	in := t.req
	e.t, e.header, e.omit = t, in.Header, omittedFromStrangers
	if t.info.Trusted {
		e.omit = omittedFromProxies
	}
	e.upgrade = t.b.allowedUpgrade(in)
	if namesHops(in.Header["Connection"]) {
		e.header = in.Header.Clone()
		dropNamed(e.header)
	}
	e.strip()
	e.forwarded(t.peer)
}

// strip takes the session key out, by leaving the cookies out and setting what is left of them if
// that is all there is to it.
func (e *edit) strip() {
	b, lines := e.t.b, e.header["Cookie"]
	switch {
	case b.strip == nil:
	case b.stripLine == nil || len(lines) > 3:
		e.header = e.header.Clone()
		b.strip(e.header)
	case len(lines) > 0:
		for _, line := range lines {
			if rest, left := b.stripLine(line); left {
				e.set("Cookie", rest)
			}
		}
		e.omit = withoutCookies(e.t.info.Trusted)
	}
}

// withoutCookies returns an omit that leaves cookies out, too.
func withoutCookies(trusted bool) func(string) bool {
	if trusted {
		return func(key string) bool { return key == "Cookie" || omittedFromProxies(key) }
	}
	return func(key string) bool { return key == "Cookie" || omittedFromStrangers(key) }
}

func (e *edit) set(key, value string) {
	e.extra[e.count] = transport.Pair{Key: key, Value: value}
	e.count++
}

// forwarded adds the peer to the chain of hops, and says which host and scheme it asked for,
// unless a trusted proxy has said so already.
func (e *edit) forwarded(peer netip.Addr) {
	in, h := e.t.req, e.t.req.Header
	if !e.t.info.Trusted {
		h = nil
	}
	scheme, hop := "http", "unknown"
	if in.TLS != nil {
		scheme = "https"
	}
	if peer.IsValid() {
		hop = peer.String()
		e.set("X-Forwarded-For", join2(h["X-Forwarded-For"], hop))
	}
	e.set("X-Forwarded-Host", cmp.Or(h.Get("X-Forwarded-Host"), in.Host))
	e.set("X-Forwarded-Proto", cmp.Or(h.Get("X-Forwarded-Proto"), scheme))
	if peer.Is6() {
		hop = `"[` + hop + `]"`
	}
	element := "for=" + hop + ";proto=" + scheme
	if host := in.Host; host != "" && !strings.ContainsAny(host, "\"\\") {
		element = "for=" + hop + `;host="` + host + `";proto=` + scheme
	}
	e.set("Forwarded", join2(h["Forwarded"], element))
}

// omittedFromStrangers tells which fields of a client nobody vouches for are not passed on.
func omittedFromStrangers(key string) bool {
	_, owned := forwarding(key)
	return owned
}

// omittedFromProxies tells the same of a trusted proxy: what is set anew, and odd spellings.
func omittedFromProxies(key string) bool {
	plain, owned := forwarding(key)
	if !owned {
		return false
	}
	switch plain {
	case "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded":
		return true
	}
	return plain != key
}

// request is the edit for the engine.
func (e *edit) request(a *attempt) *outgoing {
	t, in := e.t, e.t.req
	out := &t.out
	if a.side != nil {
		out = &a.side.out
	}
	*out = outgoing{ctx: a.within(in.Context())}
	out.Scheme, out.Addr, out.ServerName = a.backend.url.Scheme, a.backend.url.Host, a.backend.spec.ServerName
	out.Method, out.Target, out.Host = in.Method, pathBelow(a.backend.url, in), in.Host
	if t.b.cfg.RewriteHost {
		out.Host = hostOf(a.backend)
	}
	out.Header, out.Omit, out.Extra = e.header, e.omit, e.extra[:e.count]
	out.Upgrade, out.Trailers = e.upgrade, wantsTrailers(in.Header)
	out.Now = a.start
	if a.side == nil { // of two, nobody knows yet whose the client should see
		out.Informational = t.tellInformational
	}
	out.Idempotent = t.idempotent() && t.upload == nil
	e.carry(a, &out.Request)
	out.ctx, out.Header = a.observed(out.ctx, out.Header)
	return out
}

// carry adds the body.
func (e *edit) carry(a *attempt, out *transport.Request) {
	t, in := e.t, e.t.req
	switch {
	case t.small != nil:
		out.Body, out.Length = a.readSmall(), int64(len(t.small))
	case t.upload != nil:
		out.Body, out.Length, out.BodyUnblock = t.upload.newPass(), in.ContentLength, t.unblock
		out.Detached = t.upload.most.Load() > 0
		out.Expect = in.Header.Get("Expect") != ""
		if len(in.Trailer) > 0 {
			out.Length = -1
			out.Trailer = func() http.Header { return in.Trailer }
			for name := range in.Trailer {
				if !e.omit(name) {
					out.TrailerNames = append(out.TrailerNames, name)
				}
			}
		}
	}
}

// readSmall returns what reads a body that was read before.
func (a *attempt) readSmall() *bytes.Reader {
	r := &a.trip.reader
	if a.side != nil {
		r = &a.side.reader
	}
	r.Reset(a.trip.small)
	return r
}

// cleanTrailers takes out of a request's trailers what says who the client is.
func (t *trip) cleanTrailers() {
	for name := range t.req.Trailer {
		if _, owned := forwarding(name); owned {
			delete(t.req.Trailer, name)
		}
	}
}

// httpRequest is the edit for any other transport.
func (e *edit) httpRequest(a *attempt) *http.Request {
	t, in := e.t, e.t.req
	out := &http.Request{
		Method: in.Method, URL: join(a.backend.url, in.URL), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: e.merged(), ContentLength: in.ContentLength, Trailer: in.Trailer,
	}
	if !t.b.cfg.RewriteHost {
		out.Host = in.Host
	}
	switch {
	case t.small != nil:
		out.Body = upReader{a.readSmall()}
	case t.upload != nil:
		out.Body = t.upload.newPass()
	default:
		out.ContentLength = 0
	}
	ctx := a.within(in.Context())
	ctx, out.Header = a.observed(ctx, out.Header)
	if name := a.backend.spec.ServerName; name != "" {
		ctx = transport.WithServerName(ctx, name)
	}
	return out.WithContext(ctx)
}

// merged makes all of the edit into headers of its own.
func (e *edit) merged() http.Header {
	h := make(http.Header, len(e.header)+e.count)
	for key, values := range e.header {
		if !e.omit(key) && !hopByHop(key) {
			h[key] = values
		}
	}
	for _, p := range e.extra[:e.count] {
		h[p.Key] = append(h[p.Key], p.Value)
	}
	if e.upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{e.upgrade}
	}
	if wantsTrailers(e.t.req.Header) {
		h["Te"] = []string{"trailers"}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // none was sent, so none is made up
	}
	return h
}

// observed lets observers add to the headers of one attempt, which then are its own.
func (a *attempt) observed(ctx context.Context, h http.Header) (context.Context, http.Header) {
	t := a.trip
	if !t.b.observers.addHeaders() {
		return ctx, h
	}
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	info := AttemptInfo{Request: t.req, Backend: a.backend, Attempt: a.n, Session: t.session}
	ctx = t.b.observers.attemptStart(ctx, info, h)
	a.result.Request = t.req.WithContext(ctx)
	return ctx, h
}

// allowedUpgrade returns the protocol that a request asks to switch to, or "" if that is not
// allowed: who does not speak it may ignore it, and must not pass it on.
func (b *Balancer) allowedUpgrade(r *http.Request) string {
	asked := r.Header["Upgrade"]
	if len(asked) != 1 || !listed(r.Header["Connection"], "upgrade") {
		return ""
	}
	protocol := strings.TrimSpace(asked[0])
	if slices.ContainsFunc(b.cfg.Upgrades, func(allowed string) bool { return strings.EqualFold(allowed, protocol) }) {
		return protocol
	}
	return ""
}
