package session

import (
	"net/http"
	"strings"
	"testing"
)

func TestHeader(t *testing.T) {
	k, err := Header("x-account")
	if err != nil {
		t.Fatal(err)
	}
	read := func(values ...string) string {
		r := &http.Request{Header: http.Header{"X-Account": values, "Cookie": {"x-account=7"}}}
		session, backend := k.Read(r)
		if backend != "" {
			t.Errorf("%q is on %q", values, backend)
		}
		k.Write(r.Header, r, session, "a")
		if len(r.Header) != 2 {
			t.Errorf("written: %v", r.Header)
		}
		return session
	}
	a, b := read("alice"), read("bob")
	if a == b || a != read("alice") || len(a) != 43 || strings.Contains(a, "alice") {
		t.Errorf("sessions %q and %q", a, b)
	}
	if read(strings.Repeat("x", 128)) == "" {
		t.Error("128 bytes are no session")
	}
	for _, none := range [][]string{nil, {""}, {strings.Repeat("x", 129)}, {"alice", "bob"}} {
		if got := read(none...); got != "" {
			t.Errorf("%q is session %q", none, got)
		}
	}
	for _, name := range []string{"", "a b", "a:b", "ä"} {
		if _, err := Header(name); err == nil {
			t.Errorf("header %q is accepted", name)
		}
	}
}
