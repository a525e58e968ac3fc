package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func outcome(h *Head, n int, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %+v", n, *h)
}

// Whatever Parse accepts, net/http accepts, and understands in the same way. Whatever the bytes,
// neither a cache nor the way in which they come in makes a difference.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fiveLines), []byte(fiveLines), false)
	f.Add([]byte(crlf("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: X-Sum, A|Set-Cookie: a|Set-Cookie: b")), []byte(""), false)
	f.Add([]byte(crlf("HTTP/1.0 304 |content-length: 7|Content-Length:7|Connection: keep-alive, x|X: \t\xff ")), []byte(fiveLines), true)
	f.Add([]byte(crlf("HTTP/1.1 101 Switching|Upgrade: a|connection: upgrade|Keep-Alive: timeout=5|Pragma: no-cache")), []byte("HTTP/1.1"), false)
	f.Fuzz(func(t *testing.T, buf, earlier []byte, isHead bool) {
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		var h, cached Head
		var cache Cache
		n, err := h.Parse(buf, method, Limits{}, nil)
		want := outcome(&h, n, err)
		cached.Parse(earlier, method, Limits{}, &cache)
		for range 2 {
			if n, err := cached.Parse(buf, method, Limits{}, &cache); outcome(&cached, n, err) != want {
				t.Fatalf("with a cache: %s\nwithout: %s", outcome(&cached, n, err), want)
			}
		}
		whole := len(buf)
		if n > 0 {
			whole = n
		}
		for cut := range min(whole, 600) {
			m, early := cached.Parse(buf[:cut], method, Limits{}, &cache)
			if m != 0 || early != nil && err == nil {
				t.Fatalf("cut at %d: took %d, %v; whole: %s", cut, m, early, want)
			}
		}
		if n > 0 {
			sameAsStandard(t, &h, buf[:n], method)
		}
	})
}

func sameAsStandard(t *testing.T, h *Head, head []byte, method string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("net/http: %v, we: %+v", err, h)
	}
	length := h.Length
	if method == "HEAD" {
		length = h.Declared
	}
	if resp.StatusCode != h.Status || resp.ProtoMinor != h.Minor || resp.ContentLength != length || resp.Close && !h.Close {
		t.Fatalf("net/http: %+v\nwe: %+v", resp, h)
	}
	chunked := len(resp.TransferEncoding) == 1
	if h.Chunked != (chunked && resp.Body != http.NoBody) {
		t.Fatalf("net/http: %+v\nwe: %+v", resp, h)
	}
	ours := http.Header{}
	for _, f := range h.Fields {
		ours.Add(f.Key, f.Value)
	}
	drop := []string{"Connection", "Transfer-Encoding"}
	if chunked {
		drop = append(drop, "Trailer")
	}
	if ours.Get("Pragma") == "no-cache" && ours["Cache-Control"] == nil {
		drop = append(drop, "Cache-Control")
	}
	for _, key := range drop {
		ours.Del(key)
		resp.Header.Del(key)
	}
	if !reflect.DeepEqual(ours, resp.Header) {
		t.Fatalf("net/http: %q\nwe: %q", resp.Header, ours)
	}
	added := http.Header{}
	h.AddTo(added)
	for _, f := range h.Fields {
		if _, has := added[f.Key]; has && f.Hop {
			t.Fatalf("passes on %q of %+v", f.Key, h.Fields)
		}
		if !f.Hop && f.Key != "Connection" && !reflect.DeepEqual(added[f.Key], added.Values(f.Key)) {
			t.Fatalf("%q is not canonical", f.Key)
		}
	}
	for key, values := range added {
		if want := resp.Header[key]; want != nil && !reflect.DeepEqual(values, want) {
			t.Fatalf("%s: adds %q, want %q", key, values, want)
		}
	}
}

// Whatever Decode accepts, net/http decodes to the same bytes and trailers, and ends at the same
// place. How the bytes come in makes no difference.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\nmore"))
	f.Add([]byte("5;a=b\r\nhello\r\n06 \t\r\n world\r\n0;x\r\nX-Sum: 1\r\nx-sum: 2\r\nHost: x\r\n\r\n"))
	f.Add([]byte("1\r\nx\r\nffffffffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		body = body[:min(len(body), 1000)]
		data, used, c, err := decode(string(body), len(body))
		for cut := range min(len(body), 100) {
			data2, used2, c2, err2 := decode(string(body), cut)
			if data2 != data || used2 != used || fmt.Sprint(err2) != fmt.Sprint(err) || !reflect.DeepEqual(c2.Trailer(), c.Trailer()) {
				t.Fatalf("cut at %d: %q %d %v, want %q %d %v", cut, data2, used2, err2, data, used, err)
			}
		}
		if err != nil {
			return
		}
		got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		if string(got) != data || err != nil {
			t.Fatalf("NewChunkedReader: %q, %v; we: %q", got, err, data)
		}
		r := bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(body)))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = io.ReadAll(resp.Body); string(got) != data || err != nil {
			t.Fatalf("net/http: %q, %v; we: %q", got, err, data)
		}
		if rest, _ := io.ReadAll(r); string(rest) != string(body[used:]) {
			t.Fatalf("net/http leaves %q, we %q", rest, body[used:])
		}
		ours := http.Header{}
		for _, f := range c.Trailer() {
			ours.Add(f.Key, f.Value)
		}
		for key, values := range resp.Trailer {
			if mayTrail(key) != (ours[key] != nil) || ours[key] != nil && !reflect.DeepEqual(ours[key], values) {
				t.Fatalf("net/http: %q, we: %q", resp.Trailer, ours)
			}
		}
		if len(ours) > len(resp.Trailer) {
			t.Fatalf("net/http: %q, we: %q", resp.Trailer, ours)
		}
	})
}

// Whatever goes in, either nothing comes out or exactly the request that went in.
func FuzzAppendRequest(f *testing.F) {
	f.Add("GET", "/a?b", "a:80", "X-A", "v", "x-b", "w", "websocket", "X-Sum", int64(0), true)
	f.Add("POST", "/", "", "Connection", "x-b, close", "X-Forwarded-For", "::1", "", "Content-Length", int64(-1), false)
	f.Add("OPTIONS", "*", "[::1]", "transfer-encoding", "chunked", "A", " \t", "", "", int64(5), false)
	f.Add("GET", "//x/%zz", "a", "A\r\nB", "v\r\n\r\nGET / HTTP/1.1", "Pragma", "no-cache", "", "", int64(7), true)
	f.Fuzz(func(t *testing.T, method, target, host, key, value, key2, value2, upgrade, trailer string, length int64, trailers bool) {
		r := Request{Method: method, Target: target, Host: host, Header: http.Header{key: {value, "2"}}, Extra: []Pair{{key2, value2}},
			Upgrade: upgrade, TrailerNames: []string{trailer}, Length: length, Trailers: trailers}
		b, err := AppendRequest(nil, &r)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok || b != nil {
				t.Fatalf("%q, %v", b, err)
			}
			return
		}
		want := http.Header{}
		if meaningOf(nameOf(key)) == plain {
			want[http.CanonicalHeaderKey(key)] = []string{trim(value), "2"}
		}
		want.Add(key2, trim(value2))
		readBack(t, b, &r, want)
	})
}

func readBack(t *testing.T, b []byte, r *Request, want http.Header) {
	t.Helper()
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	if string(line) != r.Method+" "+r.Target+" HTTP/1.1" {
		t.Fatalf("request line %q", line)
	}
	if _, err := url.ParseRequestURI(r.Target); err != nil { // net/http would refuse it for this alone
		b = append([]byte(r.Method+" / HTTP/1.1\r\n"), rest...)
	}
	br := bufio.NewReader(bytes.NewReader(b))
	got, err := http.ReadRequest(br)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	if left, _ := io.ReadAll(br); len(left) > 0 {
		t.Fatalf("%q leaves %q", b, left)
	}
	length := r.Length
	if got.Method != r.Method || got.Host != r.Host || got.ContentLength != length || (length == -1) != (len(got.TransferEncoding) == 1) {
		t.Fatalf("%q: %+v", b, got)
	}
	if want.Get("Pragma") == "no-cache" && want["Cache-Control"] == nil {
		want.Set("Cache-Control", "no-cache")
	}
	for _, key := range []string{"Content-Length", "Connection", "Te", "Upgrade"} {
		got.Header.Del(key)
	}
	if !reflect.DeepEqual(got.Header, want) {
		t.Fatalf("%q: %q, want %q", b, got.Header, want)
	}
}
