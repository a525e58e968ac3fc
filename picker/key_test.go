package picker

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// sequence is the secret of SipHash's test vectors: 0, 1, 2 and so on.
func sequence() (s Secret) {
	for i := range s {
		s[i] = byte(i)
	}
	return s
}

// keys are all constructors, with a function that makes an info for a value.
func keys(secret Secret) map[string]struct {
	key  Key
	info func(string) lb.PickInfo
} {
	type row = struct {
		key  Key
		info func(string) lb.PickInfo
	}
	of := func(r http.Request) lb.PickInfo { return lb.PickInfo{Request: &r} }
	return map[string]row{
		"header": {HeaderKey("x-tenant", secret), func(v string) lb.PickInfo { return of(http.Request{Header: http.Header{"X-Tenant": {v, "z"}}}) }},
		"host":   {HeaderKey("host", secret), func(v string) lb.PickInfo { return of(http.Request{Host: v}) }},
		"cookie": {CookieKey("user", secret), func(v string) lb.PickInfo {
			return of(http.Request{Header: http.Header{"Cookie": {"a=b; user=" + v}}})
		}},
		"path": {PathKey(secret), func(v string) lb.PickInfo { return of(http.Request{URL: &url.URL{Path: v, RawQuery: "q=1"}}) }},
		"query": {QueryKey("q", secret), func(v string) lb.PickInfo {
			return of(http.Request{URL: &url.URL{Path: "/", RawQuery: "a&q=" + v + "&q=z"}})
		}},
	}
}

// The same bytes are the same key wherever they stand, equal ones are equal, and others are not.
func TestKeysAreTheirBytes(t *testing.T) {
	for _, secret := range []Secret{{}, {1}, sequence()} {
		for name, c := range keys(secret) {
			seen := make(map[uint64]string)
			for i := range 2000 {
				value := strings.Repeat("v", i%40) + fmt.Sprint(i)
				got, ok := c.key(c.info(value))
				want := xxhash.Sum64String(value)
				if secret != (Secret{}) {
					want = newSip(secret).sum(value)
				}
				if !ok || got != want {
					t.Fatalf("%s, secret %x: %q is %x, want %x", name, secret[:2], value, got, want)
				}
				if other, ok := seen[got]; ok {
					t.Fatalf("%s: %q and %q collide", name, value, other)
				}
				seen[got] = value
			}
		}
	}
}

func TestRequestsWithoutAKey(t *testing.T) {
	for _, secret := range []Secret{{}, {1}} {
		rows := keys(secret)
		for name, c := range rows {
			for what, info := range map[string]lb.PickInfo{"empty": c.info(""), "no request": {}, "nothing in it": {Request: &http.Request{}}} {
				if _, ok := c.key(info); ok {
					t.Errorf("%s: %s has a key", name, what)
				}
			}
		}
		if _, ok := ClientKey(secret)(lb.PickInfo{}); ok {
			t.Error("an unknown client has a key")
		}
	}
}

func TestClientKey(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("::ffff:192.0.2.7")
	for _, secret := range []Secret{{}, {1}} {
		key := ClientKey(secret)
		a, _ := key(lb.PickInfo{ClientIP: four})
		b, _ := key(lb.PickInfo{ClientIP: six})
		c, _ := key(lb.PickInfo{ClientIP: four.Next()})
		if a != b || a == c {
			t.Errorf("secret %v: %x, %x and %x", secret, a, b, c)
		}
	}
}

func TestKeysDoNotAllocate(t *testing.T) {
	for _, secret := range []Secret{{}, {1}} {
		for name, c := range keys(secret) {
			info := c.info(strings.Repeat("long", 30))
			if n := testing.AllocsPerRun(200, func() { c.key(info) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
		key, info := ClientKey(secret), lb.PickInfo{ClientIP: netip.MustParseAddr("2001:db8::1")}
		if n := testing.AllocsPerRun(200, func() { key(info) }); n != 0 {
			t.Errorf("client: %v allocations", n)
		}
	}
}

// The vectors are of SipHash's authors.
func TestSipHash(t *testing.T) {
	s, input := newSip(sequence()), ""
	want := map[int]uint64{0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5}
	for n := range 16 {
		if w, ok := want[n]; ok && s.sum(input) != w {
			t.Errorf("%d bytes: %x, want %x", n, s.sum(input), w)
		}
		input += string([]byte{byte(n)})
	}
}

// colliding returns two keys that have the same xxHash under every seed: a change of one bit in
// the first word is rotated to the highest bit, which survives the multiplication alone, and the
// second word takes it back.
func colliding() (a, b string) {
	const p1, p2 = 11400714785074694791, 14029467366897019727
	unround := func(k uint64) uint64 { // inverts rotl(x*p2, 31) * p1
		return bits.RotateLeft64(k*inverse(p1), -31) * inverse(p2)
	}
	words := func(x, y uint64) string {
		return string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, unround(x)), unround(y)))
	}
	return words(12345, 67890), words(12345^1<<36, 67890^1<<63)
}

// inverse is Newton's, of an odd number modulo 2^64.
func inverse(x uint64) uint64 {
	y := x
	for range 5 {
		y *= 2 - x*y
	}
	return y
}

// Why a secret is not a seed.
func TestSecretsPartWhatSeedsDoNot(t *testing.T) {
	a, b := colliding()
	if a == b || xxhash.Sum64String(a) != xxhash.Sum64String(b) {
		t.Fatal("the keys do not collide")
	}
	s := seeded(1)
	for range 100 {
		seed := s.Uint64()
		one, two := xxhash.NewWithSeed(seed), xxhash.NewWithSeed(seed)
		one.WriteString(a)
		two.WriteString(b)
		if one.Sum64() != two.Sum64() {
			t.Fatalf("seed %x parts them", seed)
		}
		var secret Secret
		binary.LittleEndian.PutUint64(secret[:], seed)
		if sip := newSip(secret); sip.sum(a) == sip.sum(b) {
			t.Fatalf("secret %x does not part them", seed)
		}
	}
}

func TestParameter(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"", ""},
		{"q=x", "x"},
		{"a=b&q=x&q=y", "x"},
		{"q&q=x", "x"},
		{"q=&q=x", ""},
		{"q=a=b", "a=b"},
		{"Q=x&qq=y&xq=z", ""},
		{"&&=&q=x&", "x"},
		{"q=%20x", "%20x"},
		{strings.Repeat("a=b&", 256) + "q=x", "x"},
		{strings.Repeat("a=b&", 257) + "q=x", ""},
	} {
		if got := parameter(c.query, "q"); got != c.want {
			t.Errorf("%.40q: %q, want %q", c.query, got, c.want)
		}
	}
}

// Where net/url finds a parameter, so does parameter, and the same but for escapes.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"q=x", "a=b&q=x", "q", "q=%41", "q=a+b", "%71=x", "q=;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := parameter(query, "q")
		if !strings.Contains(query, got) {
			t.Fatalf("%q: %q does not occur", query, got)
		}
		all, err := url.ParseQuery(query)
		if err != nil || strings.ContainsAny(query, "%+") || strings.Count(query, "&") > 255 {
			return
		}
		if want := all["q"]; len(want) > 0 && strings.Contains("&"+query, "&q=") && !strings.Contains("&"+query+"&", "&q&") && got != want[0] {
			t.Fatalf("%q: %q, want %q", query, got, want[0])
		}
	})
}
