package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

var (
	_ lb.SessionKey                   = (*Cookie)(nil)
	_ interface{ Strip(http.Header) } = (*Cookie)(nil)
)

func newPool(t testing.TB, ids ...string) *lb.DynamicPool {
	t.Helper()
	pool, err := lb.NewPool()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := pool.Add(lb.Spec{ID: id, URL: "http://backend.test"}); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

func newCookie(t testing.TB, cfg CookieConfig) *Cookie {
	t.Helper()
	c, err := NewCookie(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// carrying returns a request with these Cookie headers.
func carrying(lines ...string) *http.Request {
	r := &http.Request{Header: http.Header{}}
	if lines != nil {
		r.Header["Cookie"] = lines
	}
	return r
}

// write returns name=value of the cookie that is set, or "".
func write(t testing.TB, c *Cookie, r *http.Request, session, backend string) string {
	t.Helper()
	h := http.Header{}
	c.Write(h, r, session, backend)
	if len(h) == 0 {
		return ""
	}
	cookie, err := http.ParseSetCookie(h.Get("Set-Cookie"))
	if err != nil || len(h) != 1 || len(h["Set-Cookie"]) != 1 {
		t.Fatalf("%v: %v", h, err)
	}
	return cookie.Name + "=" + cookie.Value
}

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestCookieRemembers(t *testing.T) {
	pool := newPool(t, "a", "b", "c")
	c := newCookie(t, CookieConfig{Pool: pool})
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", "c"} {
		pair := write(t, c, carrying(), "", id)
		session, backend := c.Read(carrying(pair))
		if len(session) != 22 || seen[session] || backend != id {
			t.Fatalf("%q: session %q on %q", id, session, backend)
		}
		seen[session] = true
		if again := write(t, c, carrying(pair), session, id); again != "" {
			t.Errorf("%q: %q was written again", id, again)
		}
		moved := write(t, c, carrying(pair), session, "b")
		if id == "b" {
			continue
		}
		if s, be := c.Read(carrying(moved)); s != session || be != "b" {
			t.Errorf("moved from %q: session %q on %q, want %q on b", id, s, be, session)
		}
	}
}

func TestCookieWithoutPoolLeavesTheBackendToTheStore(t *testing.T) {
	c := newCookie(t, CookieConfig{})
	pair := write(t, c, carrying(), "", "a")
	session, backend := c.Read(carrying(pair))
	if session == "" || backend != "" {
		t.Errorf("session %q on %q", session, backend)
	}
	if again := write(t, c, carrying(pair), session, "b"); again != "" {
		t.Errorf("%q was written, though a cookie without a tag cannot change", again)
	}
}

func TestCookieAttributes(t *testing.T) {
	over := carrying()
	over.TLS = &tls.ConnectionState{}
	for _, c := range []struct {
		cfg  CookieConfig
		r    *http.Request
		want string
	}{
		{CookieConfig{}, carrying(), "Path=/; HttpOnly; SameSite=Lax"},
		{CookieConfig{}, over, "Path=/; HttpOnly; Secure; SameSite=Lax"},
		{CookieConfig{Secure: func(*http.Request) bool { return true }}, carrying(), "Path=/; HttpOnly; Secure; SameSite=Lax"},
		{CookieConfig{Name: "x", Path: "/app", Domain: "example.com", SameSite: http.SameSiteStrictMode}, carrying(), "Path=/app; Domain=example.com; HttpOnly; SameSite=Strict"},
	} {
		k := newCookie(t, c.cfg)
		h := http.Header{"Set-Cookie": {"lb_session=theirs", "x=theirs"}}
		k.Write(h, c.r, "", "a")
		set := h["Set-Cookie"]
		if len(set) != 3 || set[0] != "lb_session=theirs" || set[1] != "x=theirs" {
			t.Fatalf("the backend's own cookies became %q", set)
		}
		pair, attributes, _ := strings.Cut(set[2], "; ")
		if attributes != c.want || !strings.HasPrefix(pair, k.name+"=") || len(pair) != len(k.name)+1+60 {
			t.Errorf("%q, want attributes %q", set[2], c.want)
		}
	}
}

// Each changed byte, each cut and each addition makes it no cookie at all.
func TestCookieForgeries(t *testing.T) {
	c := newCookie(t, CookieConfig{Pool: newPool(t, "a")})
	pair := write(t, c, carrying(), "", "a")
	name, value, _ := strings.Cut(pair, "=")
	absent := func(v string) {
		t.Helper()
		if s, b := c.Read(carrying(name + "=" + v)); s != "" || b != "" {
			t.Fatalf("%q was believed: %q on %q", v, s, b)
		}
	}
	for i := range value {
		for b := range 256 {
			if byte(b) != value[i] {
				absent(value[:i] + string([]byte{byte(b)}) + value[i+1:])
			}
		}
		absent(value[:i])
		absent(value[i+1:])
		absent(value[:i] + "\n" + value[i:])
		absent(value[:i] + "\n" + value[i+1:])
	}
	for _, v := range []string{value + "=", value + "A", `"` + value + `"`, strings.Repeat("A", 60), strings.Repeat("A", 1<<20)} {
		absent(v)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(value)
	for i := range raw {
		for bit := range 8 {
			flipped := slices.Clone(raw)
			flipped[i] ^= 1 << bit
			absent(base64.RawURLEncoding.EncodeToString(flipped))
		}
	}
	if s, b := newCookie(t, CookieConfig{}).Read(carrying(pair)); s != "" || b != "" {
		t.Error("another key's cookie was believed")
	}
	if s, b := newCookie(t, CookieConfig{Name: "other"}).Read(carrying(pair)); s != "" || b != "" {
		t.Error("a cookie of another name was read")
	}
}

// The signature is HMAC-SHA-256 over all that is before it, as the format says.
func TestCookieFormat(t *testing.T) {
	k := newSigner(keyOf(7))
	value := k.seal(ticket{id: [16]byte{1, 2, 3}, tag: tag{4, 5}, issued: 0x01020304})
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) != 45 {
		t.Fatal(err, len(raw))
	}
	want := []byte{1, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}
	mac := hmac.New(sha256.New, keyOf(7))
	mac.Write(want)
	if !bytes.Equal(raw, mac.Sum(want)[:45]) {
		t.Errorf("%x", raw)
	}
}

func TestCookieEndsAndIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCookie(t, CookieConfig{Pool: newPool(t, "a"), TTL: 10 * time.Minute})
		pair := write(t, c, carrying(), "", "a")
		session, _ := c.Read(carrying(pair))
		time.Sleep(5*time.Minute - time.Second)
		if again := write(t, c, carrying(pair), session, "a"); again != "" {
			t.Error("issued anew before half of its time")
		}
		time.Sleep(time.Second)
		again := write(t, c, carrying(pair), session, "a")
		if s, b := c.Read(carrying(again)); s != session || b != "a" {
			t.Errorf("the cookie issued anew is %q on %q", s, b)
		}
		time.Sleep(5*time.Minute - 1)
		if s, _ := c.Read(carrying(pair)); s != session {
			t.Error("ended before its time")
		}
		time.Sleep(time.Nanosecond)
		if s, b := c.Read(carrying(pair)); s != "" || b != "" {
			t.Error("still believed after its time")
		}
		// A request that took so long keeps its session.
		kept := write(t, c, carrying(pair), session, "a")
		if s, _ := c.Read(carrying(kept)); s != session {
			t.Errorf("a slow request's session became %q", s)
		}
		// Of two, the one that still counts is read.
		if s, _ := c.Read(carrying(pair + "; " + kept)); s != session {
			t.Error("an old cookie hides the new one")
		}
	})
}

func TestCookieFromTheFuture(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for ahead, want := range map[time.Duration]bool{0: true, maxSkew: true, maxSkew + time.Second: false, 24 * time.Hour: false} {
		if got := (ticket{issued: now.Add(ahead).Unix()}).freshAt(now, time.Hour); got != want {
			t.Errorf("issued %v ahead: %v", ahead, got)
		}
	}
}

func TestCookieKeysRotate(t *testing.T) {
	pool := newPool(t, "a", "b")
	with := func(keys ...[]byte) *Cookie { return newCookie(t, CookieConfig{Pool: pool, Keys: keys}) }
	before, both, after := with(keyOf(1)), with(keyOf(2), keyOf(1)), with(keyOf(2))
	pair := write(t, before, carrying(), "", "b")
	session, _ := before.Read(carrying(pair))
	if s, b := both.Read(carrying(pair)); s != session || b != "b" {
		t.Fatalf("the old key's cookie is %q on %q", s, b)
	}
	renewed := write(t, both, carrying(pair), session, "b")
	for name, c := range map[string]*Cookie{"both": both, "after": after} {
		if s, b := c.Read(carrying(renewed)); s != session || b != "b" {
			t.Errorf("%s: the new cookie is %q on %q", name, s, b)
		}
	}
	if s, _ := after.Read(carrying(pair)); s != "" {
		t.Error("a key that has gone is still believed")
	}
	if s, _ := before.Read(carrying(renewed)); s != "" {
		t.Error("an unknown key is believed")
	}
}

func TestTagsFollowThePool(t *testing.T) {
	pool := newPool(t, "a", "b")
	c := newCookie(t, CookieConfig{Pool: pool, Keys: [][]byte{keyOf(1), keyOf(2)}})
	pair := write(t, c, carrying(), "", "b")
	backend := func() string { _, b := c.Read(carrying(pair)); return b }
	if backend() != "b" {
		t.Fatal(backend())
	}
	was := c.tags.current.Load()
	pool.Mark("b", lb.Down, "test")
	if backend() != "b" {
		t.Error("a change of facts lost the backend")
	}
	if now := c.tags.current.Load(); now == was || fmt.Sprintf("%p", now.tags) != fmt.Sprintf("%p", was.tags) {
		t.Error("a change of facts made all tags anew")
	}
	if err := pool.Replace(lb.URLs("http://c", "http://d", "http://e")...); err != nil {
		t.Fatal(err)
	}
	if backend() != "" {
		t.Errorf("a backend that has left is %q", backend())
	}
	if err := pool.Add(lb.Spec{ID: "b", URL: "http://b"}); err != nil {
		t.Fatal(err)
	}
	if backend() != "b" {
		t.Errorf("the backend that came back is %q", backend())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				if i == 0 {
					pool.Mark("b", lb.Warming, "test")
					pool.Clear("b", lb.Warming, "test")
				}
				if got := backend(); got != "b" {
					t.Errorf("while the pool changes: %q", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestTagsTellNothing(t *testing.T) {
	a, b := newSigner(keyOf(1)), newSigner(keyOf(2))
	again := a.tag("x")
	if a.tag("x") == b.tag("x") || a.tag("x") == a.tag("y") || a.tag("x") != again {
		t.Error("tags do not depend on key and backend alone")
	}
}

func TestCookieAmongMany(t *testing.T) {
	c := newCookie(t, CookieConfig{Pool: newPool(t, "a")})
	pair := write(t, c, carrying(), "", "a")
	want, _ := c.Read(carrying(pair))
	forged := "lb_session=" + strings.Repeat("A", 60)
	signed := "lb_session=AQ" + strings.Repeat("A", 58) // has our version, so its signature is looked at
	for name, lines := range map[string][]string{
		"before others":       {pair + "; a=1"},
		"after others":        {"a=1; b=2; " + pair},
		"in the second line":  {"a=1", "b=2;" + pair + " ;c=3"},
		"with spaces":         {"a=1 ; lb_session =\t" + pair[len("lb_session="):] + " "},
		"behind empty ones":   {strings.Repeat("a=;", 20_000) + pair},
		"behind forged ones":  {strings.Repeat(forged+"; ", 1000) + pair},
		"behind 7 with a mac": {strings.Repeat(signed+"; ", 7) + pair},
		"among name only":     {"lb_session; lb_session=; " + pair},
	} {
		if got, backend := c.Read(carrying(lines...)); got != want || backend != "a" {
			t.Errorf("%s: session %q on %q", name, got, backend)
		}
	}
	for name, lines := range map[string][]string{
		"within a value":       {"a=" + pair},
		"within a name":        {"my" + pair},
		"behind 8 with a mac":  {strings.Repeat(signed+"; ", 8) + pair},
		"in other cases":       {strings.ToUpper(pair)},
		"no cookie":            {""},
		"no header":            nil,
		"separated by a comma": {"a=1, " + pair},
	} {
		if got, backend := c.Read(carrying(lines...)); got != "" || backend != "" {
			t.Errorf("%s: session %q on %q", name, got, backend)
		}
	}
}

// fewestAllocs is for what keeps things in a sync.Pool, which the race detector makes forgetful.
func fewestAllocs(f func()) float64 {
	fewest := testing.AllocsPerRun(1, f)
	for range 200 {
		fewest = min(fewest, testing.AllocsPerRun(1, f))
	}
	return fewest
}

func TestCookieReadAllocatesTheSessionOnly(t *testing.T) {
	c := newCookie(t, CookieConfig{Pool: newPool(t, "a"), Keys: [][]byte{keyOf(1), keyOf(2)}})
	r := carrying("x=y; " + write(t, c, carrying(), "", "a"))
	session, _ := c.Read(r)
	if n := fewestAllocs(func() { c.Read(r) }); n > 1 {
		t.Errorf("%v allocations to read a cookie", n)
	}
	if n := fewestAllocs(func() { c.Write(nil, r, session, "a") }); n != 0 {
		t.Errorf("%v allocations to write nothing", n)
	}
	empty := carrying(strings.Repeat("a=;", 20_000))
	if n := testing.AllocsPerRun(10, func() { c.Read(empty); c.Strip(empty.Header) }); n != 0 {
		t.Errorf("%v allocations for 20,000 cookies that are not ours", n)
	}
}

func TestCookieFaults(t *testing.T) {
	_, err := NewCookie(CookieConfig{
		Name: "a b", Path: "x;y", Domain: "a\nb", SameSite: 9, TTL: time.Second,
		Keys: [][]byte{keyOf(1), []byte("short")},
	})
	for _, want := range []string{`Name "a b"`, `Path "x;y"`, `Domain "a\nb"`, "SameSite 9", "TTL 1s", "Keys[1] has 5 bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("a key is shown")
	}
	for _, name := range []string{"a=b", "a;b", "a\r\nb", "ä", strings.Repeat("a", 65)} {
		if _, err := NewCookie(CookieConfig{Name: name}); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
}

func BenchmarkCookieRead(b *testing.B) {
	c := newCookie(b, CookieConfig{Pool: newPool(b, "a")})
	r := carrying("x=y; " + write(b, c, carrying(), "", "a"))
	b.ReportAllocs()
	for b.Loop() {
		c.Read(r)
	}
}
