package transport

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dial makes a connection of the pool's backend.
func (p *pool) dial(ctx context.Context, client netip.AddrPort) (*conn, error) {
	network, addr := "tcp", withPort(p.addr)
	if p.scheme == "unix" {
		network, addr = "unix", p.addr
	}
	dialer := net.Dialer{Timeout: p.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	nc, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if p.cfg.ProxyProtocol {
		nc.SetWriteDeadline(time.Now().Add(p.cfg.DialTimeout))
		if _, err := nc.Write(proxyHeader(client, nc.RemoteAddr())); err != nil {
			nc.Close()
			return nil, err
		}
	}
	return newConn(nc, p, client), nil
}

// withPort adds http's port to an address that has none.
func withPort(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && i > strings.LastIndexByte(addr, ']') {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), "80")
}

// proxyHeader is the PROXY protocol's binary header, version 2, for a connection from client to
// a backend (haproxy.org, proxy-protocol.txt, section 2.2). Without a client it says that the
// connection is our own.
func proxyHeader(client netip.AddrPort, backend net.Addr) []byte {
	h := []byte("\r\n\r\n\x00\r\nQUIT\n")
	if !client.IsValid() {
		return append(h, 0x20, 0x00, 0, 0) // version 2, LOCAL; no address
	}
	src := client.Addr().Unmap().WithZone("")
	dst := netip.AddrPort{}
	if tcp, ok := backend.(*net.TCPAddr); ok {
		dst = tcp.AddrPort()
	}
	to := dst.Addr().Unmap().WithZone("")
	if src.Is4() && (to.Is4() || !to.IsValid()) {
		if !to.IsValid() {
			to = netip.IPv4Unspecified()
		}
		h = append(h, 0x21, 0x11, 0, 12) // version 2, PROXY; TCP over IPv4
		from4, to4 := src.As4(), to.As4()
		h = append(append(h, from4[:]...), to4[:]...)
	} else {
		if !to.IsValid() {
			to = netip.IPv6Unspecified()
		}
		h = append(h, 0x21, 0x21, 0, 36) // TCP over IPv6, IPv4 mapped into it
		from16, to16 := src.As16(), to.As16()
		h = append(append(h, from16[:]...), to16[:]...)
	}
	return append(h, byte(client.Port()>>8), byte(client.Port()), byte(dst.Port()>>8), byte(dst.Port()))
}
