package session

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/textproto"

	"github.com/go-loadbalancer/lb"
)

// maxHeader is the length of the longest header value that names a session.
const maxHeader = 128

// header is a key made by Header.
type header string

// Header returns a key for clients that send what names their session in a header, such as an
// account or a device. A request without the header has no session, and neither has one with an
// empty value, with one of more than 128 bytes, or with several. Values leave the key as their
// SHA-256 only. The key remembers no backend, so the balancer needs a store; and it is passed on
// to backends. Whoever knows a value can make its session move, no more. The error is about the
// name.
func Header(name string) (lb.SessionKey, error) {
	if !isToken(name) {
		return nil, fmt.Errorf("session: %q is not the name of a header; try X-Session", name)
	}
	return header(textproto.CanonicalMIMEHeaderKey(name)), nil
}

// Read returns the session as 43 characters.
func (h header) Read(r *http.Request) (session, backend string) {
	values := r.Header[string(h)]
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxHeader {
		return "", ""
	}
	var buf [maxHeader]byte
	sum := sha256.Sum256(append(buf[:0], values[0]...))
	return encoding.EncodeToString(sum[:]), ""
}

// Write does nothing: the client knows its session.
func (header) Write(http.Header, *http.Request, string, string) {}
