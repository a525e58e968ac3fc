package h1

import (
	"net/http"
	"testing"
)

var fourteenLines = crlf("HTTP/1.1 200 OK|Server: nginx|Date: Tue, 01 Sep 2026 10:00:00 GMT|Content-Type: text/html; charset=utf-8|Content-Length: 128|Connection: keep-alive|" +
	"Cache-Control: public, max-age=3600|Etag: \"5f3c-17a2b9c0d\"|Last-Modified: Mon, 31 Aug 2026 09:00:00 GMT|Vary: Accept-Encoding|X-Request-Id: 0123456789abcdef0123456789abcdef|" +
	"Strict-Transport-Security: max-age=31536000|X-Content-Type-Options: nosniff|Set-Cookie: a=b; Path=/; HttpOnly|X-Served-By: cache-7")

func BenchmarkParse(b *testing.B) {
	for name, head := range map[string]string{"5": fiveLines, "14": fourteenLines} {
		buf := []byte(head)
		var h Head
		b.Run(name+"/cached", func(b *testing.B) {
			b.ReportAllocs()
			var cache Cache
			for b.Loop() {
				h.Parse(buf, "GET", Limits{}, &cache)
			}
		})
		b.Run(name+"/uncached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Parse(buf, "GET", Limits{}, nil)
			}
		})
		b.Run(name+"/AddTo", func(b *testing.B) {
			b.ReportAllocs()
			h.Parse(buf, "GET", Limits{}, nil)
			for b.Loop() {
				h.AddTo(http.Header{})
			}
		})
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	r := Request{Method: "GET", Target: "/products/42?color=blue", Host: "shop.example.com", Header: http.Header{
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"}, "Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Language": {"en-US,en;q=0.5"}, "Accept-Encoding": {"gzip, deflate, br"}, "Cookie": {"session=0123456789abcdef; theme=dark"}, "Referer": {"https://shop.example.com/"},
		"Connection": {"keep-alive"}, "Cache-Control": {"max-age=0"}, "Sec-Fetch-Mode": {"navigate"}, "X-Request-Id": {"0123456789abcdef0123456789abcdef"},
	}, Extra: []Pair{{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https"}}}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = AppendRequest(buf[:0], &r)
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := []byte{}
	for range 8 {
		buf = append(buf, Chunk(make([]byte, 2000+ChunkHead+ChunkTail), 2000)...)
	}
	buf, _ = AppendLastChunk(buf, nil)
	var c Chunked
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		c.Reset()
		for rest := buf; ; {
			_, n, done, err := c.Decode(rest)
			if done || err != nil {
				break
			}
			rest = rest[n:]
		}
	}
}
