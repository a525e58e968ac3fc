package h1

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestAppendRequest(t *testing.T) {
	for want, r := range map[string]Request{
		"GET / HTTP/1.1|Host: a||":                                                 {Method: "GET", Target: "/", Host: "a"},
		"OPTIONS * HTTP/1.1|Host: ||":                                              {Method: "OPTIONS", Target: "*"},
		"GET /?a=b%20\xff HTTP/1.1|Host: [::1]:80|A: ||":                           {Method: "GET", Target: "/?a=b%20\xff", Host: "[::1]:80", Header: http.Header{"A": {""}}},
		"POST / HTTP/1.1|Host: a|Content-Length: 0||":                              {Method: "POST", Target: "/", Host: "a"},
		"PUT / HTTP/1.1|Host: a|Content-Length: 0||":                               {Method: "PUT", Target: "/", Host: "a"},
		"PATCH / HTTP/1.1|Host: a|Content-Length: 0||":                             {Method: "PATCH", Target: "/", Host: "a"},
		"DELETE / HTTP/1.1|Host: a||":                                              {Method: "DELETE", Target: "/", Host: "a"},
		"GET / HTTP/1.1|Host: a|Content-Length: 9||":                               {Method: "GET", Target: "/", Host: "a", Length: 9, TrailerNames: []string{"X"}},
		"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Trailer: X-A, x-b||":   {Method: "POST", Target: "/", Host: "a", Length: -1, TrailerNames: []string{"X-A", "Content-Length", "x-b", "host"}},
		"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||":                     {Method: "POST", Target: "/", Host: "a", Length: -1, TrailerNames: []string{"te"}},
		"GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket||":          {Method: "GET", Target: "/", Host: "a", Upgrade: "websocket"},
		"GET / HTTP/1.1|Host: a|Connection: TE|TE: trailers||":                     {Method: "GET", Target: "/", Host: "a", Trailers: true},
		"GET / HTTP/1.1|Host: a|Connection: Upgrade, TE|Upgrade: x|TE: trailers||": {Method: "GET", Target: "/", Host: "a", Upgrade: "x", Trailers: true},
		"GET / HTTP/1.1|Host: a|X: 1|X: 2|x-forwarded-for: me|Y: ours||": {Method: "GET", Target: "/", Host: "a", Header: http.Header{"X": {"1", "2"}, "Z": {"3"}, "z": {"4"}, "Y": {"theirs"},
			"Connection": {"close, y"}, "Keep-Alive": {"x"}, "Proxy-Connection": {"x"}, "Te": {"x"}, "Trailer": {"x"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"x"}, "Host": {"x"}, "Content-Length": {"3"},
			"connection": {"close"}, "TRANSFER-ENCODING": {"chunked"}, "content-length": {"5"}, "host": {"b"}},
			Omit: func(key string) bool { return key == "Z" }, Extra: []Pair{{"x-forwarded-for", "me"}, {"Y", "ours"}}},
	} {
		got, err := AppendRequest([]byte("before"), &r)
		if want := "before" + strings.ReplaceAll(want, "|", "\r\n"); string(got) != want || err != nil {
			t.Errorf("got  %q, %v\nwant %q", got, err, want)
		}
	}
}

func TestAppendRequestRefuses(t *testing.T) {
	cases := map[string]Request{}
	for _, s := range []string{"", " ", "G T", "GET ", "GET\r\n", "G\x00", "G:", "G/", "CONNECT", "\xc3\xa4", "GET\t"} {
		cases["method "+s] = Request{Method: s, Target: "/", Host: "a"}
	}
	for _, s := range []string{"", " ", "a", "http://a/", "/ ", "/ HTTP/1.1\r\nA: b", "/\n", "/\x00", "/\x7f", "/#a", "*", "**", "/\t"} {
		cases["target "+s] = Request{Method: "GET", Target: s, Host: "a"}
	}
	for _, s := range []string{" ", "a b", "a\r\nX: y", "a/b", "a@b", "a\x00", "a\t", "\xc3\xa4", "a?b", "a#b", "a\\b", "a\"", "<a>"} {
		cases["host "+s] = Request{Method: "GET", Target: "/", Host: s}
	}
	for _, s := range []string{"", " ", "A ", "A:", "A\r\nB", "A\x00", "\xc3\xa4", "A B", "Content-Length ", "Transfer-Encoding\t", "\nHost"} {
		cases["key "+s] = Request{Method: "GET", Target: "/", Host: "a", Header: http.Header{s: {"v"}}}
		cases["extra key "+s] = Request{Method: "GET", Target: "/", Host: "a", Extra: []Pair{{s, "v"}}}
		cases["trailer name "+s] = Request{Method: "GET", Target: "/", Host: "a", Length: -1, TrailerNames: []string{s}}
	}
	for _, s := range []string{"host", "Content-Length", "transfer-encoding", "Connection", "TE", "Trailer", "upgrade", "keep-alive", "Proxy-Connection"} {
		cases["extra "+s] = Request{Method: "GET", Target: "/", Host: "a", Extra: []Pair{{s, "v"}}}
	}
	for _, s := range []string{"\r\n", "a\r\nB: c", "a\n", "a\r", "\x00", "12345678\x00", "1234567\x7f9", "\x1b[0m", "\x0b"} {
		cases["value "+s] = Request{Method: "GET", Target: "/", Host: "a", Header: http.Header{"A": {"v", s}}}
		cases["extra value "+s] = Request{Method: "GET", Target: "/", Host: "a", Extra: []Pair{{"A", s}}}
		cases["upgrade "+s] = Request{Method: "GET", Target: "/", Host: "a", Upgrade: s}
	}
	cases["length"] = Request{Method: "GET", Target: "/", Host: "a", Length: -2}
	cases["connection"] = Request{Method: "GET", Target: "/", Host: "a", Header: http.Header{"Connection": {"a,b,c,d,e,f,g,h,i", "j,k,l,m,n,o,p,q"}}}
	for name, r := range cases {
		got, err := AppendRequest([]byte("before"), &r)
		if _, ok := errors.AsType[*Error](err); !ok || string(got) != "before" {
			t.Errorf("%q: %q, %v", name, got, err)
		} else if strings.ContainsAny(err.Error(), "\r\n\x00\x1b\x7f") || len(err.Error()) > 400 {
			t.Errorf("%q: the error has %q", name, err.Error())
		}
	}
}

func TestAppendChunks(t *testing.T) {
	if b := Chunk(make([]byte, 20), 0); len(b) != 0 {
		t.Errorf("nothing became %q", b)
	}
	for n := 1; n < 5000; n++ { // the room is enough, and no more than n bytes and the frame are touched
		buf := bytes.Repeat([]byte("x"), ChunkHead+n+ChunkTail)
		if got, want := Chunk(buf, n), fmt.Sprintf("%x\r\n%s\r\n", n, bytes.Repeat([]byte("x"), n)); string(got) != want {
			t.Fatalf("%d bytes: %.20q", n, got)
		}
	}
	b, err := AppendLastChunk([]byte("before"), http.Header{"X-A": {"1", "2"}, "Content-Length": {"5"}, "transfer-encoding": {"chunked"}})
	if want := "before0\r\nX-A: 1\r\nX-A: 2\r\n\r\n"; string(b) != want || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	for _, trailer := range []http.Header{{"": {"v"}}, {"A B": {"v"}}, {"A": {"v", "v\r\n"}}, {"A\r\n": {"v"}}} {
		if b, err := AppendLastChunk([]byte("before"), trailer); string(b) != "before" || err == nil {
			t.Errorf("%q: %q", trailer, b)
		}
	}
}
