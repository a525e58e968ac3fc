package h1

import (
	"fmt"
	"net/http"
	"strconv"
)

// Request describes the head of a request. It is only read.
type Request struct {
	Method       string
	Target       string                // as on the wire: path and query, or "*" for OPTIONS
	Host         string                // may be empty
	Header       http.Header           // without what frames the message and what is for one connection only: that is left out
	Omit         func(key string) bool // further fields of Header to leave out, by canonical name; nil: none
	Extra        []Pair                // fields after Header's; their keys are written as they are
	Length       int64                 // above 0: Content-Length; 0: no body, which POST, PUT and PATCH say; -1: chunked
	Upgrade      string                // not empty: the protocol to ask for
	Trailers     bool                  // say that trailers are welcome
	TrailerNames []string              // announced in Trailer, if chunked
}

// AppendRequest appends the head of r to dst. It costs no allocation if dst has room. If what it
// would write were not exactly one head, or not the one that r describes, the error is an
// [*Error] that names what is wrong, and dst comes back as it was. CONNECT is refused: what
// follows it is not a body.
func AppendRequest(dst []byte, r *Request) ([]byte, error) {
	w := writer{b: dst}
	w.start(r)
	w.header(r)
	for i := range r.Extra {
		w.extra(&r.Extra[i])
	}
	w.framing(r)
	w.connection(r)
	w.b = append(w.b, "\r\n"...)
	if w.err != nil {
		return dst, w.err
	}
	return w.b, nil
}

// writer appends to b until something is wrong.
type writer struct {
	b   []byte
	err error
}

// fail keeps the first error. At most 64 bytes of what is quoted are shown.
func (w *writer) fail(what, quoted string) {
	if w.err == nil {
		w.err = malformed(fmt.Sprintf("%s %.64q", what, quoted))
	}
}

func (w *writer) start(r *Request) {
	switch {
	case !isToken(r.Method) || r.Method == http.MethodConnect:
		w.fail("cannot send the method", r.Method)
	case r.Target == "*" && r.Method != http.MethodOptions, !validTarget(r.Target):
		w.fail("cannot send the target", r.Target)
	case !all(r.Host, inHost):
		w.fail("cannot send the host", r.Host)
	}
	w.b = append(w.b, r.Method...)
	w.b = append(w.b, ' ')
	w.b = append(w.b, r.Target...)
	w.b = append(w.b, " HTTP/1.1\r\nHost: "...)
	w.b = append(w.b, r.Host...)
	w.b = append(w.b, "\r\n"...)
}

// validTarget refuses what is not in origin form, and the fragment that some would cut off.
func validTarget(s string) bool {
	if s == "*" {
		return true
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

func (w *writer) header(r *Request) {
	var o options
	for _, v := range r.Header["Connection"] {
		if !o.add(v) {
			w.fail("too many names in", "Connection")
		}
	}
	for key, values := range r.Header {
		name, m, ok := spelled(key)
		if m != plain || r.Omit != nil && r.Omit(name) || o.n > 0 && o.has(name) {
			continue
		}
		if !ok {
			w.fail("cannot send a field named", key)
		}
		for _, v := range values {
			w.field(key, v)
		}
	}
}

// spelled returns the canonical form of a key however it is written, what it means, and whether
// it is a token.
func spelled(key string) (name string, m meaning, ok bool) {
	ok, canonical := keyForm(key)
	if ok && !canonical {
		key = nameOf(key)
	}
	return key, meaningOf(key), ok
}

func (w *writer) extra(p *Pair) {
	if _, m, ok := spelled(p.Key); m != plain || !ok {
		w.fail("cannot add a field named", p.Key)
	}
	w.field(p.Key, p.Value)
}

// field appends a field whose key was checked.
func (w *writer) field(key, value string) {
	b := append(w.b, key...)
	b = append(b, ": "...)
	from := len(b)
	b = append(b, value...)
	if !validValue(b[from:]) {
		w.fail("control byte in the field", key)
	}
	w.b = append(b, "\r\n"...)
}

func (w *writer) framing(r *Request) {
	switch {
	case r.Length > 0:
		w.b = append(w.b, "Content-Length: "...)
		w.b = strconv.AppendInt(w.b, r.Length, 10)
		w.b = append(w.b, "\r\n"...)
	case r.Length == -1:
		w.b = append(w.b, "Transfer-Encoding: chunked\r\n"...)
		w.announce(r.TrailerNames)
	case r.Length < -1:
		w.fail("cannot send the length", strconv.FormatInt(r.Length, 10))
	case r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodPatch:
		w.b = append(w.b, "Content-Length: 0\r\n"...)
	}
}

// announce writes Trailer, without names that must not trail.
func (w *writer) announce(names []string) {
	separator := "Trailer: "
	for _, name := range names {
		if !mayTrail(nameOf(name)) {
			continue
		}
		if !isToken(name) {
			w.fail("cannot announce a trailer named", name)
		}
		w.b = append(w.b, separator...)
		w.b = append(w.b, name...)
		separator = ", "
	}
	if separator == ", " {
		w.b = append(w.b, "\r\n"...)
	}
}

func (w *writer) connection(r *Request) {
	switch {
	case r.Upgrade != "" && r.Trailers:
		w.b = append(w.b, "Connection: Upgrade, TE\r\n"...)
	case r.Upgrade != "":
		w.b = append(w.b, "Connection: Upgrade\r\n"...)
	case r.Trailers:
		w.b = append(w.b, "Connection: TE\r\n"...)
	}
	if r.Upgrade != "" {
		w.field("Upgrade", r.Upgrade)
	}
	if r.Trailers {
		w.b = append(w.b, "TE: trailers\r\n"...)
	}
}

// What Chunk needs of a buffer before and after the data.
const (
	ChunkHead = 10
	ChunkTail = 2
)

// Chunk makes one chunk, in place, of the n bytes at buf[ChunkHead:], behind which there must be
// room for ChunkTail. It returns it as a part of buf. Nothing becomes nothing, for an empty chunk
// would end the body.
func Chunk(buf []byte, n int) []byte {
	if n == 0 {
		return nil
	}
	var space [ChunkHead]byte
	head := append(strconv.AppendInt(space[:0], int64(n), 16), "\r\n"...)
	from := ChunkHead - len(head)
	copy(buf[from:], head)
	end := ChunkHead + n + copy(buf[ChunkHead+n:ChunkHead+n+ChunkTail], "\r\n")
	return buf[from:end]
}

// AppendLastChunk appends the end of a chunked body and the trailers, without those that must not
// trail. If a trailer would not be exactly one field the error is an [*Error], and dst comes back
// as it was.
func AppendLastChunk(dst []byte, trailer http.Header) ([]byte, error) {
	w := writer{b: append(dst, "0\r\n"...)}
	for key, values := range trailer {
		if !mayTrail(nameOf(key)) {
			continue
		}
		if !isToken(key) {
			w.fail("cannot send a trailer named", key)
		}
		for _, v := range values {
			w.field(key, v)
		}
	}
	if w.err != nil {
		return dst, w.err
	}
	return append(w.b, "\r\n"...), nil
}
