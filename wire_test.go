package lb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// newEngine says that requests go through our own engine. Rows that net/http is known to be laxer
// about assert in full then; until then only that nobody else is harmed.
const newEngine = true

// patience bounds how long a test waits for what must come. It never decides whether one passes.
const patience = 20 * time.Second

// leavesNothing has the test end with as many descriptors as it began with. Call it first.
func leavesNothing(t *testing.T) {
	t.Helper()
	lb.Must(net.Listen("tcp", "127.0.0.1:0")).Close() // the poller's own are there from now on
	before := descriptors(t)
	t.Cleanup(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); ; <-tick.C {
			runtime.GC() // pipes that splice keeps for later go with it
			after := descriptors(t)
			if after <= before {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%d descriptors became %d", before, after)
				return
			}
		}
	})
}

// descriptors counts the open ones; 0 where that cannot be found out.
func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	return len(lb.Must(os.ReadDir("/proc/self/fd")))
}

// before puts a balancer on a socket, before the backends at urls. What clients may speak to it
// is up to protocols; nil means HTTP/1.1.
func before(t *testing.T, cfg lb.Config, protocols *http.Protocols, urls ...string) *front {
	t.Helper()
	f := &front{ended: make(chan lb.Summary, 10_000)}
	cfg.Observers = append(slices.Clip(cfg.Observers), lb.Observer{Request: func(s lb.Summary) {
		select {
		case f.ended <- s:
		default: // nobody reads them all
		}
	}})
	f.pool = lb.Must(lb.NewPool(lb.URLs(urls...)...))
	cfg.Pool = f.pool
	if cfg.Policy == nil {
		cfg.Policy = turns
	}
	var h http.Handler
	f.balancer, h = assemble(cfg)
	f.Server = httptest.NewUnstartedServer(h)
	f.Config.Protocols = protocols
	f.Start()
	t.Cleanup(func() {
		f.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.balancer.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		mustBeIdle(t, f.balancer)
	})
	return f
}

// onlyH2C are the protocols of who speaks HTTP/2 without TLS and nothing else.
func onlyH2C() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// sent is a request as it came out of a balancer, taken apart by a parser that forgives nothing.
type sent struct {
	method, target string
	fields         [][2]string // names as they came
	body           string
	trailers       [][2]string
}

// get returns the values of a field that is named so, in any case, joined by " | ".
func (s sent) get(name string) string {
	var values []string
	for _, f := range s.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, " | ")
}

// count returns how many fields have this name.
func (s sent) count(name string) (n int) {
	for _, f := range s.fields {
		if strings.EqualFold(f[0], name) {
			n++
		}
	}
	return n
}

// takeRequest takes one request from the beginning of buf. When n is 0 it is not whole yet. An
// error means that two readers might not agree about it.
func takeRequest(buf []byte) (r sent, n int, err error) {
	head, body, whole := bytes.Cut(buf, []byte("\r\n\r\n"))
	if !whole {
		return r, 0, nil
	}
	lines := strings.Split(string(head), "\r\n")
	words := strings.Split(lines[0], " ")
	if len(words) != 3 || !isName(words[0]) || words[2] != "HTTP/1.1" || !visible(words[1]) ||
		words[1][0] != '/' && words[1] != "*" {
		return r, 0, fmt.Errorf("request line %q", lines[0])
	}
	r.method, r.target = words[0], words[1]
	if r.fields, err = takeFields(lines[1:]); err != nil {
		return r, 0, err
	}
	if r.count("Host") != 1 {
		return r, 0, fmt.Errorf("hosts %q", r.get("Host"))
	}
	n, err = r.takeBody(body)
	if n < 0 || err != nil {
		return r, 0, err
	}
	return r, len(head) + 4 + n, nil
}

func takeFields(lines []string) (fields [][2]string, err error) {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isName(name) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, fmt.Errorf("field line %q", line)
		}
		fields = append(fields, [2]string{name, value})
	}
	return fields, nil
}

// takeBody returns how long the body is on the wire; -1 when it is not whole.
func (s *sent) takeBody(buf []byte) (int, error) {
	length, coding := s.get("Content-Length"), s.get("Transfer-Encoding")
	switch {
	case s.count("Content-Length") > 1 || s.count("Transfer-Encoding") > 1 || length != "" && coding != "":
		return 0, fmt.Errorf("framing by length %q and coding %q", length, coding)
	case s.count("Transfer-Encoding") == 1:
		if coding != "chunked" {
			return 0, fmt.Errorf("coding %q", coding)
		}
		return s.takeChunks(buf)
	case s.count("Content-Length") == 0:
		return 0, nil
	}
	size, err := strconv.ParseUint(length, 10, 31)
	if err != nil || strconv.FormatUint(size, 10) != length {
		return 0, fmt.Errorf("length %q", length)
	}
	if len(buf) < int(size) {
		return -1, nil
	}
	s.body = string(buf[:size])
	return int(size), nil
}

func (s *sent) takeChunks(buf []byte) (int, error) {
	for rest := buf; ; {
		line, after, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			return -1, nil
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return 0, fmt.Errorf("chunk line %q", line)
		}
		if size == 0 {
			trailers, end, whole := bytes.Cut(rest[len(line):], []byte("\r\n\r\n"))
			if !whole {
				return -1, nil
			}
			if len(trailers) > 0 {
				s.trailers, err = takeFields(strings.Split(string(trailers[2:]), "\r\n"))
			}
			return len(buf) - len(end), err
		}
		if len(after) < int(size)+2 {
			return -1, nil
		}
		if string(after[size:size+2]) != "\r\n" {
			return 0, fmt.Errorf("%q behind a chunk", after[size:size+2])
		}
		s.body += string(after[:size])
		rest = after[size+2:]
	}
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
	})
}

func visible(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// rawBackend is a backend without net/http. It notes each request that it can read without doubt
// and has answer write to the connection, which it closes when that returns false.
type rawBackend struct {
	net.Listener
	answer func(conn net.Conn, r sent) bool

	mu        sync.Mutex
	seen      []sent
	cut       []string // what was left when a connection ended
	malformed []string
	open      map[net.Conn]bool
	ended     sync.WaitGroup
}

func newRawBackend(t *testing.T, answer func(net.Conn, sent) bool) *rawBackend {
	t.Helper()
	b := &rawBackend{Listener: lb.Must(net.Listen("tcp", "127.0.0.1:0")), answer: answer, open: map[net.Conn]bool{}}
	b.ended.Go(func() { b.accept(b.serve) })
	t.Cleanup(b.stop)
	return b
}

// accept has serve called for each connection, on a goroutine of its own.
func (b *rawBackend) accept(serve func(net.Conn)) {
	for {
		conn, err := b.Accept()
		if err != nil {
			return
		}
		b.note(func() { b.open[conn] = true })
		b.ended.Go(func() {
			defer func() {
				b.note(func() { delete(b.open, conn) })
				conn.Close()
			}()
			serve(conn)
		})
	}
}

func (b *rawBackend) url() string { return "http://" + b.Addr().String() }

func (b *rawBackend) stop() {
	b.Close()
	b.mu.Lock()
	for conn := range b.open {
		conn.Close()
	}
	b.mu.Unlock()
	b.ended.Wait()
}

func (b *rawBackend) serve(conn net.Conn) {
	var buf []byte
	for piece := make([]byte, 64<<10); ; {
		r, n, err := takeRequest(buf)
		if err != nil {
			b.note(func() { b.malformed = append(b.malformed, fmt.Sprintf("%v in %.400q", err, buf)) })
			return
		}
		if n > 0 {
			buf = buf[n:]
			b.note(func() { b.seen = append(b.seen, r) })
			if !b.answer(conn, r) {
				return
			}
			continue
		}
		n, err = conn.Read(piece)
		buf = append(buf, piece[:n]...)
		if err != nil {
			if len(buf) > 0 {
				b.note(func() { b.cut = append(b.cut, string(buf)) })
			}
			return
		}
	}
}

func (b *rawBackend) note(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// take returns what came since the last call.
func (b *rawBackend) take() (seen []sent, malformed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen, malformed = b.seen, b.malformed
	b.seen, b.malformed = nil, nil
	return seen, malformed
}

// echo answers with what was asked for.
func echo(conn net.Conn, r sent) bool {
	body := r.method + " " + r.target
	if r.method == "HEAD" {
		body = ""
	}
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// connect dials a front; the connection fails rather than hangs.
func (f *front) connect(t *testing.T) net.Conn {
	t.Helper()
	conn := lb.Must(net.Dial("tcp", f.Listener.Addr().String()))
	_ = conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// innocent asks for a path that nobody else asks for, on a connection of its own, and must get
// the answer to that.
func (f *front) innocent(t *testing.T, path string) {
	t.Helper()
	conn := f.connect(t)
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: innocent\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || body != "GET "+path || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("an innocent request for %s got %.300q, %v", path, answer, err)
	}
}
