package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// get is a request for Do.
func get(b *backend) *transport.Request {
	return &transport.Request{Scheme: "http", Addr: b.addr, Method: "GET", Target: "/", Host: "shop", Idempotent: true}
}

// A GET with a small answer starts no goroutine, and costs one allocation: the values of its header.
func TestCostOfAnExchange(t *testing.T) {
	b := play(t, func(p *peer) {
		buf, answer := make([]byte, 4096), []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
		for {
			if _, err := p.Conn.Read(buf); err != nil {
				return
			}
			p.Conn.Write(answer)
		}
	})
	tr := engine(t, transport.Config{HeaderTimeout: time.Second})
	r := get(b)
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}
	var x transport.Exchange
	header, w := http.Header{}, &sink{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	goroutines := 0
	one := func() {
		if err := tr.Do(ctx, r, &x); err != nil {
			t.Fatal(err)
		}
		clear(header)
		x.AddHeader(header)
		if _, err := x.CopyTo(w, nil, true); err != nil {
			t.Fatal(err)
		}
		goroutines = max(goroutines, runtime.NumGoroutine())
		x.Close()
	}
	one()
	before := runtime.NumGoroutine()
	if n := testing.AllocsPerRun(1000, one); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if goroutines > before {
		t.Errorf("%d goroutines, %d before", goroutines, before)
	}
}

type sink struct{ n int64 }

func (s *sink) Write(p []byte) (int, error) { s.n += int64(len(p)); return len(p), nil }

// Stage and fault of errors rest on what happened.
func TestErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	failing := errors.New("the client left")
	for _, c := range []struct {
		name   string
		script func(p *peer)
		edit   func(r *transport.Request)
		stage  transport.Stage
		client bool
	}{
		{"nobody listens", nil, func(r *transport.Request) { r.Addr = closed.Addr().String() }, transport.NothingSent, false},
		{"a bad header", nil, func(r *transport.Request) { r.Header = http.Header{"A": {"b\r\nc"}} }, transport.NothingSent, true},
		{"CONNECT", nil, func(r *transport.Request) { r.Method = "CONNECT" }, transport.NothingSent, false},
		{"closed without an answer", func(p *peer) { p.request() }, nil, transport.NoAnswer, false},
		{"reset", func(p *peer) { p.request(); p.reset() }, nil, transport.NoAnswer, false},
		{"silence", func(p *peer) { p.rest() }, nil, transport.NoAnswer, false},
		{"half a head", func(p *peer) { p.request(); p.say("HTTP/1.1 2") }, nil, transport.BrokenOff, false},
		{"no head", func(p *peer) { p.request(); p.say("SSH-2.0-x\r\n\r\n") }, nil, transport.BrokenOff, false},
		{"101 unasked", func(p *peer) {
			p.request()
			p.say("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			p.rest()
		}, nil, transport.BrokenOff, false},
		{"101 for something else", func(p *peer) {
			p.request()
			p.say("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
			p.rest()
		}, func(r *transport.Request) { r.Upgrade = "echo" }, transport.BrokenOff, false},
		{"1xx without end", func(p *peer) { p.request(); p.say(strings.Repeat("HTTP/1.1 102 X\r\n\r\n", 9)); p.rest() }, nil, transport.BrokenOff, false},
		{"a small body that fails", nil, func(r *transport.Request) {
			r.Method, r.Length, r.Body = "POST", 5, io.MultiReader(strings.NewReader("he"), failingReader{failing})
		}, transport.NothingSent, true},
		{"a small body that is short", nil, func(r *transport.Request) { r.Method, r.Length, r.Body = "POST", 5, strings.NewReader("he") }, transport.NothingSent, true},
		{"a long body that fails", func(p *peer) { p.rest() }, func(r *transport.Request) {
			r.Method, r.Length, r.Body = "POST", -1, io.MultiReader(strings.NewReader("he"), failingReader{failing})
		}, transport.NoAnswer, true},
		{"a long body that is short", func(p *peer) { p.rest() }, func(r *transport.Request) {
			r.Method, r.Length, r.Body = "POST", 1<<20, strings.NewReader("he")
		}, transport.NoAnswer, true},
		{"a long body that is longer", func(p *peer) { p.rest() }, func(r *transport.Request) {
			r.Method, r.Length, r.Body = "POST", 20000, strings.NewReader(strings.Repeat("x", 20001))
		}, transport.NoAnswer, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := c.script
			if script == nil {
				script = func(p *peer) { p.rest() }
			}
			b := play(t, script)
			tr := engine(t, transport.Config{HeaderTimeout: 50 * time.Millisecond})
			r := get(b)
			if c.edit != nil {
				c.edit(r)
			}
			var x transport.Exchange
			wantError(t, tr.Do(t.Context(), r, &x), c.stage, c.client)
			x.Close()
		})
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// The end of the context ends an exchange wherever it is, and is the client's.
func TestCancel(t *testing.T) {
	for _, where := range []string{"head", "body", "splice", "upload", "queue"} {
		t.Run(where, func(t *testing.T) {
			there := make(chan bool, 1)
			b := play(t, func(p *peer) {
				if _, err := http.ReadRequest(p.br); err != nil {
					return
				}
				if where == "body" || where == "splice" {
					p.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")
				}
				there <- true
				if where == "upload" {
					<-t.Context().Done()
				}
				p.rest()
			})
			tr := engine(t, transport.Config{MaxConns: 1, QueueTimeout: time.Hour})
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			go func() { <-there; cancel(cause) }()
			r := get(b)
			if where == "upload" {
				r.Body, r.Length, r.Method = zeros{}, 1<<40, "POST"
			}
			var x, y transport.Exchange
			err := tr.Do(ctx, r, &x)
			switch where {
			case "head", "upload":
				wantError(t, err, transport.NoAnswer, true)
			case "body", "splice":
				if err != nil {
					t.Fatal(err)
				}
				w := io.Writer(&sink{})
				if where == "splice" {
					w = loopback(t)
				}
				_, err = x.CopyTo(w, nil, true)
				wantError(t, err, transport.BrokenOff, true)
			case "queue":
				return
			}
			if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
				t.Error(err)
			}
			x.Close()
			y.Close()
		})
	}
}

// loopback is a TCP connection whose other end is read.
func loopback(t testing.TB) *net.TCPConn {
	b := play(t, func(p *peer) { p.rest() })
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// A dribble is not a stall, and a stall is cut, both ways.
func TestBodyTimeout(t *testing.T) {
	const timeout = 80 * time.Millisecond
	script := func(p *peer) {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return
		}
		if r.URL.Path == "/up" {
			<-t.Context().Done()
			return
		}
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
		tick := time.NewTicker(timeout / 4)
		defer tick.Stop()
		for range 8 { // twice the timeout
			<-tick.C
			p.say(strings.Repeat("x", 20000))
		}
		if r.URL.Path == "/whole" {
			p.say(strings.Repeat("x", 400000-8*20000))
		}
		p.rest()
	}
	for _, path := range []string{"/whole", "/stall"} {
		for _, w := range []io.Writer{&sink{}, loopback(t)} {
			tr := engine(t, transport.Config{BodyTimeout: timeout})
			r := get(play(t, script))
			r.Target = path
			var x transport.Exchange
			if err := tr.Do(t.Context(), r, &x); err != nil {
				t.Fatal(err)
			}
			n, err := x.CopyTo(w, nil, true)
			if path == "/whole" && (n != 400000 || err != nil) {
				t.Error(n, err)
			}
			if path == "/stall" {
				wantError(t, err, transport.BrokenOff, false)
			}
			x.Close()
			tr.Close()
		}
	}
	tr := engine(t, transport.Config{BodyTimeout: timeout})
	r := get(play(t, script))
	r.Target, r.Method, r.Body, r.Length = "/up", "POST", zeros{}, 1<<40
	var x transport.Exchange
	wantError(t, tr.Do(t.Context(), r, &x), transport.NoAnswer, false)

	pr, pw := io.Pipe() // a client that stalls
	r.Target, r.Body, r.BodyUnblock = "/up", pr, func() { pw.CloseWithError(io.ErrClosedPipe) }
	wantError(t, tr.Do(t.Context(), r, &x), transport.NoAnswer, true)
}

// CopyTo moves bodies through ReadFrom when it may, and the bytes are the same.
func TestCopyTo(t *testing.T) {
	body := make([]byte, 7<<20)
	for i := range body {
		body[i] = byte(i * 7)
	}
	b := play(t, forever("HTTP/1.1 200 OK\r\nContent-Length: 7340032\r\n\r\n"+string(body)))
	tr := engine(t, transport.Config{})
	for _, direct := range []bool{true, false} {
		var x transport.Exchange
		for range 2 {
			if err := tr.Do(t.Context(), get(b), &x); err != nil {
				t.Fatal(err)
			}
			w := &readerFrom{}
			var flushed int
			n, err := x.CopyTo(w, func() error { flushed++; return nil }, direct)
			if n != int64(len(body)) || err != nil || !bytes.Equal(w.Bytes(), body) {
				t.Error(n, err)
			}
			if direct != (w.calls >= 3) || direct && flushed == 0 {
				t.Errorf("direct %v: ReadFrom was called %d times, flush %d times", direct, w.calls, flushed)
			}
			x.Close()
		}
	}
	if n := b.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

type readerFrom struct {
	bytes.Buffer
	calls int
}

func (w *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	w.calls++
	if l, ok := r.(*io.LimitedReader); !ok || l.N > 1<<20 {
		return 0, errors.New("not what the kernel can move")
	} else if _, ok := l.R.(*net.TCPConn); !ok {
		return 0, errors.New("not a TCP connection")
	}
	return w.Buffer.ReadFrom(r)
}

// What a stream has sent is flushed before the wait for more, and not before.
func TestFlush(t *testing.T) {
	next := make(chan bool)
	b := play(t, func(p *peer) {
		if p.request() == nil {
			return
		}
		p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			p.say("2\r\na\n\r\n2\r\nb\n\r\n")
			if !<-next {
				return
			}
		}
		p.say("0\r\n\r\n")
		p.rest()
	})
	tr := engine(t, transport.Config{})
	var x transport.Exchange
	if err := tr.Do(t.Context(), get(b), &x); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var w bytes.Buffer
	flushed, asked := 0, 0
	n, err := x.CopyTo(&w, func() error {
		flushed++
		if w.Len() == asked+4 { // the head may have been flushed alone
			asked += 4
			next <- true
		}
		return nil
	}, true)
	close(next)
	if n != 12 || err != nil || flushed > 4 {
		t.Error(n, err, flushed)
	}
}

// An error of the writer comes back as it is, and the connection is not kept.
func TestWriterFails(t *testing.T) {
	b := play(t, forever(hello))
	tr := engine(t, transport.Config{})
	var x transport.Exchange
	if err := tr.Do(t.Context(), get(b), &x); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("gone")
	if _, err := x.CopyTo(failingWriter{failed}, nil, true); err != failed {
		t.Error(err)
	}
	x.Close()
	x.Close()
	if s := tr.Stats()[0]; s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// An answer may stream while the request's body does.
func TestFullDuplex(t *testing.T) {
	b := play(t, func(p *peer) {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return
		}
		p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 1)
		for {
			if _, err := r.Body.Read(buf); err != nil {
				break
			}
			p.say("1\r\n" + string(buf) + "\r\n")
		}
		p.say("0\r\n\r\n")
		p.rest()
	})
	tr := engine(t, transport.Config{HeaderTimeout: time.Minute})
	pr, pw := io.Pipe()
	r := get(b)
	r.Method, r.Body, r.Length = "POST", pr, -1
	var x transport.Exchange
	if err := tr.Do(t.Context(), r, &x); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	for _, c := range "echo" {
		pw.Write([]byte{byte(c)})
		if n, err := x.Read(buf); string(buf[:n]) != string(c) || err != nil {
			t.Error(string(buf[:n]), err)
		}
	}
	pw.Close()
	if _, err := x.Read(buf); err != io.EOF {
		t.Error(err)
	}
	x.Close()
	if s := tr.Stats()[0]; s.Idle != 1 {
		t.Errorf("%+v", s)
	}
}

// An early answer ends a blocked body, and nothing is left running.
func TestEarlyAnswerUnblocks(t *testing.T) {
	b := play(t, func(p *peer) {
		if _, err := http.ReadRequest(p.br); err == nil {
			p.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			p.rest()
		}
	})
	tr := engine(t, transport.Config{})
	pr, pw := io.Pipe()
	defer pw.Close()
	var unblocked atomic.Int64
	r := get(b)
	r.Method, r.Body, r.Length = "POST", pr, -1
	r.BodyUnblock = func() { unblocked.Add(1); pr.Close() }
	var x transport.Exchange
	if err := tr.Do(t.Context(), r, &x); err != nil {
		t.Fatal(err)
	}
	if n := unblocked.Load(); n != 1 {
		t.Errorf("unblocked %d times before the answer is read", n)
	}
	var w bytes.Buffer
	if _, err := x.CopyTo(&w, nil, false); err != nil || w.String() != "no" {
		t.Error(w.String(), err)
	}
	x.Close()
	if n := unblocked.Load(); n != 1 {
		t.Errorf("unblocked %d times", n)
	}
	if s := tr.Stats()[0]; s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// Whichever end of a splice fails is told from the other.
func TestSpliceFaults(t *testing.T) {
	for _, how := range []string{"close", "reset", "writer", "stalled writer"} {
		b := play(t, func(p *peer) {
			if p.request() == nil {
				return
			}
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 300000))
			switch how {
			case "close":
			case "reset":
				p.reset()
			default:
				io.Copy(p, zeros{})
			}
		})
		tr := engine(t, transport.Config{})
		var x transport.Exchange
		if err := tr.Do(t.Context(), get(b), &x); err != nil {
			t.Fatal(err)
		}
		w := loopback(t)
		switch how {
		case "writer":
			w.CloseWrite()
		case "stalled writer":
			w.SetWriteDeadline(time.Unix(1, 0))
		}
		_, err := x.CopyTo(struct {
			io.Writer
			io.ReaderFrom
		}{io.Discard, w}, nil, true)
		if _, ours := errors.AsType[*transport.Error](err); strings.Contains(how, "writer") {
			if ours || err == nil {
				t.Errorf("%s: %v", how, err)
			}
		} else {
			wantError(t, err, transport.BrokenOff, false)
		}
		x.Close()
	}
}

// Past the bound of splices bodies are copied.
func TestSplicesAreBounded(t *testing.T) {
	b := play(t, forever("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"+strings.Repeat("x", 5000000)))
	tr := engine(t, transport.Config{})
	var all sync.WaitGroup
	var spliced, copied atomic.Int64
	hold := make(chan bool)
	for range 40 {
		all.Go(func() {
			var x transport.Exchange
			if err := tr.Do(t.Context(), get(b), &x); err != nil {
				t.Error(err)
				return
			}
			defer x.Close()
			w := &holding{hold: hold, spliced: &spliced}
			if n, err := x.CopyTo(w, nil, true); n != 5000000 || err != nil {
				t.Error(n, err)
			}
			if !w.called && copied.Add(1) == 8 {
				close(hold)
			}
		})
	}
	all.Wait()
	if spliced.Load() != 32 || copied.Load() != 8 {
		t.Errorf("%d spliced, %d copied", spliced.Load(), copied.Load())
	}
}

// holding is a writer whose ReadFrom waits.
type holding struct {
	sink
	hold    chan bool
	spliced *atomic.Int64
	called  bool
}

func (h *holding) ReadFrom(r io.Reader) (int64, error) {
	if !h.called { // else it is the next piece
		h.spliced.Add(1)
	}
	h.called = true
	<-h.hold
	return io.Copy(&h.sink, r)
}

// A body that expects 100 Continue is sent after a while without.
func TestContinueTimeout(t *testing.T) {
	b := play(t, forever(hello))
	tr := engine(t, transport.Config{ContinueTimeout: 30 * time.Millisecond})
	r := get(b)
	r.Method, r.Expect, r.Body, r.Length = "POST", true, strings.NewReader("body"), 4
	for range 2 {
		if err := fetch(tr, r); err != nil {
			t.Error(err)
		}
		r.Body = strings.NewReader("body")
	}
	if n := b.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// No descriptor is left, however exchanges end.
func TestDescriptors(t *testing.T) {
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(open)
	}
	b := play(t, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			switch r.URL.Path {
			case "/die":
				return
			case "/half":
				p.say(hello[:len(hello)-1])
				return
			case "/101":
				p.say("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				p.rest()
				return
			}
			p.say(hello)
		}
	})
	before := count()
	tr := engine(t, transport.Config{MaxConns: 2})
	for range 10 {
		for _, path := range []string{"/", "/die", "/half", "/101", "/unread"} {
			r := get(b)
			r.Target, r.Upgrade = path, "echo"
			var x transport.Exchange
			if err := tr.Do(t.Context(), r, &x); err != nil {
				continue
			}
			if path != "/unread" {
				x.CopyTo(io.Discard, nil, false)
			}
			if c, _ := x.Tunnel(); path == "/101" {
				c.Close()
			}
			x.Close()
		}
	}
	tr.Close()
	for range 1000 { // the backend's ends close soon after
		if count() <= before {
			return
		}
		runtime.Gosched()
		runtime.GC()
	}
	t.Errorf("%d descriptors, %d before", count(), before)
}

// A panic of what the caller gave us leaves no connection behind.
func TestPanics(t *testing.T) {
	b := play(t, forever("HTTP/1.1 103 Early Hints\r\n\r\n"+hello))
	tr := engine(t, transport.Config{MaxConns: 1})
	r := get(b)
	r.Informational = func(int, http.Header) { panic(http.ErrAbortHandler) }
	for range 3 {
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Error("no panic")
				}
			}()
			var x transport.Exchange
			tr.Do(t.Context(), r, &x)
		}()
	}
	if s := tr.Stats()[0]; s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// The header timeout begins at the end of a long body.
func TestHeaderTimeoutAfterUpload(t *testing.T) {
	b := play(t, func(p *peer) { p.request(); p.rest() })
	tr := engine(t, transport.Config{HeaderTimeout: 40 * time.Millisecond})
	r := get(b)
	r.Method, r.Length = "POST", -1
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	pr, pw := io.Pipe()
	go func() {
		for range 8 { // twice the timeout
			<-tick.C
			pw.Write([]byte("x"))
		}
		pw.Close()
	}()
	r.Body = pr
	var x transport.Exchange
	err := tr.Do(t.Context(), r, &x)
	wantError(t, err, transport.NoAnswer, false)
	if !strings.Contains(err.Error(), "response header") {
		t.Error(err)
	}
	if _, err := pw.Write(nil); err != nil && err != io.ErrClosedPipe {
		t.Errorf("the body was given up: %v", err)
	}
}

// While the request's body moves, an answer's body may rest.
func TestProgressOfTheOtherBody(t *testing.T) {
	b := play(t, func(p *peer) {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return
		}
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		io.Copy(io.Discard, r.Body)
		p.say("ok")
		p.rest()
	})
	tr := engine(t, transport.Config{BodyTimeout: 60 * time.Millisecond})
	pr, pw := io.Pipe()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 18 { // three times the timeout
			<-tick.C
			pw.Write([]byte("x"))
		}
		pw.Close()
	}()
	r := get(b)
	r.Method, r.Body, r.Length = "POST", pr, -1
	if err := fetch(tr, r); err != nil {
		t.Error(err)
	}
}
