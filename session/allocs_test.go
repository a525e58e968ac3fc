//go:build !race

package session

import (
	"strings"
	"testing"
)

// Under the race detector a sync.Pool forgets at random, so allocations are counted without it.
func TestCookieReadAllocatesTheSessionOnly(t *testing.T) {
	c := newCookie(t, CookieConfig{Pool: newPool(t, "a"), Keys: [][]byte{keyOf(1), keyOf(2)}})
	r := carrying("x=y; " + write(t, c, carrying(), "", "a"))
	session, _ := c.Read(r)
	if n := testing.AllocsPerRun(1000, func() { c.Read(r) }); n > 1 {
		t.Errorf("%v allocations to read a cookie", n)
	}
	if n := testing.AllocsPerRun(1000, func() { c.Write(nil, r, session, "a") }); n != 0 {
		t.Errorf("%v allocations to write nothing", n)
	}
	empty := carrying(strings.Repeat("a=;", 20_000))
	if n := testing.AllocsPerRun(10, func() { c.Read(empty); c.Strip(empty.Header) }); n != 0 {
		t.Errorf("%v allocations for 20,000 cookies that are not ours", n)
	}
}
