package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// Whatever a backend answers, cut wherever, an exchange ends and nothing panics. What is delivered
// as a whole answer is what net/http takes for whole, and the same. The next request gets its own
// answer, and over the same connection only if nothing was left on it.
func FuzzBackend(f *testing.F) {
	const head, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for i, answer := range []string{
		hello, hello + hello, hello + "x", hello[:len(hello)-1], "", head, head + "\r\nuntil the end", "HTTP/1.0 200 OK\r\n\r\nold",
		chunked + "5;a=b\r\nhello\r\n0\r\n\r\n", chunked + "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", chunked + "5\r\nhello\r\n0\r\n\r\nmore", chunked + "5\r\nhel",
		chunked + "5\r\nhello!\r\n0\r\n\r\n", chunked + "\r\n", chunked + "fffffffffffffffff\r\n", chunked + "5\nhello\r\n0\r\n\r\n",
		head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		head + "Connection: close\r\nContent-Length: 2\r\n\r\nok", head + "Keep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + hello, strings.Repeat("HTTP/1.1 102 X\r\n\r\n", 6) + hello, "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi", "garbage\r\n\r\n", "HTTP/1.1 200 OK\n\n", "\x00\x00\x00\x04",
	} {
		f.Add([]byte(answer), uint64(i), uint8(i))
		f.Add([]byte(answer), uint64(i)*0x9e3779b97f4a7c15, uint8(i/2))
	}
	f.Fuzz(func(t *testing.T, answer []byte, cuts uint64, how uint8) {
		r := &round{answer: answer, cuts: cuts, closes: how&1 != 0, direct: how&2 != 0, method: "GET", written: make(chan bool, 1)}
		if how&4 != 0 {
			r.method = "HEAD"
		}
		if how&8 != 0 {
			r.body = strings.Repeat("x", 20<<10)
			r.method = "POST"
		}
		r.run(t)
	})
}

// round is one run of FuzzBackend.
type round struct {
	answer  []byte
	cuts    uint64 // where the answer is cut
	closes  bool   // the backend closes the connection behind it
	direct  bool   // Do is asked, not RoundTrip
	method  string
	body    string
	written chan bool // all of the answer was
}

// script gives the answer to the first request, and hello to all others.
func (r *round) script(p *peer) {
	defer func() {
		select {
		case r.written <- true: // there was no request
		default:
		}
	}()
	for p.request() != nil {
		if p.n > 1 {
			p.say(hello)
			continue
		}
		rest, random := r.answer, r.cuts
		for len(rest) > 0 {
			n := len(rest)
			if random%4 != 0 {
				n = min(n, int(1+random>>2%61))
			}
			if _, err := p.Write(rest[:n]); err != nil {
				break
			}
			rest, random = rest[n:], random*6364136223846793005+1442695040888963407
		}
		select {
		case r.written <- true:
		default:
		}
		if p.n = 2; r.closes {
			return
		}
	}
}

// run asks twice and compares.
func (r *round) run(t *testing.T) {
	b := socket(t, r.script)
	tr := engine(t, transport.Config{HeaderTimeout: 20 * time.Millisecond, BodyTimeout: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	status, body, err := r.ask(ctx, t, tr, b, true)
	if b.conns.Load() == 0 {
		return // the machine is busy
	}
	select {
	case <-r.written: // before that, what comes behind cannot be told from an answer
	case <-ctx.Done():
		t.Fatal("it took too long")
	}
	reader := bufio.NewReader(bytes.NewReader(r.answer))
	want, wantBody, failed := standard(reader, r.method)
	left, _ := io.ReadAll(reader)
	if err == nil && (failed != nil || status != want.StatusCode || body != wantBody) {
		t.Fatalf("we: %d %q\nnet/http: %v %q, %v", status, body, want, wantBody, failed)
	}
	status, body, second := r.ask(ctx, t, tr, b, false)
	if e, ok := errors.AsType[*transport.Error](second); ok && e.Timeout() {
		return // the machine is busy
	}
	if second != nil || status != 200 || body != "hello" {
		t.Fatalf("the next request got %d %q, %v", status, body, second)
	}
	if b.conns.Load() == 1 && (err != nil || len(left) > 0 || r.closes) {
		t.Fatalf("the connection was used again with %q on it, after %v", left, err)
	}
	if ctx.Err() != nil {
		t.Fatal("it took too long")
	}
}

// ask sends one request and reads the answer to its end.
func (r *round) ask(ctx context.Context, t *testing.T, tr *transport.Transport, b *backend, first bool) (int, string, error) {
	method, body := "GET", ""
	if first {
		method, body = r.method, r.body
	}
	if r.direct {
		req := &transport.Request{Scheme: "unix", Addr: b.addr, Method: method, Target: "/", Host: "shop", Idempotent: body == ""}
		if body != "" {
			req.Body, req.Length = strings.NewReader(body), int64(len(body))
		}
		var x transport.Exchange
		if err := tr.Do(ctx, req, &x); err != nil {
			return 0, "", err
		}
		defer x.Close()
		var got bytes.Buffer
		_, err := x.CopyTo(&got, func() error { return nil }, false)
		return x.Status(), got.String(), err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Scheme, req.URL.Host = "unix", b.addr
	if body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// standard is how net/http reads an answer, behind informational ones.
func standard(in *bufio.Reader, method string) (*http.Response, string, error) {
	for range 100 {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, "", err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			body, err := io.ReadAll(resp.Body)
			return resp, string(body), err
		}
	}
	return nil, "", fmt.Errorf("no final answer")
}
