package fleet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"time"
)

// A message is all that one instance has to say at one moment, so that the next replaces it:
//
//	version   1 byte, 1
//	instance  16 bytes
//	sequence  8 bytes, big-endian, as is the time: more than in the message before
//	time      8 bytes: milliseconds since 1970
//	body      the number of words, and for each, in ascending order of its ID: the backend's ID, the standing,
//	          the row, how old its first and its last failure and the last success are, results, failures,
//	          latency
//	code      32 bytes: HMAC-SHA-256 over the length and bytes of the pool's name, and all before
//
// Numbers in the body are of variable length, as encoding/binary has them, ages in milliseconds and
// one more, zero for never, latencies in microseconds. An ID has its length before it.
const (
	version    = 1
	headLen    = 1 + 16 + 8 + 8
	codeLen    = sha256.Size
	maxMessage = 64 << 10
	maxID      = 128
	maxRow     = 1 << 20
	maxAge     = 24 * time.Hour
	maxLatency = 24 * time.Hour
	maxCount   = 1 << 40
)

// instance names a process. It is random.
type instance [16]byte

// String is hexadecimal.
func (i instance) String() string { return hex.EncodeToString(i[:]) }

// message is a decoded one. The times of its words are as if it had been sent and received at the same
// moment.
type message struct {
	from     instance
	sequence uint64
	at       int64 // milliseconds since 1970, by the sender's clock
	lines    []line
}

// line is a word about a backend.
type line struct {
	id string
	word
}

// codec seals and opens the messages of one pool. It is for one goroutine at a time.
type codec struct {
	mac  hash.Hash
	name []byte // the pool's, with its length
	code [codeLen]byte
}

func newCodec(secret []byte, pool string) *codec {
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte("lb fleet v1"))
	return &codec{
		mac:  hmac.New(sha256.New, derive.Sum(nil)),
		name: append(binary.AppendUvarint(nil, uint64(len(pool))), pool...),
	}
}

func (c *codec) sum(b []byte) []byte {
	c.mac.Reset()
	c.mac.Write(c.name)
	c.mac.Write(b)
	return c.mac.Sum(c.code[:0])
}

// seal encodes a message, whose lines are sorted.
func (c *codec) seal(m message, now time.Time) []byte {
	b := make([]byte, 0, headLen+codeLen+64*len(m.lines)+16)
	b = append(b, version)
	b = append(b, m.from[:]...)
	b = binary.BigEndian.AppendUint64(b, m.sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(m.at))
	b = binary.AppendUvarint(b, uint64(len(m.lines)))
	for _, l := range m.lines {
		b = l.append(b, now)
	}
	return append(b, c.sum(b)...)
}

func (l line) append(b []byte, now time.Time) []byte {
	b = binary.AppendUvarint(b, uint64(len(l.id)))
	b = append(b, l.id...)
	b = append(b, byte(l.standing))
	b = binary.AppendUvarint(b, uint64(min(l.row, maxRow)))
	for _, t := range [3]time.Time{l.began, l.last, l.success} {
		b = binary.AppendUvarint(b, age(now, t))
	}
	b = binary.AppendUvarint(b, min(uint64(l.results), maxCount))
	b = binary.AppendUvarint(b, min(uint64(l.failures), uint64(l.results), maxCount))
	return binary.AppendUvarint(b, uint64(min(max(0, l.latency), maxLatency)/time.Microsecond))
}

// age is how long ago t was, plus one; zero for never.
func age(now, t time.Time) uint64 {
	if t.IsZero() || now.Sub(t) > maxAge {
		return 0
	}
	return 1 + uint64(max(0, now.Sub(t))/time.Millisecond)
}

// fault is why a message was not taken.
type fault uint8

const (
	fine fault = iota
	wrongSize
	wrongVersion
	wrongCode
	malformed
	ours
	tooOld
	tooNew
	replayed
	flooding
	crowded
	faults
)

// sender returns who says to have sent a message, of which nothing is known but its size.
func sender(b string) (from instance) {
	copy(from[:], b[1:])
	return from
}

// sentAt returns when a message says that it was sent.
func sentAt(b string) int64 { return int64(binary.BigEndian.Uint64([]byte(b[25:headLen]))) }

// open decodes a message that came now.
func (c *codec) open(s string, now time.Time) (m message, f fault) {
	switch {
	case len(s) < headLen+codeLen || len(s) > maxMessage:
		return m, wrongSize
	case s[0] != version:
		return m, wrongVersion
	}
	b := []byte(s)
	rest := len(b) - codeLen
	if !hmac.Equal(c.sum(b[:rest]), b[rest:]) {
		return m, wrongCode
	}
	m.from = sender(s)
	m.sequence = binary.BigEndian.Uint64(b[17:])
	m.at = int64(binary.BigEndian.Uint64(b[25:]))
	r := reader{left: b[headLen:rest]}
	for range r.number(uint64(rest)) {
		l := r.line(now)
		if r.bad || len(m.lines) > 0 && l.id <= m.lines[len(m.lines)-1].id {
			return m, malformed
		}
		m.lines = append(m.lines, l)
	}
	if r.bad || len(r.left) > 0 {
		return m, malformed
	}
	return m, fine
}

// reader reads a body. Once something was wrong, it is bad, and all that it returns zero.
type reader struct {
	left []byte
	bad  bool
}

// number reads a number up to most.
func (r *reader) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.left)
	if r.bad || size <= 0 || n > most {
		r.bad = true
		return 0
	}
	r.left = r.left[size:]
	return n
}

// bytes reads so many bytes.
func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.left)) {
		r.bad = true
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) time(now time.Time) time.Time {
	n := r.number(1 + uint64(maxAge/time.Millisecond))
	if n == 0 {
		return time.Time{}
	}
	return now.Add(-time.Duration(n-1) * time.Millisecond)
}

func (r *reader) line(now time.Time) (l line) {
	l.id = string(r.bytes(r.number(maxID)))
	if b := r.bytes(1); len(b) == 1 && standing(b[0]) < standings {
		l.standing = standing(b[0])
	} else {
		r.bad = true
	}
	l.row = int(r.number(maxRow))
	l.began, l.last, l.success = r.time(now), r.time(now), r.time(now)
	l.results = int(r.number(min(maxCount, math.MaxInt)))
	l.failures = int(r.number(uint64(l.results)))
	l.latency = time.Duration(r.number(uint64(maxLatency/time.Microsecond))) * time.Microsecond
	if l.row > 0 && (l.began.IsZero() || l.last.Before(l.began)) || l.row == 0 && !l.last.IsZero() {
		r.bad = true
	}
	return l
}
