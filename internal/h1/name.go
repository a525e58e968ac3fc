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

// known returns the shared copy of a common name in canonical form, and what it means; "" for any
// other name. Every name with a meaning is here.
func known(name string) (string, meaning) {
	switch name {
	case "Host":
		return "Host", host
	case "Content-Length":
		return "Content-Length", contentLength
	case "Transfer-Encoding":
		return "Transfer-Encoding", transferEncoding
	case "Connection":
		return "Connection", connection
	case "Upgrade":
		return "Upgrade", upgrade
	case "Keep-Alive":
		return "Keep-Alive", keepAlive
	case "Trailer":
		return "Trailer", trailer
	case "Te":
		return "Te", otherHop
	case "Proxy-Connection":
		return "Proxy-Connection", otherHop
	}
	return common(name), plain
}

// common returns the shared copy of a frequent name without a meaning, or "".
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
	case "Content-Encoding":
		return "Content-Encoding"
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

// nameOf returns the canonical form of a token, and what it means.
func nameOf(name string) (string, meaning) {
	if key, m := known(name); key != "" {
		return key, m
	}
	if canonical(name) {
		return name, plain
	}
	name = http.CanonicalHeaderKey(name)
	if key, m := known(name); key != "" {
		return key, m
	}
	return name, plain
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
