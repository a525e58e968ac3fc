package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever a client sends, only what has our signature is a session. The seeds of one process
// are mutated in others, so what was signed is recognised by its key.
func FuzzCookieRead(f *testing.F) {
	c := newCookie(f, CookieConfig{Keys: [][]byte{keyOf(1)}, Pool: newPool(f, "a")})
	pair := write(f, c, carrying(), "", "a")
	for _, seed := range []string{"", "lb_session", "lb_session=", ";=;", pair, "a=b; " + pair, pair + "\n", strings.ToLower(pair), "lb_session=AQ" + strings.Repeat("A", 58)} {
		f.Add(seed)
	}
	f.Add("lb_session=" + newSigner(keyOf(2)).seal(ticket{issued: time.Now().Unix()}))
	signed := func(value, session string) bool {
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || len(raw) != 45 || base64.RawURLEncoding.EncodeToString(raw[1:17]) != session {
			return false
		}
		mac := hmac.New(sha256.New, keyOf(1))
		mac.Write(raw[:29])
		return bytes.Equal(mac.Sum(nil)[:16], raw[29:])
	}
	f.Fuzz(func(t *testing.T, line string) {
		session, backend := c.Read(carrying(line))
		if session == "" {
			if backend != "" {
				t.Errorf("no session on %q", backend)
			}
			return
		}
		for pair := range strings.SplitSeq(line, ";") {
			if _, value, _ := strings.Cut(pair, "="); signed(strings.Trim(value, " \t"), session) {
				return
			}
		}
		t.Errorf("%q was believed to be session %q", line, session)
	})
}

// Whatever bytes a cookie has, it is read as written and written as read.
func FuzzSealedDecode(f *testing.F) {
	f.Add(strings.Repeat("A", written))
	f.Add("AQ" + strings.Repeat("_", written-2))
	f.Add(strings.Repeat("\n", written))
	f.Add("AQAA" + strings.Repeat("\n", written-4))
	f.Fuzz(func(t *testing.T, value string) {
		var s sealed
		if s.decode(value) && base64.RawURLEncoding.EncodeToString(s[:]) != value {
			t.Errorf("%q is a second way to write %x", value, s)
		}
	})
}

// Stripping takes ours and no other's.
func FuzzStrip(f *testing.F) {
	c := newCookie(f, CookieConfig{})
	f.Add("a=1; lb_session=x; b=2", "lb_session=y")
	f.Add(" ;;lb_session ; =", "")
	f.Add("lb_session=;lb_session=", "a=\"x;lb_session=y\"")
	pairs := func(lines []string) (ours, others []string) {
		for pair := range strings.SplitSeq(strings.Join(lines, ";"), ";") {
			name, _, _ := strings.Cut(pair, "=")
			switch {
			case strings.Trim(name, " \t") == "lb_session":
				ours = append(ours, pair)
			case strings.Trim(pair, " \t") != "":
				others = append(others, strings.TrimLeft(pair, " \t"))
			}
		}
		return ours, others
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		before := []string{a, b}
		h := http.Header{"Cookie": slices.Clone(before)}
		c.Strip(h)
		had, want := pairs(before)
		left, got := pairs(h["Cookie"])
		if len(left) != 0 || !slices.Equal(got, want) {
			t.Errorf("%q became %q", before, h["Cookie"])
		}
		if len(had) == 0 && !slices.Equal(h["Cookie"], before) {
			t.Errorf("%q without ours became %q", before, h["Cookie"])
		}
	})
}
