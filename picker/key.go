package picker

import (
	"net/http"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// Key finds what a hashing policy goes by in a request, as a number. It returns false for a request
// that has no key. Equal keys must have the same number in every process that is to pick the same;
// other keys should have another, but need not be spread: policies mix what they get.
//
// A Key is called for every pick, concurrently. It must not block and should not allocate. Those of
// this package hash the key's bytes, in time in its length and without allocation. Nil, where a
// configuration has a Key, stands for ClientKey without a secret.
type Key func(lb.PickInfo) (hash uint64, ok bool)

// Secret makes it unforeseeable which keys belong together. The zero Secret is none: then keys are
// hashed by xxHash, which is public, and whoever chooses keys, as clients do with headers, cookies,
// paths and IPv6 addresses, can choose as many as they like that all go to one backend. BoundedLoad
// bounds what that does.
//
// With a secret, keys are hashed by SipHash-2-4 under it (Aumasson and Bernstein, 2012). Who does
// not know it can neither compute where a key goes nor make keys that collide. What is left is to
// try keys and to watch who answers: one key of n is a given backend's, and clients that learn who
// serves them, by a header or by its speed, can collect such keys one by one. A seed for xxHash
// would not do: there are keys that collide under all its seeds.
//
// All balancers that are to pick the same need the same secret. Changing it moves nearly every key.
// Take 16 bytes of crypto/rand, or the first of a key derivation.
type Secret [16]byte

// ClientKey is the client's address, by PickInfo.ClientIP. An IPv4 address is the same client if it
// is written as IPv6.
func ClientKey(secret Secret) Key {
	if secret == (Secret{}) {
		return func(info lb.PickInfo) (uint64, bool) {
			addr := info.ClientIP.As16()
			return xxhash.Sum64(addr[:]), info.ClientIP.IsValid()
		}
	}
	s := newSip(secret)
	return func(info lb.PickInfo) (uint64, bool) {
		addr := info.ClientIP.As16()
		return s.sum(string(addr[:])), info.ClientIP.IsValid()
	}
}

// HeaderKey is the value of a header. The first line counts; an empty one is none. The header Host
// is the request's.
func HeaderKey(name string, secret Secret) Key {
	name = http.CanonicalHeaderKey(name)
	return textKey(secret, func(r *http.Request) string {
		if name == "Host" {
			return r.Host
		}
		return first(r.Header[name])
	})
}

// CookieKey is the value of a cookie. Names of cookies are told apart by case. The first of that
// name counts; an empty one is none, and so is one behind 256 others.
func CookieKey(name string, secret Secret) Key {
	return textKey(secret, func(r *http.Request) string { return cookie(r.Header["Cookie"], name) })
}

// PathKey is the path of the request's URL, without its query and with escapes decoded; an empty one
// is none. It is what keeps each document in one backend's cache.
func PathKey(secret Secret) Key {
	return textKey(secret, func(r *http.Request) string {
		if r.URL == nil {
			return ""
		}
		return r.URL.Path
	})
}

// QueryKey is the value of a parameter in the query of the request's URL. Name and value count as
// they are written: a and %61 are two. The first of that name counts; an empty one is none, and so
// is one behind 256 others.
func QueryKey(name string, secret Secret) Key {
	return textKey(secret, func(r *http.Request) string {
		if r.URL == nil {
			return ""
		}
		return parameter(r.URL.RawQuery, name)
	})
}

// textKey hashes what find returns of a request, "" for none.
func textKey(secret Secret, find func(*http.Request) string) Key {
	if secret == (Secret{}) {
		return func(info lb.PickInfo) (uint64, bool) {
			if info.Request == nil {
				return 0, false
			}
			text := find(info.Request)
			return xxhash.Sum64String(text), text != ""
		}
	}
	s := newSip(secret)
	return func(info lb.PickInfo) (uint64, bool) {
		if info.Request == nil {
			return 0, false
		}
		text := find(info.Request)
		return s.sum(text), text != ""
	}
}

// maxParameters bounds how many parameters of a query are looked at.
const maxParameters = 257

// parameter returns the value of the first parameter of that name in a query, or "". It decodes
// nothing and allocates nothing.
func parameter(query, name string) string {
	for range maxParameters {
		pair, rest, more := strings.Cut(query, "&")
		if key, value, ok := strings.Cut(pair, "="); ok && key == name {
			return value
		}
		if !more {
			return ""
		}
		query = rest
	}
	return ""
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
