package h1

import (
	"net/http"
	"strings"
)

// meaning says what a field's name is to this package.
type meaning uint8

const (
	plain meaning = iota
	host
	contentLength
	transferEncoding
	connection
	upgrade
	keepAlive
	trailer
	otherHop // for one connection only, and nothing else is to know about it
)

// hop reports whether fields of this name are for one connection only.
func (m meaning) hop() bool {
	switch m {
	case transferEncoding, connection, upgrade, keepAlive, otherHop:
		return true
	}
	return false
}

// meaningOf says what a name in canonical form means.
func meaningOf(key string) meaning {
	switch key {
	case "Host":
		return host
	case "Content-Length":
		return contentLength
	case "Transfer-Encoding":
		return transferEncoding
	case "Connection":
		return connection
	case "Upgrade":
		return upgrade
	case "Keep-Alive":
		return keepAlive
	case "Trailer":
		return trailer
	case "Te", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization":
		return otherHop
	}
	return plain
}

// nameOf returns the canonical form of a name. That of a frequent one is shared, so that it keeps
// nothing else in memory.
func nameOf(name string) string {
	key := http.CanonicalHeaderKey(name)
	if shared := common(key); shared != "" {
		return shared
	}
	return key
}

// common returns the shared copy of a frequent name in canonical form, or "".
func common(name string) string {
	switch name {
	case "Accept-Ranges":
		return "Accept-Ranges"
	case "Access-Control-Allow-Origin":
		return "Access-Control-Allow-Origin"
	case "Age":
		return "Age"
	case "Cache-Control":
		return "Cache-Control"
	case "Connection":
		return "Connection"
	case "Content-Encoding":
		return "Content-Encoding"
	case "Content-Length":
		return "Content-Length"
	case "Content-Security-Policy":
		return "Content-Security-Policy"
	case "Content-Type":
		return "Content-Type"
	case "Date":
		return "Date"
	case "Etag":
		return "Etag"
	case "Expires":
		return "Expires"
	case "Keep-Alive":
		return "Keep-Alive"
	case "Last-Modified":
		return "Last-Modified"
	case "Location":
		return "Location"
	case "Server":
		return "Server"
	case "Set-Cookie":
		return "Set-Cookie"
	case "Strict-Transport-Security":
		return "Strict-Transport-Security"
	case "Trailer":
		return "Trailer"
	case "Transfer-Encoding":
		return "Transfer-Encoding"
	case "Upgrade":
		return "Upgrade"
	case "Vary":
		return "Vary"
	case "X-Content-Type-Options":
		return "X-Content-Type-Options"
	case "X-Frame-Options":
		return "X-Frame-Options"
	case "X-Request-Id":
		return "X-Request-Id"
	}
	return ""
}

// mayTrail reports whether a field of this canonical name may come after a body: what frames or
// routes a message, authenticates, says how to read the content or steers caches may not (RFC 9110
// section 6.5.1).
func mayTrail(key string) bool {
	switch key {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Keep-Alive", "Trailer",
		"Te", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Authorization", "Www-Authenticate", "Cookie", "Set-Cookie", "Realm",
		"Cache-Control", "Pragma", "Age", "Expires", "Date", "Location", "Retry-After", "Vary", "Warning",
		"Content-Encoding", "Content-Range", "Content-Type",
		"Expect", "Max-Forwards", "Range":
		return false
	}
	return !strings.HasPrefix(key, "If-")
}

// maxOptions bounds the names in Connection, since each is compared with every field.
const maxOptions = 16

// options is what Connection says.
type options struct {
	close, keepAlive, upgrade bool

	n     int
	names [maxOptions]string // of further fields that are for this connection only
}

// add reads one value of Connection. It reports false when there are too many names.
func (o *options) add(value string) bool {
	for more := true; more; {
		var option string
		option, value, more = strings.Cut(value, ",")
		option = trim(option)
		switch {
		case option == "":
		case equalFold(option, "close"):
			o.close = true
		case equalFold(option, "keep-alive"):
			o.keepAlive = true
		case equalFold(option, "upgrade"):
			o.upgrade = true
		case o.has(option):
		case o.n == maxOptions:
			return false
		default:
			o.names[o.n] = option
			o.n++
		}
	}
	return true
}

// has reports whether Connection names the field.
func (o *options) has(key string) bool {
	for _, name := range o.names[:o.n] {
		if equalFold(name, key) {
			return true
		}
	}
	return false
}
