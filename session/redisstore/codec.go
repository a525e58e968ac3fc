package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

const (
	version = "v1"
	macLen  = 22 // of 128 bits in base64
)

// codec writes and reads what stands in Redis.
type codec struct {
	secret []byte
	prefix string
}

func newCodec(secret []byte, prefix string) codec {
	return codec{secret: append([]byte(nil), secret...), prefix: prefix + "s:"}
}

// key returns the Redis key of a session. It is one-way, of fixed length, and without any
// character that means something to Redis.
func (c codec) key(session string) string {
	sum := sha256.Sum256([]byte(session))
	return c.prefix + base64.RawURLEncoding.EncodeToString(sum[:])[:22]
}

// seal returns the value for a key: the same for the same backend, so that values can be
// compared without being read.
func (c codec) seal(key, backend string) string {
	return version + c.mac(key, backend) + backend
}

// open returns the backend in a value, or "" if seal did not make it for this key.
func (c codec) open(key, value string) string {
	mac, ok := strings.CutPrefix(value, version)
	if !ok || len(mac) <= macLen || len(value) > redisconn.MaxValue {
		return ""
	}
	backend := mac[macLen:]
	if !hmac.Equal([]byte(mac[:macLen]), []byte(c.mac(key, backend))) {
		return ""
	}
	return backend
}

// mac signs version, key and backend. A key has no zero byte, so no two pairs look alike.
func (c codec) mac(key, backend string) string {
	h := hmac.New(sha256.New, c.secret)
	h.Write([]byte(version + "\x00" + key + "\x00" + backend))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
