package h1

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Head is the parsed head of a response. It may be reused: [Head.Parse] overwrites all of it.
type Head struct {
	Minor     int           // of HTTP/1.0 or HTTP/1.1
	Status    int           // 100 to 999
	Fields    []Field       // in order, hop-by-hop ones included and marked; valid until the next Parse. Of equal Content-Lengths only the first is here
	Length    int64         // bytes of body; -1: until the connection's end, or chunked; 0 for HEAD, 1xx, 204 and 304 whatever the fields say
	Declared  int64         // what Content-Length says, -1 without one
	Chunked   bool          // the body is chunked; Length is -1 then
	Close     bool          // the connection must not be used for another request; always so after 101
	Upgrade   string        // the value of Upgrade if Connection says so, else ""
	KeepAlive time.Duration // Keep-Alive: timeout=N, or 0

	options  options
	upgrade  string // all values of Upgrade
	coded    bool   // there was a Transfer-Encoding
	trailers bool   // Trailer announces a field that frames the message
}

// Parse reads the one head at the beginning of buf, which answers a request with this method; n
// says how many bytes it took. While n is zero without an error more bytes are needed: call again
// with all of them. cache may be nil; else it has seen the earlier heads of this connection, and
// a head whose lines are all in it costs no allocation. Every call looks at buf from the beginning.
//
// The error is [ErrTooLarge] or an [*Error]; the connection is of no use then. Parse knows nothing
// of CONNECT, whose answers have another framing, and [AppendRequest] does not send it.
func (h *Head) Parse(buf []byte, method string, limits Limits, cache *Cache) (n int, err error) {
	limits = limits.orDefault()
	*h = Head{Fields: h.Fields[:0], Length: -1, Declared: -1}
	n, err = headEnd(buf, limits.Bytes)
	if n == 0 || err != nil {
		return 0, err
	}
	pos, err := h.statusLine(buf[:n])
	if err != nil {
		return 0, err
	}
	for i := 0; pos < n-2; i++ {
		if i == limits.Fields {
			return 0, ErrTooLarge
		}
		l := cache.slot(i)
		if l == nil || !l.begins(buf[pos:n]) {
			fresh, err := parseLine(buf[pos:n])
			if err != nil {
				return 0, err
			}
			if l != nil && len(fresh.raw) <= maxLine {
				*l = fresh
			}
			l = &fresh
		}
		if err := h.add(l); err != nil {
			return 0, err
		}
		pos += len(l.raw)
	}
	if err := h.frame(method); err != nil {
		return 0, err
	}
	return n, nil
}

// headEnd returns the length of the head at the beginning of b, or 0 if it is not whole yet.
func headEnd(b []byte, limit int) (int, error) {
	const version = "HTTP/1."
	if got := b[:min(len(b), len(version))]; string(got) != version[:len(got)] {
		return 0, malformed("no answer of HTTP/1.0 or 1.1")
	}
	b = b[:min(len(b), limit)]
	if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
		return end + 4, nil
	}
	for rest := b; ; { // it ends with rest
		lf := bytes.IndexByte(rest, '\n')
		if lf == 0 || lf > 0 && rest[lf-1] != '\r' {
			return 0, malformed("a line does not end with CRLF")
		}
		if lf < 0 {
			break
		}
		rest = rest[lf+1:]
	}
	if len(b) == limit {
		return 0, ErrTooLarge
	}
	return 0, nil
}

// statusLine reads the first line of a whole head that begins with "HTTP/1.", and returns its
// length. The reason may be missing, and its space, too: many backends leave them out.
func (h *Head) statusLine(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < len("HTTP/1.1 200\r") || b[end-1] != '\r' {
		return 0, malformed("the status line is not one")
	}
	minor, space, code, reason := b[7], b[8], b[9:12], b[12:end-1]
	if minor != '0' && minor != '1' || space != ' ' {
		return 0, malformed("the version is not HTTP/1.0 or 1.1")
	}
	h.Minor = int(minor - '0')
	for _, c := range code {
		if c < '0' || c > '9' {
			return 0, malformed("the status is not three digits")
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	if h.Status < 100 {
		return 0, malformed("the status is below 100")
	}
	if len(reason) > 0 && (reason[0] != ' ' || !validValue(reason)) {
		return 0, malformed("the status line is not one")
	}
	return end + 1, nil
}

// add takes in one field.
func (h *Head) add(l *line) error {
	switch l.meaning {
	case contentLength:
		if h.Declared >= 0 {
			return h.again(l.value)
		}
		n, ok := parseLength(l.value)
		if !ok {
			return malformed("Content-Length is not a number")
		}
		h.Declared = n
	case transferEncoding:
		if h.coded || !equalFold(l.value, "chunked") {
			return malformed("Transfer-Encoding is not chunked alone")
		}
		h.coded = true
	case connection:
		if !h.options.add(l.value) {
			return malformed("Connection names too many fields")
		}
	case upgrade:
		if h.upgrade != "" {
			h.upgrade += ", "
		}
		h.upgrade += l.value
	case keepAlive:
		h.KeepAlive = parseKeepAlive(l.value)
	case trailer:
		h.trailers = h.trailers || framesTrailer(l.value)
	}
	h.Fields = append(h.Fields, Field{Key: l.key, Value: l.value, Hop: l.meaning.hop()})
	return nil
}

// again judges a second Content-Length, which is left out when it says the same.
func (h *Head) again(value string) error {
	for i := range h.Fields {
		if h.Fields[i].Key == "Content-Length" && h.Fields[i].Value != value {
			return malformed("two Content-Lengths differ")
		}
	}
	return nil
}

// frame derives how the body is framed, and what Connection says of the fields (RFC 9112 section
// 6.3, 9.3).
func (h *Head) frame(method string) error {
	switch {
	case h.coded && h.Declared >= 0:
		return malformed("Content-Length beside Transfer-Encoding")
	case h.coded && h.Minor == 0:
		return malformed("Transfer-Encoding with HTTP/1.0")
	case h.coded && h.trailers:
		return malformed("Trailer announces a field that frames the message")
	}
	o := &h.options
	h.Close = o.close || h.Minor == 0 && !o.keepAlive || h.Status == http.StatusSwitchingProtocols
	if o.upgrade {
		h.Upgrade = h.upgrade
	}
	empty := h.Status < 200 || h.Status == http.StatusNoContent
	switch {
	case empty:
		// RFC 9112 forbids both here: who sends them may send a body as well.
		h.Length, h.Close = 0, h.Close || h.coded || h.Declared > 0
	case method == http.MethodHead || h.Status == http.StatusNotModified:
		h.Length = 0
	case h.coded:
		h.Chunked = true
	case h.Declared >= 0:
		h.Length = h.Declared
	default:
		h.Close = true
	}
	if o.n > 0 {
		h.mark()
	}
	return nil
}

// mark marks the fields that Connection names. Content-Length frames the message whatever
// Connection says, so it passes on.
func (h *Head) mark() {
	for i := range h.Fields {
		f := &h.Fields[i]
		f.Hop = f.Hop || f.Key != "Content-Length" && h.options.has(f.Key)
	}
}

// AddTo adds the end-to-end fields to dst, which must not be nil. All values of a call stand in
// one slice of strings, which belongs to dst from then on. Only a name that comes again after
// other names, or that dst has already, costs further allocations.
func (h *Head) AddTo(dst http.Header) {
	values := make([]string, 0, len(h.Fields))
	last, from := "", 0 // the name before, and where its values begin
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Hop {
			continue
		}
		if old, again := dst[f.Key]; again && f.Key != last {
			dst[f.Key] = append(old, f.Value)
			continue
		}
		if f.Key != last {
			last, from = f.Key, len(values)
		}
		values = append(values, f.Value)
		dst[f.Key] = values[from:len(values):len(values)]
	}
}

// parseLength reads digits of at most 63 bits.
func parseLength(s string) (int64, bool) {
	var n int64
	for i := 0; i < len(s); i++ {
		d := int64(s[i] - '0')
		if d > 9 || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}

// parseKeepAlive reads timeout=N, in seconds. A day is as good as more.
func parseKeepAlive(value string) time.Duration {
	for more := true; more; {
		var param string
		param, value, more = strings.Cut(value, ",")
		name, seconds, _ := strings.Cut(trim(param), "=")
		if !equalFold(trim(name), "timeout") {
			continue
		}
		if n, err := strconv.ParseUint(trim(seconds), 10, 31); err == nil {
			return min(time.Duration(n)*time.Second, 24*time.Hour)
		}
	}
	return 0
}

// framesTrailer reports whether Trailer announces what must never trail.
func framesTrailer(value string) bool {
	for more := true; more; {
		var name string
		name, value, more = strings.Cut(value, ",")
		switch meaningOf(nameOf(trim(name))) {
		case transferEncoding, trailer, contentLength:
			return true
		}
	}
	return false
}
