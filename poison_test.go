package lb_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A CONNECT over HTTP/2 with a body of unknown length would become raw bytes on a connection that
// others use. It is refused, and none of those around it gets an answer that is not its own.
func TestConnectPoisonsNobody(t *testing.T) {
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			leavesNothing(t)
			backend := newRawBackend(t, echo)
			f := before(t, cfg, onlyH2C(), backend.url())
			client := h2cClient(t)
			var all sync.WaitGroup
			for n := range 10 {
				all.Go(func() { f.connectThrough(t, client, n) })
				for v := range 8 {
					all.Go(func() { f.victim(t, client, fmt.Sprintf("/victim/%d/%d", n, v)) })
				}
			}
			all.Wait()
			seen, malformed := backend.take()
			if len(seen) != 80 || len(malformed) > 0 || strings.Contains(lines(seen), "smuggled") {
				t.Errorf("the backend got %d requests: %s, and %q", len(seen), lines(seen), malformed)
			}
		})
	}
}

func (f *front) connectThrough(t *testing.T, client *http.Client, n int) {
	t.Helper()
	raw := fmt.Sprintf("GET /smuggled/%d HTTP/1.1\r\nHost: evil\r\n\r\n", n)
	r, err := http.NewRequestWithContext(t.Context(), "CONNECT", f.URL, io.NopCloser(strings.NewReader(strings.Repeat(raw, 3))))
	if err != nil {
		t.Error(err)
		return
	}
	r.URL = &url.URL{Scheme: "http", Host: f.Listener.Addr().String()}
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("CONNECT: %v", err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT is answered with %s", resp.Status)
	}
}

// victim asks for a path that nobody else asks for.
func (f *front) victim(t *testing.T, client *http.Client, path string) {
	t.Helper()
	resp, err := client.Get(f.URL + path)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "GET "+path || err != nil {
		t.Errorf("who asked for %s got %q, %v", path, body, err)
	}
}

// frame is one of HTTP/2's.
func frame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	head = binary.BigEndian.AppendUint32(append(head, kind, flags), stream)
	return string(head) + payload
}

// literal is a field as HPACK writes one that is in no table and shall not come into one.
func literal(name, value string) string {
	return "\x00" + hpackString(name) + hpackString(value)
}

// hpackString is a string without Huffman coding behind its length: RFC 7541, sections 5.1 and 5.2.
func hpackString(s string) string {
	n := len(s)
	if n < 127 {
		return string([]byte{byte(n)}) + s
	}
	size := []byte{127}
	for n -= 127; n >= 128; n >>= 7 {
		size = append(size, byte(n)|128)
	}
	return string(append(size, byte(n))) + s
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Kinds and flags of frames: RFC 9113, section 6.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7
	endStream, endHeaders                                           = 1, 4
)

// injected is a request over HTTP/2, as lists of names and values.
type injected struct {
	name     string
	head     []string
	data     string
	trailers []string
	fields   string // as smuggled.fields, if the backend gets it
	whole    bool   // the backend gets it with all its data
	new      bool   // see newEngine
}

// write sends the request as stream 1, with a field that tells the row.
func (c injected) write(conn net.Conn, row int) {
	out := preface + frame(frameSettings, 0, 0, "")
	head, flags := "", byte(endHeaders)
	for i := 0; i < len(c.head); i += 2 {
		head += literal(c.head[i], c.head[i+1])
	}
	head += literal("row", fmt.Sprint(row))
	if c.data == "" && c.trailers == nil {
		flags |= endStream
	}
	out += frame(frameHeaders, flags, 1, head)
	if c.data != "" {
		flags = 0
		if c.trailers == nil {
			flags = endStream
		}
		out += frame(frameData, flags, 1, c.data)
	}
	if c.trailers != nil {
		trailers := ""
		for i := 0; i < len(c.trailers); i += 2 {
			trailers += literal(c.trailers[i], c.trailers[i+1])
		}
		out += frame(frameHeaders, endHeaders|endStream, 1, trailers)
	}
	_, _ = io.WriteString(conn, out)
}

// awaitEnd reads frames until stream 1 or its connection has ended; false when neither does.
func awaitEnd(conn net.Conn) bool {
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			return !isTimeout(err)
		}
		length, stream := binary.BigEndian.Uint32(head)>>8, binary.BigEndian.Uint32(head[5:])
		payload := make([]byte, length)
		if _, err := io.ReadFull(conn, payload); err != nil {
			return !isTimeout(err)
		}
		kind, flags := head[3], head[4]
		if stream == 1 && (kind == frameReset || (kind == frameHeaders || kind == frameData) && flags&endStream != 0) || kind == frameGoAway {
			return true
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// Fields of HTTP/2 may hold any bytes. Written as HTTP/1.1 they are one request or none.
func TestInjectionFromHTTP2(t *testing.T) {
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			leavesNothing(t)
			backend := newRawBackend(t, echo)
			f := before(t, cfg, onlyH2C(), backend.url())
			client := h2cClient(t)
			for i, c := range injections() {
				conn := f.connect(t)
				c.write(conn, i)
				if !awaitEnd(conn) {
					t.Errorf("%s: no end after %v", c.name, patience)
				}
				conn.Close()
				c.judge(t, backend, i)
				f.victim(t, client, fmt.Sprintf("/victim/%d", i))
			}
		})
	}
}

// judge looks at what the backend got meanwhile. That of earlier rows, whose streams were reset, may
// be late.
func (c injected) judge(t *testing.T, backend *rawBackend, row int) {
	t.Helper()
	seen, malformed := backend.take()
	if c.new && !newEngine {
		return
	}
	if len(malformed) > 0 || strings.Contains(lines(seen), "smuggled") {
		t.Errorf("%s: the backend got %s and %q", c.name, lines(seen), malformed)
	}
	seen = slices.DeleteFunc(seen, func(r sent) bool { return r.get("Row") != fmt.Sprint(row) })
	if len(seen) > 1 || c.whole && len(seen) != 1 {
		t.Errorf("%s: the backend got %d requests: %s", c.name, len(seen), lines(seen))
	}
	for _, r := range seen {
		if c.whole && len(r.trailers) != len(c.trailers)/2 {
			t.Errorf("%s: the backend got the trailers %q", c.name, r.trailers)
		}
		body := r.body // checked only where it is sure
		if c.whole {
			body = c.data
		}
		smuggled{name: c.name, body: body, fields: "Injected; " + c.fields}.check(t, r)
	}
}
