package h1

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// crlf writes a head as lines separated by |, and ends it.
func crlf(lines string) string { return strings.ReplaceAll(lines, "|", "\r\n") + "\r\n\r\n" }

func parse(t *testing.T, head, method string) Head {
	t.Helper()
	var h Head
	n, err := h.Parse([]byte(head), method, Limits{}, nil)
	if err != nil || n != len(head) {
		t.Fatalf("%q: took %d of %d bytes, %v", head, n, len(head), err)
	}
	return h
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		method, head string
		want         Head
	}{
		{"GET", "HTTP/1.1 200 OK", Head{Minor: 1, Status: 200, Length: -1, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 200 ", Head{Minor: 1, Status: 200, Length: -1, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 200", Head{Minor: 1, Status: 200, Length: -1, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 999 \x80 odd\t", Head{Minor: 1, Status: 999, Length: -1, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 0", Head{Minor: 1, Status: 200}},
		{"GET", "HTTP/1.1 200 OK|content-length:7", Head{Minor: 1, Status: 200, Length: 7, Declared: 7}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 7|CONTENT-LENGTH:\t7 ", Head{Minor: 1, Status: 200, Length: 7, Declared: 7}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 9223372036854775807", Head{Minor: 1, Status: 200, Length: 1<<63 - 1, Declared: 1<<63 - 1}},
		{"HEAD", "HTTP/1.1 200 OK|Content-Length: 7", Head{Minor: 1, Status: 200, Declared: 7}},
		{"HEAD", "HTTP/1.1 200 OK|Transfer-Encoding: chunked", Head{Minor: 1, Status: 200, Declared: -1}},
		{"HEAD", "HTTP/1.1 200 OK", Head{Minor: 1, Status: 200, Declared: -1}},
		{"GET", "HTTP/1.1 304 Not Modified|Content-Length: 7", Head{Minor: 1, Status: 304, Declared: 7}},
		{"GET", "HTTP/1.1 204 No Content", Head{Minor: 1, Status: 204, Declared: -1}},
		{"GET", "HTTP/1.1 204 No Content|Content-Length: 7", Head{Minor: 1, Status: 204, Declared: 7, Close: true}},
		{"GET", "HTTP/1.1 204 No Content|Transfer-Encoding: chunked", Head{Minor: 1, Status: 204, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 100 Continue", Head{Minor: 1, Status: 100, Declared: -1}},
		{"GET", "HTTP/1.1 103 Early Hints|Link: </a.css>", Head{Minor: 1, Status: 103, Declared: -1}},
		{"GET", "HTTP/1.1 200 OK|transfer-encoding: CHUNKED", Head{Minor: 1, Status: 200, Length: -1, Declared: -1, Chunked: true}},
		{"GET", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: X-Sum", Head{Minor: 1, Status: 200, Length: -1, Declared: -1, Chunked: true}},
		{"GET", "HTTP/1.0 200 OK|Content-Length: 1", Head{Status: 200, Length: 1, Declared: 1, Close: true}},
		{"GET", "HTTP/1.0 200 OK|Content-Length: 1|Connection: Keep-Alive", Head{Status: 200, Length: 1, Declared: 1}},
		{"GET", "HTTP/1.0 200 OK|Content-Length: 1|Connection: Keep-Alive, close", Head{Status: 200, Length: 1, Declared: 1, Close: true}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Connection: , cLose ,", Head{Minor: 1, Status: 200, Length: 1, Declared: 1, Close: true}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Connection: |Connection: x|Connection: close", Head{Minor: 1, Status: 200, Length: 1, Declared: 1, Close: true}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Keep-Alive: max=9, Timeout = 5 |Connection: keep-alive", Head{Minor: 1, Status: 200, Length: 1, Declared: 1, KeepAlive: 5 * time.Second}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Keep-Alive: timeout=999999999", Head{Minor: 1, Status: 200, Length: 1, Declared: 1, KeepAlive: 24 * time.Hour}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Keep-Alive: timeout=-1, timeout=x, timeout", Head{Minor: 1, Status: 200, Length: 1, Declared: 1}},
		{"GET", "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: Upgrade", Head{Minor: 1, Status: 101, Declared: -1, Close: true, Upgrade: "websocket"}},
		{"GET", "HTTP/1.1 101 Switching Protocols|Upgrade: websocket", Head{Minor: 1, Status: 101, Declared: -1, Close: true}},
		{"GET", "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: upgrade|Upgrade: h2c", Head{Minor: 1, Status: 101, Declared: -1, Close: true, Upgrade: "websocket, h2c"}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|Connection: " + strings.Repeat("x,X,y,", 100) + "close", Head{Minor: 1, Status: 200, Length: 1, Declared: 1, Close: true}},
		{"GET", "HTTP/1.1 200 OK|Content-Length: 1|X-Empty:|X-Tab: a\tb|X-Obs: \xff\x80", Head{Minor: 1, Status: 200, Length: 1, Declared: 1}},
	} {
		got := parse(t, crlf(c.head), c.method)
		got.Fields, got.options, got.upgrade, got.coded, got.trailers = nil, options{}, "", false, false
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %q:\n got %+v\nwant %+v", c.method, c.head, got, c.want)
		}
	}
}

func TestFields(t *testing.T) {
	h := parse(t, crlf("HTTP/1.1 200 OK|Content-Length: 7|date: x|X-Gone: 1|A^: 1|Connection: x-gone, a~, keep-alive, content-length|"+
		"Content-Length: 7|Set-Cookie:a=1|SET-COOKIE: \t b=2\t|TE: trailers|Proxy-Connection: x|Upgrade: y|Keep-Alive: z|x-odd_name: v|Trailer: T"), "GET")
	want := []Field{
		{"Content-Length", "7", false}, {"Date", "x", false}, {"X-Gone", "1", true}, {"A^", "1", false},
		{"Connection", "x-gone, a~, keep-alive, content-length", true}, {"Set-Cookie", "a=1", false}, {"Set-Cookie", "b=2", false},
		{"Te", "trailers", true}, {"Proxy-Connection", "x", true}, {"Upgrade", "y", true}, {"Keep-Alive", "z", true},
		{"X-Odd_name", "v", false}, {"Trailer", "T", false},
	}
	if !reflect.DeepEqual(h.Fields, want) {
		t.Errorf("got  %v\nwant %v", h.Fields, want)
	}
	dst := http.Header{"X-Ours": {"1"}, "Date": {"ours"}}
	h.AddTo(dst)
	if want := (http.Header{"X-Ours": {"1"}, "Content-Length": {"7"}, "Date": {"ours", "x"}, "Set-Cookie": {"a=1", "b=2"},
		"A^": {"1"}, "X-Odd_name": {"v"}, "Trailer": {"T"}}); !reflect.DeepEqual(dst, want) {
		t.Errorf("got  %v\nwant %v", dst, want)
	}
}

// A value that somebody appends to must not write over its neighbours, nor over another call's.
func TestAddToSharesNothing(t *testing.T) {
	h := parse(t, crlf("HTTP/1.1 200 OK|A: 1|B: 2|A: 3|B: 4|C: 5|C: 6"), "GET")
	first, second := http.Header{}, http.Header{}
	h.AddTo(first)
	h.AddTo(second)
	for key := range first {
		first[key] = append(first[key], "own")
		first[key][0] = "changed"
	}
	if want := (http.Header{"A": {"1", "3"}, "B": {"2", "4"}, "C": {"5", "6"}}); !reflect.DeepEqual(second, want) {
		t.Errorf("got %v", second)
	}
	if want := (http.Header{"A": {"changed", "3", "own"}, "B": {"changed", "4", "own"}, "C": {"changed", "6", "own"}}); !reflect.DeepEqual(first, want) {
		t.Errorf("got %v", first)
	}
}

func TestMalformedHeads(t *testing.T) {
	heads := []string{
		"\r\nHTTP/1.1 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "<html>", "ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\n", "HTTP/1.1 200 OK\r\rA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "HTTP/1.1 200 OK\r\n\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n \r\n\r\n",
	}
	for _, lines := range []string{
		"HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/1.10 200 OK", "HTTP/1. 200 OK", "HTTP/0.9 200 OK", "HTTP/1.1200 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1",
		"HTTP/1.1 ", "HTTP/1.1 20 OK", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 200OK",
		"HTTP/1.1 200\tOK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\x7fK", "HTTP/1.1 200 \x1b[31m", "HTTP/1.1 200-OK",
	} {
		heads = append(heads, crlf(lines))
	}
	for _, lines := range []string{
		": v", ":", "A", "A b", "A : v", "A\t: v", " A: v", "\tA: v", "A: v| folded", "A: v|\tfolded", "A\x00: v", "A\x7f: v", "\xc3\xa4: v", "A(: v", "A/: v", "A b: v", "A\r: v", "\"A\": v", "@: v", "A,B: v", "{}: v",
		"A: \x00", "A: v\x00v", "A: v\rv", "A: v\r", "A: \x1b[0m", "A: \x7f", "A: 12345678\x0112345678", "A: 1234567\x7f", "A: v\x0b", "A: v\x0c",
		"Content-Length:", "Content-Length: ", "Content-Length: +1", "Content-Length: -1", "Content-Length: 1 1", "Content-Length: 1,1", "Content-Length: 1, 1", "Content-Length: 0x1", "Content-Length: 1.0",
		"Content-Length: 9223372036854775808", "Content-Length: 18446744073709551617", "Content-Length: 99999999999999999999999", "Content-Length: \xb2", "Content-Length: 1_0", "Content-Length: 1:", "Content-Length: /1", "Content-Length: 1e1", "Content-Length: \"1\"",
		"Content-Length: 1|Content-Length: 2", "Content-Length: 1|Content-Length: 01", "Content-Length: 1|A: b|content-length: x", "Content-Length: 1|Content-Length:",
		"Content-Length: 1|Transfer-Encoding: chunked", "Transfer-Encoding: chunked|Content-Length: 1", "Content-Length: 0|Transfer-Encoding: chunked", "Content-Length : 1", "Transfer-Encoding : chunked",
		"Transfer-Encoding:", "Transfer-Encoding: identity", "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunkedx", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: chunked|Transfer-Encoding: chunked",
		"Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chun\u212aed", "Transfer-Encoding: chunked|Transfer-Encoding: identity", "Transfer-Encoding: \xa0chunked",
		"Transfer-Encoding: chunked|Trailer: Content-Length", "Transfer-Encoding: chunked|Trailer: a, transfer-encoding", "Transfer-Encoding: chunked|Trailer: a|Trailer: TRAILER",
		"Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
	} {
		heads = append(heads, crlf("HTTP/1.1 200 OK|"+lines), crlf("HTTP/1.1 200 OK|Server: x|"+lines+"|Date: now"))
	}
	heads = append(heads, crlf("HTTP/1.0 200 OK|Transfer-Encoding: chunked"), crlf("HTTP/1.0 200 OK|Connection: keep-alive|Transfer-Encoding: chunked"))
	for _, method := range []string{"GET", "HEAD"} {
		for _, head := range heads {
			var h Head
			n, err := h.Parse([]byte(head), method, Limits{}, nil)
			if _, ok := errors.AsType[*Error](err); !ok || n != 0 {
				t.Errorf("%s %q: %d, %v", method, head, n, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		bytes, fields int
		limits        Limits
		ok            bool
	}{
		{64 << 10, 1, Limits{}, true}, {64<<10 + 1, 1, Limits{}, false}, {200, 1, Limits{Bytes: 200}, true}, {200, 1, Limits{Bytes: 199}, false},
		{3000, 256, Limits{}, true}, {3000, 257, Limits{}, false}, {200, 3, Limits{Fields: 3}, true}, {200, 4, Limits{Fields: 3}, false},
	} {
		head := "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", c.fields-1) + "A: "
		head += strings.Repeat("b", c.bytes-len(head)-4) + "\r\n\r\n"
		var h Head
		n, err := h.Parse([]byte(head), "GET", c.limits, nil)
		if c.ok && (n != c.bytes || err != nil) || !c.ok && (n != 0 || !errors.Is(err, ErrTooLarge)) {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
		if n, err := h.Parse([]byte(head[:c.bytes-1]), "GET", c.limits, nil); c.ok && (n != 0 || err != nil) {
			t.Errorf("%+v, all but one byte: %d, %v", c, n, err)
		}
	}
	endless := []byte("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 70<<10))
	var h Head
	if n, err := h.Parse(endless, "GET", Limits{}, nil); n != 0 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("a head without end: %d, %v", n, err)
	}
}

// Whatever was parsed before on a connection, and with whatever cache, a head means the same.
func TestCacheChangesNothing(t *testing.T) {
	heads := []string{
		"HTTP/1.1 200 OK|A: 1|B: 2|Content-Length: 3", "HTTP/1.1 200 OK|A: 1|B: 2|Content-Length: 4", "HTTP/1.1 200 OK|a: 1|B: 2", "HTTP/1.1 200 OK|A: 11|B: 2",
		"HTTP/1.1 200 OK|A: |B: 2", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK|Content-Length: 3|Content-Length: 3", "HTTP/1.1 200 OK|Content-Length: 3|Content-Length: 03",
		"HTTP/1.1 200 OK|Content-Length: 3|Transfer-Encoding: chunked", "HTTP/1.1 200 OK|Connection: b|B: 2", "HTTP/1.1 200 OK|Connection: a|B: 2", "HTTP/1.1 101 OK|Upgrade: x|Connection: upgrade",
		"HTTP/1.1 200 OK|A: " + strings.Repeat("x", 251), "HTTP/1.1 200 OK|A: " + strings.Repeat("x", 252), "HTTP/1.1 200 OK|A: 1" + strings.Repeat("|B: 2", 20), "HTTP/1.1 200 OK|A : 1|B: 2", "HTTP/1.1 200 OK|A: 1\n|B: 2",
	}
	for _, earlier := range heads {
		for _, head := range heads {
			var cache Cache
			var with, without Head
			with.Parse([]byte(crlf(earlier)), "GET", Limits{}, &cache)
			n, err := with.Parse([]byte(crlf(head)), "GET", Limits{}, &cache)
			m, want := without.Parse([]byte(crlf(head)), "GET", Limits{}, nil)
			if n != m || fmt.Sprint(err) != fmt.Sprint(want) || fmt.Sprintf("%+v", with) != fmt.Sprintf("%+v", without) {
				t.Errorf("%q after %q: %d %v %+v, want %d %v %+v", head, earlier, n, err, with, m, want, without)
			}
			for i := range cache.lines {
				if l := &cache.lines[i]; len(l.raw) > maxLine {
					t.Errorf("remembers %d bytes of %q", len(l.raw), head)
				}
			}
		}
	}
}

var fiveLines = crlf("HTTP/1.1 200 OK|Server: nginx|Date: Tue, 01 Sep 2026 10:00:00 GMT|Content-Type: text/plain|Content-Length: 128|Connection: keep-alive")

func TestParseAllocatesNothing(t *testing.T) {
	var h Head
	var cache Cache
	buf := []byte(fiveLines + "body")
	if n := testing.AllocsPerRun(100, func() { h.Parse(buf, "GET", Limits{}, &cache) }); n != 0 {
		t.Errorf("Parse: %v allocations", n)
	}
	dst := http.Header{}
	h.AddTo(dst)
	if n := testing.AllocsPerRun(100, func() { clear(dst); h.AddTo(dst) }); n > 1 {
		t.Errorf("AddTo: %v allocations", n)
	}
}
