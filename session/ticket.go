package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"
)

// A cookie's value is these bytes in base64url:
//
//	version  1   1
//	id      16   the session: random
//	tag      8   of its backend; zero if the cookie remembers none
//	issued   4   Unix seconds
//	mac     16   the first half of HMAC-SHA-256 over all before
const (
	version   = 1
	tagStart  = 1 + 16
	timeStart = tagStart + 8
	macStart  = timeStart + 4
	size      = macStart + 16
	written   = size / 3 * 4 // no bits are left over, so there is one way to write each
)

// maxSkew is how far the clocks of processes that share keys may be apart.
const maxSkew = time.Minute

// tag stands for a backend's ID in cookies: a keyed hash.
type tag [8]byte

// ticket is what a cookie says.
type ticket struct {
	id     [16]byte
	tag    tag
	issued int64 // Unix seconds
}

// freshAt reports whether the ticket was issued within ttl.
func (t ticket) freshAt(now time.Time, ttl time.Duration) bool {
	age := now.Sub(time.Unix(t.issued, 0))
	return -maxSkew <= age && age < ttl
}

// session returns the name that stores know the session by.
func (t ticket) session() string {
	var buf [22]byte
	encoding.Encode(buf[:], t.id[:])
	return string(buf[:])
}

// setSession makes it the ticket of a session, and reports whether that is one of ours.
func (t *ticket) setSession(session string) bool {
	if len(session) != 22 {
		return false
	}
	n, err := encoding.Decode(t.id[:], []byte(session))
	return n == len(t.id) && err == nil
}

// sealed is a ticket with its signature.
type sealed [size]byte

// decode reads a cookie's value, and reports whether it could be one of ours.
func (s *sealed) decode(value string) bool {
	if len(value) != written {
		return false
	}
	var text [written]byte
	copy(text[:], value)
	n, err := encoding.Decode(s[:], text[:]) // leaves out line ends, but then n is less
	return n == size && err == nil && s[0] == version
}

func (s *sealed) ticket() (t ticket) {
	copy(t.id[:], s[1:])
	copy(t.tag[:], s[tagStart:])
	t.issued = int64(binary.BigEndian.Uint32(s[timeStart:]))
	return t
}

// signer signs with one key.
type signer struct{ pool sync.Pool }

// hashing is an HMAC with room for what goes in and out, so that signing allocates nothing.
type hashing struct {
	hash.Hash
	in  [macStart]byte
	out [sha256.Size]byte
}

func newSigner(key []byte) *signer {
	key = append([]byte(nil), key...)
	return &signer{pool: sync.Pool{New: func() any { return &hashing{Hash: hmac.New(sha256.New, key)} }}}
}

// mac returns the signature of what stands before it in s.
func (k *signer) mac(s *sealed) (mac [size - macStart]byte) {
	h := k.pool.Get().(*hashing)
	defer k.pool.Put(h)
	copy(h.in[:], s[:])
	h.Reset()
	h.Write(h.in[:])
	copy(mac[:], h.Sum(h.out[:0]))
	return mac
}

// signed reports in constant time whether s has our signature.
func (k *signer) signed(s *sealed) bool {
	mac := k.mac(s)
	return hmac.Equal(mac[:], s[macStart:])
}

// seal returns the value of a cookie.
func (k *signer) seal(t ticket) string {
	s := sealed{version}
	copy(s[1:], t.id[:])
	copy(s[tagStart:], t.tag[:])
	binary.BigEndian.PutUint32(s[timeStart:], uint32(t.issued))
	mac := k.mac(&s)
	copy(s[macStart:], mac[:])
	return encoding.EncodeToString(s[:])
}

// tag returns what stands for a backend. What is hashed begins otherwise than any ticket.
func (k *signer) tag(backend string) (t tag) {
	h := k.pool.Get().(*hashing)
	defer k.pool.Put(h)
	h.Reset()
	h.Write([]byte("tag " + backend))
	copy(t[:], h.Sum(h.out[:0]))
	return t
}
