package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

const (
	version = "v1"
	macLen  = 22 // of 128 bits in base64
)

// seal writes and opens what stands in Redis: version, MAC, JSON.
type seal struct{ key []byte }

func newSeal(secret []byte) seal {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("lb autoscale v1"))
	return seal{key: h.Sum(nil)}
}

// write seals v for a place in Redis.
func (s seal) write(place string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return version + s.mac(place, text) + string(text), nil
}

// open reads what write has made for the same place, and reports whether it was that.
func (s seal) open(place, value string, v any) bool {
	rest, ok := strings.CutPrefix(value, version)
	if !ok || len(rest) < macLen || !hmac.Equal([]byte(rest[:macLen]), []byte(s.mac(place, []byte(rest[macLen:])))) {
		return false
	}
	return json.Unmarshal([]byte(rest[macLen:]), v) == nil
}

// mac signs version, place and text. A place's length stands before it, so no two look alike.
func (s seal) mac(place string, text []byte) string {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s %d %s", version, len(place), place)
	h.Write(text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
