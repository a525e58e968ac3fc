package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/netip"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

// name is what is limited as one: an IPv4 address, the /64 of an IPv6 one, whoever has no address, or
// everybody. It has no pointers, so that a table of many costs the garbage collector nothing.
type name [17]byte

const (
	kind      = 16 // index of what the rest is
	everybody = 255
)

func nameOf(addr netip.Addr) (n name) {
	addr = clientip.Subscriber(addr)
	*(*[16]byte)(n[:]) = addr.As16()
	n[kind] = byte(addr.BitLen())
	return n
}

// keys makes the keys of Redis. What stands in them tells nothing of who the client is without the
// secret, nor without trying all if there is none.
type keys struct {
	prefix string
	name   []byte // of the limit, after its length
	secret []byte
}

func newKeys(cfg Config) keys {
	k := keys{prefix: cfg.Prefix + "l:"}
	k.name = append(binary.BigEndian.AppendUint64(nil, uint64(len(cfg.Name))), cfg.Name...)
	if len(cfg.Secret) > 0 {
		mac := hmac.New(sha256.New, cfg.Secret)
		mac.Write([]byte("lb limit v1"))
		k.secret = mac.Sum(nil)
	}
	return k
}

// client is the key of a client's bucket.
func (k keys) client(n name) string { return k.key('c', n[:]) }

// instances is the key of who is there.
func (k keys) instances() string { return k.key('i', nil) }

// key is the prefix and 132 bits of a hash.
func (k keys) key(what byte, rest []byte) string {
	h := k.hash()
	h.Write([]byte{what})
	h.Write(k.name)
	h.Write(rest)
	return k.prefix + base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:22]
}

func (k keys) hash() hash.Hash {
	if k.secret == nil {
		return sha256.New()
	}
	return hmac.New(sha256.New, k.secret)
}
