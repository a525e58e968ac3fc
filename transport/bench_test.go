package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb/transport"
)

// prepared answers each read with the same bytes, which is as little as a backend can do.
func prepared(answer string) func(p *peer) {
	return func(p *peer) {
		buf, out := make([]byte, 4096), []byte(answer)
		for {
			if _, err := p.Conn.Read(buf); err != nil {
				return
			}
			p.Conn.Write(out)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	be := play(b, prepared("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: x\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 128\r\n\r\n"+strings.Repeat("x", 128)))
	header := http.Header{"Accept": {"*/*"}, "User-Agent": {"bench"}}
	b.Run("Do", func(b *testing.B) {
		tr := engine(b, transport.Config{})
		r := get(be)
		r.Header = header
		var x transport.Exchange
		h := http.Header{}
		b.ReportAllocs()
		for b.Loop() {
			if err := tr.Do(b.Context(), r, &x); err != nil {
				b.Fatal(err)
			}
			clear(h)
			x.AddHeader(h)
			x.CopyTo(io.Discard, nil, true)
			x.Close()
		}
	})
	net := &http.Transport{DisableCompression: true}
	defer net.CloseIdleConnections()
	for _, rt := range []http.RoundTripper{engine(b, transport.Config{}), net} {
		b.Run(fmt.Sprintf("%T", rt), func(b *testing.B) {
			req := call{addr: be.addr, ctx: b.Context(), header: header}.request(b)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
