package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb/transport"
)

// Every kind of answer comes as it was sent, again and again over one connection if it may.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 64<<10)
	for _, c := range []struct {
		name, method, answer, body string
		length                     int64
		reused                     bool
	}{
		{"length", "GET", hello, "hello", 5, true},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 0, true},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "hello", -1, true},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", -1, false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, false},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", 5, false},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", 5, true},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "", 0, true},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 5, true},
		{"long", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), long, int64(len(long)), true},
		{"long chunk", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long), long, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, rt http.RoundTripper) {
				b := play(t, func(p *peer) {
					for p.request() != nil {
						p.say(c.answer)
						if !c.reused {
							return
						}
					}
				})
				for range 3 {
					r, err := call{method: c.method, addr: b.addr}.over(t, rt)
					if err != nil || r.bodyErr != nil {
						t.Fatal(err, r.bodyErr)
					}
					length := r.ContentLength
					if c.name == "304" { // net/http says 0 or 5, by version
						length = c.length
					}
					if r.body != c.body || length != c.length {
						t.Errorf("%d bytes, length %d, want %d, %d", len(r.body), r.ContentLength, len(c.body), c.length)
					}
				}
				if n := b.conns.Load(); c.reused != (n == 1) {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A request's body arrives whole, whatever its size and whether its length is known, and the
// connection serves the next request.
func TestRequestBodies(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 1 << 20} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprint(size, known), func(t *testing.T) {
				overBoth(t, func(t *testing.T, rt http.RoundTripper) {
					sent := bytes.Repeat([]byte("x"), size)
					b := play(t, func(p *peer) {
						for r := p.request(); r != nil; r = p.request() {
							body, _ := io.ReadAll(r.Body)
							p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Got: %d %d\r\n\r\ndone", len(body), r.ContentLength))
						}
					})
					for range 3 {
						c := call{method: "POST", addr: b.addr, body: struct{ io.Reader }{bytes.NewReader(sent)}, length: -1}
						want := fmt.Sprint(size, " ", -1)
						if known {
							c.length, want = int64(size), fmt.Sprint(size, " ", size)
						}
						if size == 0 && known {
							c.body = http.NoBody
						}
						r, err := c.over(t, rt)
						if err != nil || r.body != "done" {
							t.Fatal(r.body, err)
						}
						if got := r.Header.Get("X-Got"); got != want && size > 0 {
							t.Errorf("the backend got %s, want %s", got, want)
						}
					}
					if n := b.conns.Load(); n != 1 && rtName(rt) == "ours" {
						t.Errorf("%d connections", n)
					}
				})
			})
		}
	}
}

func rtName(rt http.RoundTripper) string {
	if _, ours := rt.(*transport.Transport); ours {
		return "ours"
	}
	return "net/http"
}

// Informational responses are told of, in order, and the final one is the answer.
func TestInformational(t *testing.T) {
	overBoth(t, func(t *testing.T, rt http.RoundTripper) {
		b := play(t, forever("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+hello))
		var seen []string
		r, err := call{addr: b.addr, interim: func(code int, h http.Header) { seen = append(seen, fmt.Sprint(code, " ", h)) }}.over(t, rt)
		if err != nil || r.body != "hello" || fmt.Sprint(seen) != "[103 map[Link:[</a>]] 102 map[]]" {
			t.Error(r.body, err, seen)
		}
	})
}

// Trailers go both ways.
func TestTrailers(t *testing.T) {
	overBoth(t, func(t *testing.T, rt http.RoundTripper) {
		b := play(t, func(p *peer) {
			for {
				r, err := http.ReadRequest(p.br)
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				p.say("HTTP/1.1 200 OK\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-A: " + r.Trailer.Get("X-Up") + "\r\nX-B: 2\r\n\r\n")
			}
		})
		up := http.Header{"X-Up": nil}
		body := &whenRead{Reader: strings.NewReader("body"), end: func() { up.Set("X-Up", "1") }}
		r, err := call{method: "POST", addr: b.addr, body: body, length: -1, trailer: up}.over(t, rt)
		if err != nil || r.body != "hi" {
			t.Fatal(r.body, err)
		}
		if r.Trailer.Get("X-A") != "1" || r.Trailer.Get("X-B") != "2" {
			t.Error(r.Trailer)
		}
	})
}

// whenRead calls end when its reader is at its end.
type whenRead struct {
	io.Reader
	end func()
}

func (b *whenRead) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.end()
	}
	return n, err
}

// A body is sent when the backend says 100 or stays silent for long, and not at all after a final
// status.
func TestExpectContinue(t *testing.T) {
	overBoth(t, func(t *testing.T, rt http.RoundTripper) {
		for _, how := range []string{"100", "final"} {
			read := false
			b := play(t, func(p *peer) {
				r, err := http.ReadRequest(p.br)
				if err != nil {
					return
				}
				if how == "final" {
					p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
					p.rest()
					return
				}
				p.say("HTTP/1.1 100 Continue\r\n\r\n")
				body, _ := io.ReadAll(r.Body)
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			})
			for range 2 { // the second time not over a connection where a body may still be due
				body := &whenRead{Reader: strings.NewReader("body"), end: func() { read = true }}
				r, err := call{method: "POST", addr: b.addr, body: body, length: -1, header: http.Header{"Expect": {"100-continue"}}}.over(t, rt)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[string]int{"100": 200, "final": 413}[how]; r.StatusCode != want {
					t.Errorf("%s: %d, want %d", how, r.StatusCode, want)
				}
				if how == "final" && read && rtName(rt) == "ours" {
					t.Error("the body was read though nobody wanted it")
				}
				if rtName(rt) == "net/http" {
					break // it sends the body after all, and then waits for ever here
				}
			}
		}
	})
}

// An answer that comes while a long body is still being sent is delivered.
func TestEarlyAnswer(t *testing.T) {
	overBoth(t, func(t *testing.T, rt http.RoundTripper) {
		b := play(t, func(p *peer) {
			if _, err := http.ReadRequest(p.br); err != nil {
				return
			}
			p.say("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
			p.rest()
		})
		r, err := call{method: "POST", addr: b.addr, body: struct{ io.Reader }{io.LimitReader(zeros{}, 64<<20)}, length: 64 << 20}.over(t, rt)
		if err != nil || r.StatusCode != 413 || r.body != "big" {
			t.Error(r.body, err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// After 101 the body is the tunnel, with what came along with the head, and half of it may be
// closed.
func TestUpgrade(t *testing.T) {
	overBoth(t, func(t *testing.T, rt http.RoundTripper) {
		b := play(t, func(p *peer) {
			if p.request() == nil {
				return
			}
			p.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst ")
			p.say("heard: " + p.rest())
		})
		resp, err := rt.RoundTrip(call{addr: b.addr, header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}}.request(t))
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" || resp.Header.Get("Connection") != "Upgrade" {
			t.Error(resp.StatusCode, resp.Header)
		}
		conn := resp.Body.(interface {
			io.ReadWriteCloser
			CloseWrite() error
		})
		io.WriteString(conn, "ping")
		conn.CloseWrite()
		all, err := io.ReadAll(conn)
		if string(all) != "first heard: ping" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		conn.Close()
	})
}

// A body that ends early is never taken for a whole one, wherever it is cut.
func TestTruncated(t *testing.T) {
	for _, answer := range []string{hello, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		for n := range len(answer) {
			b := play(t, func(p *peer) {
				if p.request() != nil {
					p.say(answer[:n])
				}
			})
			tr := engine(t, transport.Config{})
			r, err := call{addr: b.addr}.over(t, tr)
			switch head := strings.Index(answer, "\r\n\r\n") + 4; {
			case n == 0:
				wantError(t, err, transport.NoAnswer, false)
			case n < head:
				wantError(t, err, transport.BrokenOff, false)
			case err != nil:
				t.Error(n, err)
			default:
				wantError(t, r.bodyErr, transport.BrokenOff, false)
			}
			tr.Close()
		}
	}
}
