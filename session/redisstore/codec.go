package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/go-loadbalancer/lb/internal/keep"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

const (
	version = "v1"
	macLen  = 22 // of 128 bits in base64
	keyLen  = 22 // of 128 bits, too
)

var encoding = base64.RawURLEncoding.Strict()

// codec writes and reads what stands in Redis.
type codec struct {
	secret []byte
	prefix string
}

func newCodec(secret []byte, prefix string) codec {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("lb session v1"))
	return codec{secret: h.Sum(nil), prefix: prefix + "s:"}
}

// id returns what a session is known by. It is one-way and of fixed length.
func id(session string) keep.Key {
	var buf [128]byte
	sum := sha256.Sum256(append(buf[:0], session...)) // does not allocate for sessions that fit
	return keep.Key(sum[:16])
}

// key returns the Redis key of a session, without any character that means something to Redis.
func (c codec) key(k keep.Key) string {
	return c.prefix + encoding.EncodeToString(k[:])
}

// id returns whose key a Redis key is.
func (c codec) id(key string) (k keep.Key, ok bool) {
	name, ok := strings.CutPrefix(key, c.prefix)
	if !ok || len(name) != keyLen {
		return k, false
	}
	n, err := encoding.Decode(k[:], []byte(name))
	return k, err == nil && n == len(k)
}

// What a value may say.
type verdict int

const (
	absent    verdict = iota // there is none
	foreign                  // it is not ours: as good as none
	forgotten                // the session was forgotten
	bound                    // the session is bound
)

// seal returns the value for a key: the same for the same backend, so that values can be compared
// without being read. Backend "" makes the value of a session that was forgotten.
func (c codec) seal(key, backend string) string {
	return version + c.mac(key, backend) + backend
}

// assignment is a compare-and-swap of a key's backend. From "" stands for none.
func (c codec) assignment(key, from, to string) assignment {
	none := c.seal(key, "")
	a := assignment{old: none, void: none, value: c.seal(key, to)}
	if from != "" {
		a.old = c.seal(key, from)
	}
	return a
}

// open returns the backend in a value, if it is one that seal made for this key.
func (c codec) open(key, value string) (backend string, says verdict) {
	if value == "" {
		return "", absent
	}
	mac, ok := strings.CutPrefix(value, version)
	if !ok || len(mac) < macLen || len(value) > redisconn.MaxValue {
		return "", foreign
	}
	backend = mac[macLen:]
	if !hmac.Equal([]byte(mac[:macLen]), []byte(c.mac(key, backend))) {
		return "", foreign
	}
	if backend == "" {
		return "", forgotten
	}
	return backend, bound
}

// mac signs version, key and backend. A key has no zero byte, so no two pairs look alike.
func (c codec) mac(key, backend string) string {
	h := hmac.New(sha256.New, c.secret)
	h.Write([]byte(version + "\x00" + key + "\x00" + backend))
	return encoding.EncodeToString(h.Sum(nil)[:16])
}
