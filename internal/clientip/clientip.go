// Package clientip finds out who the client of a request is.
package clientip

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks that are believed about who the client is.
type Proxies []netip.Prefix

// New checks prefixes. IPv4 networks that are written as IPv6 become IPv4.
func New(prefixes []netip.Prefix) (Proxies, error) {
	ps := make(Proxies, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() {
			return nil, fmt.Errorf("%v is not a network; want one like 10.0.0.0/8", p)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// Trust reports whether addr is one of the proxies.
func (ps Proxies) Trust(addr netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Client returns the right-most hop that is not one of the proxies: what stands to its left is
// only what it says. Where the chain cannot be read, that is the last hop that could be.
func (ps Proxies) Client(peer netip.Addr, h http.Header) netip.Addr {
	hop := peer
	lines := h["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if !ps.Trust(hop) {
				return hop
			}
			cut := strings.LastIndexByte(rest, ',')
			next, ok := parse(strings.TrimSpace(rest[cut+1:]))
			if !ok {
				return hop
			}
			hop, more = next, cut >= 0
			rest = rest[:max(cut, 0)]
		}
	}
	return hop
}

// Peer returns who opened the connection, or the zero Addr if that has no address.
func Peer(r *http.Request) netip.Addr {
	addr, _ := parse(r.RemoteAddr)
	return addr
}

// parse reads an address with or without a port. Zones go and IPv4 in IPv6 is folded, so that
// one client has one address.
func parse(s string) (addr netip.Addr, ok bool) {
	var err error
	switch {
	case strings.HasSuffix(s, "]"):
		addr, err = netip.ParseAddr(strings.Trim(s, "[]"))
	case strings.HasPrefix(s, "["), strings.Count(s, ":") == 1:
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		addr = ap.Addr()
	default:
		addr, err = netip.ParseAddr(s)
	}
	return addr.WithZone("").Unmap(), err == nil
}

// Subscriber returns what belongs to one client: an IPv4 address, or the first 64 bits of an IPv6
// one.
func Subscriber(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	network, _ := addr.Prefix(64) // cannot fail for IPv6
	return network.Addr()
}
