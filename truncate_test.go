package lb_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// reset has a connection end with a reset.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// truncations are answers that their backend breaks off, drawn from random.
func truncations(random *rand.Rand) (answer string, reset bool) {
	body := strings.Repeat("0123456789abcdef", 1+random.IntN(4096))
	head, whole := "", ""
	switch kind := random.IntN(3); kind {
	case 0:
		head = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
		whole = head + body
	case 1:
		head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		for rest := body; rest != ""; {
			n := min(len(rest), 1+random.IntN(20_000))
			head, rest = head+fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]), rest[n:]
		}
		whole = head + "0\r\nX-Trailer: 1\r\n\r\n"
	case 2:
		if reset = true; random.IntN(2) == 0 {
			return "HTTP/1.1 200 OK\r\n\r\n" + body, true // only the reset tells
		}
		whole = "HTTP/1.1 204 No Content\r\n\r\n"
	}
	at := random.IntN(len(whole))
	if random.IntN(4) == 0 {
		at = len(whole) - 1 - random.IntN(min(len(whole), 24)) // just before the end
	}
	return whole[:at], reset || random.IntN(4) == 0
}

// A truncated answer is seen as one, each time, wherever it ends and however.
func TestTruncatedAnywhere(t *testing.T) {
	leavesNothing(t)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			backend := newRawBackend(t, func(conn net.Conn, r sent) bool {
				answer, broken := truncations(random) // one request at a time
				if broken {
					reset(conn)
				}
				_, _ = io.WriteString(conn, answer)
				return false
			})
			f := before(t, cfg, nil, backend.url())
			for n := range 500 {
				conn := f.connect(t)
				fmt.Fprintf(conn, "POST /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", n)
				if got := seeing(conn, "POST"); got != "broken" && got != "502" {
					t.Fatalf("answer %d: the client sees %.100q", n, got)
				}
				conn.Close()
			}
		})
	}
}

// The same over HTTP/2, where a stream ends with a reset.
func TestTruncatedAnywhereOverHTTP2(t *testing.T) {
	leavesNothing(t)
	random := rand.New(rand.NewPCG(3, 4))
	backend := newRawBackend(t, func(conn net.Conn, r sent) bool {
		answer, broken := truncations(random)
		if broken {
			reset(conn)
		}
		_, _ = io.WriteString(conn, answer)
		return false
	})
	f := before(t, everything(), onlyH2C(), backend.url())
	client := h2cClient(t)
	for n := range 200 {
		resp, err := client.Post(f.URL, "text/plain", strings.NewReader("x"))
		if err != nil {
			continue // the stream was reset
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusBadGateway {
			t.Fatalf("answer %d: %s with %d bytes is taken for whole", n, resp.Status, len(body))
		}
	}
}

// h2cClient speaks HTTP/2 without TLS.
func h2cClient(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: onlyH2C(), DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}
