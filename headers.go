package lb

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// forwarding reports whether a header says who the client is, to a backend that may take an
// underscore for a dash, and how it is spelt.
func forwarding(name string) (plain string, owned bool) {
	if len(name) < len("Forwarded") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' {
		return "", false
	}
	plain = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return plain, plain == "Forwarded" || plain == "X-Real-Ip" || strings.HasPrefix(plain, "X-Forwarded-")
}

// hopByHop reports whether a header is meant for one connection only: RFC 9110, section 7.6.1.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// removeHopByHop removes what is meant for this connection only, and what Connection names.
func removeHopByHop(h http.Header) {
	dropNamed(h)
	for key := range h {
		if hopByHop(key) {
			delete(h, key)
		}
	}
}

// namesHops reports whether Connection names fields that are not hop-by-hop by themselves.
func namesHops(lines []string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "close", "keep-alive", "upgrade", "te":
			default:
				return true
			}
		}
	}
	return false
}

// dropNamed removes the fields that Connection names.
func dropNamed(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "connection") {
				h.Del(name)
			}
		}
	}
}

// listed reports whether a comma-separated list has an element, without regard to case.
func listed(lines []string, element string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(name), element) {
				return true
			}
		}
	}
	return false
}

// wantsTrailers reports whether the client takes trailers, which is worth telling a backend.
func wantsTrailers(h http.Header) bool { return listed(h["Te"], "trailers") }

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

// pathBelow is join for the engine: the target of the request line. If nobody has changed the
// path since it came, it is what came.
func pathBelow(base *url.URL, r *http.Request) string {
	u := r.URL
	if base.Path != "" && base.Path != "/" {
		return join(base, u).RequestURI()
	}
	if u.RawPath == "" && !u.ForceQuery && strings.HasPrefix(r.RequestURI, u.Path) {
		switch rest := r.RequestURI[len(u.Path):]; {
		case rest == "" && u.RawQuery == "" && u.Path != "":
			return r.RequestURI
		case rest != "" && rest[0] == '?' && rest[1:] == u.RawQuery && u.Path != "":
			return r.RequestURI
		}
	}
	out := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	return out.RequestURI()
}

// hostOf is the Host that belongs to a backend's URL.
func hostOf(b *Backend) string {
	if b.url.Scheme == "unix" {
		return "localhost"
	}
	return b.url.Host
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
