package lb

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newProxy returns what gives ServeHTTP a proxy's manners. It never arms a timer to flush:
// responses of unknown length and event streams are flushed with each write, which cannot race
// the trailers.
func (b *Balancer) newProxy() httputil.ReverseProxy {
	return httputil.ReverseProxy{
		Rewrite:    b.rewrite,
		BufferPool: new(buffers),
		ErrorLog:   slog.NewLogLogger(slog.DiscardHandler, 0), // observers are told instead
	}
}

// buffers are what bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get returns a buffer of 32 KiB.
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

// forward is send for the proxy: informational responses lose their hop-by-hop headers before
// it passes them on, and the request's trailers go along.
func (t *trip) forward(out *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		removeHopByHop(http.Header(h))
		return nil
	}}
	t.carry(out.Body)
	out.Trailer = t.req.Trailer // the proxy's copy is from before they came
	return t.send(out.WithContext(httptrace.WithClientTrace(out.Context(), trace)))
}

// arrive ends a trip of ServeHTTP, after the answer was written or broken off.
func (t *trip) arrive() {
	if t.answered != nil {
		t.answered.Close()
	}
	t.end(nil)
}

// answer has the client told of err, and notes what it was told.
func (t *trip) answer(w http.ResponseWriter, err error) {
	t.own, t.sum.Backend = true, nil
	rec := &statusRecorder{ResponseWriter: w}
	t.b.cfg.OnError(rec, t.req, err)
	_, t.sum.Reason = verdict(err)
	t.sum.Status, t.sum.Err = cmp.Or(rec.status, http.StatusOK), err
}

// oneContinue is for a request that waits for 100 Continue. The client gets it from the server when
// its body is first asked for, which is when the backend wants it: the backend's own would be a
// second one.
type oneContinue struct{ http.ResponseWriter }

func (w oneContinue) WriteHeader(status int) {
	if status != http.StatusContinue {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap is for http.ResponseController.
func (w oneContinue) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// statusRecorder remembers the status of an answer of our own.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if status >= 200 && r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer is what a client gets in place of a backend's response, unless Config.OnError says
// otherwise: a status text, and when to come again.
func answer(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := verdict(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	text := cmp.Or(http.StatusText(status), "Client Closed Request")
	http.Error(w, text, cmp.Or(status, http.StatusBadGateway))
}

// forwardable refuses what no proxy should pass on. A tunnel made by CONNECT would share its
// connection with other requests, PRI is the preface of HTTP/2, TRACE shows a client the headers
// that were added on the way, and * is no path.
func forwardable(r *http.Request) error {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace, "PRI":
		return fmt.Errorf("%w: %q", ErrMethod, r.Method)
	}
	if r.URL.Path == "*" && r.Method != http.MethodOptions {
		return fmt.Errorf("%w: %q for *", ErrMethod, r.Method)
	}
	return nil
}

// onlyAllowedUpgrades returns r without the wish to switch to any protocol that is not allowed:
// who does not speak it may ignore it, and must not pass it on.
func (b *Balancer) onlyAllowedUpgrades(r *http.Request) *http.Request {
	asked := r.Header["Upgrade"]
	if len(asked) == 0 {
		return r
	}
	allowed := func(protocol string) bool { return strings.EqualFold(protocol, strings.TrimSpace(asked[0])) }
	if len(asked) == 1 && slices.ContainsFunc(b.cfg.Upgrades, allowed) {
		return r
	}
	out := *r
	out.Header = r.Header.Clone()
	out.Header.Del("Upgrade")
	return &out
}

// switched reports an error for a response that switches to a protocol that out did not ask for.
func switched(resp *http.Response, out *http.Request) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	asked, got := out.Header.Get("Upgrade"), resp.Header.Get("Upgrade")
	if asked != "" && strings.EqualFold(asked, got) {
		return nil
	}
	resp.Body.Close()
	return fmt.Errorf("%w: to %q, asked for %q", errProtocol, got, asked)
}

// rewrite makes the headers ready that all attempts share: after the hop-by-hop ones have gone,
// those that say who the client is are set. What the client says itself goes in every spelling,
// unless a trusted proxy passed it on.
func (b *Balancer) rewrite(p *httputil.ProxyRequest) {
	out, peer := p.Out, clientip.Peer(p.In)
	trusted := b.trusted.Trust(peer)
	for name := range p.In.Header {
		if plain, owned := forwarding(name); owned && (!trusted || plain != name) {
			delete(out.Header, name)
		} else if owned {
			out.Header[name] = p.In.Header[name]
		}
	}
	setForwarded(out.Header, p.In, peer)
	if b.strip != nil {
		b.strip(out.Header)
	}
	out.URL.RawQuery = p.In.URL.RawQuery // nobody here reads it, so nothing is cleaned from it
}

// forwarding reports whether a header says who the client is, to a backend that may take an
// underscore for a dash, and how it is spelt.
func forwarding(name string) (plain string, owned bool) {
	plain = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return plain, plain == "Forwarded" || plain == "X-Real-Ip" || strings.HasPrefix(plain, "X-Forwarded-")
}

// setForwarded adds the peer to the chain of hops, and says which host and scheme it asked for,
// unless a trusted proxy has said so already.
func setForwarded(h http.Header, in *http.Request, peer netip.Addr) {
	scheme := "http"
	if in.TLS != nil {
		scheme = "https"
	}
	hop := "unknown"
	if peer.IsValid() {
		hop = peer.String()
		h.Set("X-Forwarded-For", join2(h["X-Forwarded-For"], hop))
	}
	if _, ok := h["X-Forwarded-Host"]; !ok {
		h.Set("X-Forwarded-Host", in.Host)
	}
	if _, ok := h["X-Forwarded-Proto"]; !ok {
		h.Set("X-Forwarded-Proto", scheme)
	}
	if peer.Is6() {
		hop = `"[` + hop + `]"`
	}
	element := "for=" + hop + ";proto=" + scheme
	if host := in.Host; host != "" && !strings.ContainsAny(host, "\"\\") {
		element = "for=" + hop + `;host="` + host + `";proto=` + scheme
	}
	h.Set("Forwarded", join2(h["Forwarded"], element))
}

// join2 adds an element to a list that may stand on several lines.
func join2(lines []string, last string) string {
	if len(lines) == 0 {
		return last
	}
	return strings.Join(lines, ", ") + ", " + last
}

// join returns where a request goes: below the backend's base URL, with the path and query as
// the client wrote them.
func join(base, u *url.URL) *url.URL {
	out := *u
	out.Scheme, out.Host, out.User, out.Opaque, out.Fragment, out.RawFragment = base.Scheme, base.Host, nil, "", "", ""
	if base.Path == "" || base.Path == "/" {
		return &out
	}
	out.Path = strings.TrimSuffix(base.Path, "/") + "/" + strings.TrimPrefix(u.Path, "/")
	out.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + "/" + strings.TrimPrefix(u.EscapedPath(), "/")
	return &out
}

// removeHopByHop removes what is meant for this connection only: RFC 9110, section 7.6.1.
func removeHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		delete(h, name)
	}
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	const special = "!#$%&'*+-.^_`|~"
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(special, c) >= 0) {
			return false
		}
	}
	return s != ""
}
