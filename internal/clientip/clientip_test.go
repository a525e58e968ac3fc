package clientip

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func client(t *testing.T, peer string, says ...string) netip.Addr {
	t.Helper()
	ps, err := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:172.16.0.0/108"), netip.MustParsePrefix("fd00::/8")})
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": says}}
	return ps.Client(Peer(r), r.Header)
}

func TestClient(t *testing.T) {
	for _, c := range []struct {
		peer string
		says []string
		want string
	}{
		{"192.0.2.1:1", []string{"6.6.6.6"}, "192.0.2.1"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", "192.0.2.1"}, "192.0.2.1"},
		{"10.0.0.1:1", []string{"192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		{"[::ffff:10.0.0.1]:1", []string{"6.6.6.6", "::ffff:192.0.2.1 , 172.16.0.9:80"}, "192.0.2.1"},
		{"[fd00::1%eth0]:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"[fd00::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"@", []string{"6.6.6.6"}, "invalid IP"},
	} {
		if got := client(t, c.peer, c.says...); got.String() != c.want {
			t.Errorf("%s saying %q: %v, want %s", c.peer, c.says, got, c.want)
		}
	}
	if _, err := New(make([]netip.Prefix, 1)); err == nil {
		t.Error("a prefix that is none was taken")
	}
}

// Whatever a header says, a stranger is who opened the connection, and no address is made up.
func FuzzClient(f *testing.F) {
	for _, says := range []string{"192.0.2.1, 10.0.0.1", ",,::ffff:1.2.3.4%x,[::1]:", "10.0.0.2, ,", "[", "1.2.3.4:99999"} {
		f.Add(says)
	}
	f.Fuzz(func(t *testing.T, says string) {
		if got := client(t, "192.0.2.7:1", says); got.String() != "192.0.2.7" {
			t.Errorf("a stranger became %s", got)
		}
		got := client(t, "10.0.0.1:1", says)
		said := func(hop string) bool { a, ok := parse(strings.TrimSpace(hop)); return ok && a == got }
		if got.String() != "10.0.0.1" && !slices.ContainsFunc(strings.Split(says, ","), said) {
			t.Errorf("%v is in nobody's mouth: %q", got, says)
		}
	})
}

func TestClientAllocatesNothing(t *testing.T) {
	ps, _ := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	h := http.Header{"X-Forwarded-For": {"192.0.2.1, 10.0.0.3", "10.0.0.2"}}
	peer := netip.MustParseAddr("10.0.0.1")
	if n := testing.AllocsPerRun(1000, func() { ps.Client(peer, h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
