package transport_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// fetch is one exchange, its body read.
func fetch(tr *transport.Transport, r *transport.Request) error {
	var x transport.Exchange
	if err := tr.Do(context.Background(), r, &x); err != nil {
		return err
	}
	defer x.Close()
	_, err := x.CopyTo(io.Discard, nil, false)
	return err
}

// A backend that closes connections as soon as they are idle costs no GET and no POST.
func TestStaleConnections(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		closed := make(chan bool, 1)
		b := play(t, func(p *peer) {
			if p.request() != nil {
				p.say(hello)
				p.Close()
				closed <- true
			}
		})
		tr := engine(t, transport.Config{})
		r := get(b)
		r.Method, r.Idempotent = method, method == "GET"
		for range 1000 {
			if err := fetch(tr, r); err != nil {
				t.Fatal(method, err)
			}
			<-closed
		}
		if s := tr.Stats()[0]; s.Reused == 0 {
			t.Errorf("no idle connection was ever met: %+v", s)
		}
	}
}

// Backends that close idle connections in the very moment of the next request cost no request
// that may be sent twice.
func TestDiesAfterTheWrite(t *testing.T) {
	for _, c := range []struct {
		how        func(p *peer)
		idempotent bool
		body       string
	}{
		{func(p *peer) { p.Close() }, true, ""}, {(*peer).reset, true, ""}, {(*peer).reset, true, "body"}, {(*peer).reset, false, ""},
	} {
		b := play(t, func(p *peer) {
			if p.request() != nil {
				p.say(hello)
			}
			if p.n == 1 && p.request() != nil {
				c.how(p)
				return
			}
			p.rest()
		})
		tr := engine(t, transport.Config{})
		r := get(b)
		if err := fetch(tr, r); err != nil {
			t.Fatal(err)
		}
		r.Idempotent = c.idempotent
		if c.body != "" {
			r.Method, r.Length, r.Body = "PUT", int64(len(c.body)), &once{s: c.body}
		}
		switch err := fetch(tr, r); {
		case c.idempotent && err != nil:
			t.Error(err)
		case !c.idempotent:
			wantError(t, err, transport.NoAnswer, false)
		}
	}
}

// once is a body that can be read only once.
type once struct{ s string }

func (o *once) Read(p []byte) (int, error) {
	if o.s == "" {
		return 0, io.EOF
	}
	n := copy(p, o.s)
	o.s = o.s[n:]
	return n, nil
}

// Bytes that nobody asked for end a connection, and never become an answer.
func TestGarbageOnIdleConnections(t *testing.T) {
	for _, extra := range []string{"x", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"} {
		for _, together := range []bool{true, false} {
			now, said := make(chan bool, 1), make(chan bool, 1)
			b := play(t, func(p *peer) {
				for p.request() != nil {
					if together {
						p.say(hello + extra)
					} else {
						p.say(hello)
						<-now
						p.say(extra)
					}
					said <- true
				}
			})
			tr := engine(t, transport.Config{})
			for range 20 {
				r, err := call{addr: b.addr}.over(t, tr)
				if err != nil || r.body != "hello" || r.bodyErr != nil {
					t.Fatal(r.body, err, r.bodyErr)
				}
				if !together {
					now <- true
				}
				<-said
			}
			if n := b.conns.Load(); n != 20 {
				t.Errorf("%d connections for 20 requests", n)
			}
		}
	}
}

// MaxConns is exact however many ask at once, and everybody is served.
func TestMaxConns(t *testing.T) {
	const limit = 4
	var now, most atomic.Int64
	b := play(t, func(p *peer) {
		for p.request() != nil {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			now.Add(-1)
			p.say(hello)
			if n%3 == 0 {
				return // connections come and go
			}
		}
	})
	tr := engine(t, transport.Config{MaxConns: limit, QueueTimeout: time.Minute})
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			r := get(b)
			if i%4 == 0 {
				r.Idempotent = false
			}
			for range 20 {
				if err := fetch(tr, r); err != nil && r.Idempotent {
					t.Error(err)
				}
				if s := tr.Stats()[0]; s.Open > limit {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	all.Wait()
	if most.Load() > limit {
		t.Errorf("%d requests at once", most.Load())
	}
}

// A request that waits leaves the queue when its time, or its context, is over, and without a
// trace; the queue is bounded.
func TestQueue(t *testing.T) {
	b := play(t, forever(hello))
	tr := engine(t, transport.Config{MaxConns: 1, MaxQueued: 1, QueueTimeout: 20 * time.Millisecond})
	var x, y transport.Exchange
	if err := tr.Do(t.Context(), get(b), &x); err != nil {
		t.Fatal(err)
	}
	err := tr.Do(t.Context(), get(b), &y)
	wantError(t, err, transport.NothingSent, false)
	if !errors.Is(err, transport.ErrQueueTimeout) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	long := engine(t, transport.Config{MaxConns: 1, MaxQueued: 1, QueueTimeout: time.Hour})
	var z transport.Exchange
	if err := long.Do(t.Context(), get(b), &z); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- long.Do(ctx, get(b), &y) }()
	for long.Stats()[0].Queued == 0 {
		runtime.Gosched()
	}
	var more transport.Exchange
	if err := long.Do(t.Context(), get(b), &more); !errors.Is(err, transport.ErrQueueFull) {
		t.Error(err)
	}
	cancel()
	wantError(t, <-ended, transport.NothingSent, true)
	go func() { ended <- long.Do(context.Background(), get(b), &y) }()
	for long.Stats()[0].Queued == 0 {
		runtime.Gosched()
	}
	z.CopyTo(io.Discard, nil, false)
	z.Close() // hands its connection over
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	go func() { ended <- long.Do(context.Background(), get(b), &more) }()
	for long.Stats()[0].Queued == 0 {
		runtime.Gosched()
	}
	long.Close()
	if err := <-ended; !errors.Is(err, transport.ErrClosed) {
		t.Error(err)
	}
	x.Close()
	y.Close()
	if err := fetch(long, get(b)); !errors.Is(err, transport.ErrClosed) {
		t.Error(err)
	}
}

// Connections are not used past their time, their age and their number of requests.
func TestWornConnections(t *testing.T) {
	for _, c := range []struct {
		cfg        transport.Config
		answer     string
		idempotent bool
		conns      int64
	}{
		{transport.Config{}, hello, true, 1},
		{transport.Config{}, hello, false, 1},
		{transport.Config{IdleTimeout: 1}, hello, true, 6},
		{transport.Config{MaxAge: 1}, hello, true, 6},
		{transport.Config{MaxRequests: 2}, hello, true, 3},
		{transport.Config{MaxIdle: -1}, hello, true, 6},
		{transport.Config{SafeIdle: -1}, hello, false, 6},
		{transport.Config{SafeIdle: -1}, hello, true, 1},
		{transport.Config{MaxConns: 1, SafeIdle: -1}, hello, false, 6},
		{transport.Config{}, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", false, 6},
		{transport.Config{}, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 0\r\n\r\n", false, 1},
	} {
		b := play(t, forever(c.answer))
		tr := engine(t, c.cfg)
		r := get(b)
		r.Idempotent = c.idempotent
		for range 6 {
			if err := fetch(tr, r); err != nil {
				t.Error(err)
			}
		}
		if n := b.conns.Load(); n != c.conns {
			t.Errorf("%+v: %d connections, want %d", c, n, c.conns)
		}
	}
}

// Warm makes connections that are then used.
func TestWarm(t *testing.T) {
	b := play(t, forever(hello))
	tr := engine(t, transport.Config{MaxConns: 3})
	for range 2 {
		if err := tr.Warm(t.Context(), "http", b.addr, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := fetch(tr, get(b)); err != nil {
		t.Fatal(err)
	}
	want := transport.Stats{Scheme: "http", Addr: b.addr, Open: 2, Idle: 2, Dialled: 2, Reused: 1}
	if s := tr.Stats(); len(s) != 1 || s[0] != want {
		t.Errorf("%+v", s)
	}
	tr.CloseIdleConnections()
	if s := tr.Stats()[0]; s.Open != 0 || s.Idle != 0 {
		t.Errorf("%+v", s)
	}
	if err := tr.Warm(t.Context(), "h2c", b.addr, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// A unix socket is a backend like another.
func TestUnixSocket(t *testing.T) {
	b := socket(t, forever(hello))
	tr := engine(t, transport.Config{})
	r := get(b)
	r.Scheme = "unix"
	for range 3 {
		if err := fetch(tr, r); err != nil {
			t.Error(err)
		}
	}
	if n := b.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// The PROXY header carries the client, and a connection is one client's.
func TestProxyProtocol(t *testing.T) {
	heads := make(chan string, 9)
	b := play(t, func(p *peer) {
		head := make([]byte, 16)
		io.ReadFull(p.br, head)
		rest := make([]byte, int(head[14])<<8|int(head[15]))
		io.ReadFull(p.br, rest)
		if len(rest) > 0 {
			rest = rest[:len(rest)-2] // the backend's port is not known before
		}
		heads <- hex.EncodeToString(head[12:]) + " " + hex.EncodeToString(rest)
		forever(hello)(p)
	})
	tr := engine(t, transport.Config{ProxyProtocol: true})
	for _, c := range []struct{ client, want string }{
		{"192.0.2.7:4660", "2111000c c00002077f0000011234"},
		{"192.0.2.7:4660", ""}, // over the same connection
		{"[2001:db8::1]:4660", "21210024 20010db800000000000000000000000100000000000000000000ffff7f0000011234"},
		{"[::ffff:192.0.2.7]:4661", "2111000c c00002077f0000011235"},
		{"", "20000000 "},
		{"192.0.2.7:4660", ""},
	} {
		ctx := t.Context()
		if c.client != "" {
			ctx = transport.WithClient(ctx, netip.MustParseAddrPort(c.client))
		}
		r := call{addr: b.addr, ctx: ctx}
		if got, err := r.over(t, tr); err != nil || got.body != "hello" {
			t.Fatal(err)
		}
		if c.want == "" {
			if len(heads) > 0 {
				t.Errorf("%s: a new connection", c.client)
			}
			continue
		}
		if head := <-heads; head != c.want {
			t.Errorf("%s: %s, want %s", c.client, head, c.want)
		}
	}
}

// A request is only read, and its body is closed whatever happens.
func TestRoundTripperManners(t *testing.T) {
	b := play(t, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			if r.URL.Path == "/die" {
				return
			}
			p.say(hello)
		}
	})
	tr := engine(t, transport.Config{})
	for _, c := range []call{
		{path: "", length: 4}, {path: "die", length: 4}, {path: "", length: -1}, {path: "die", length: -1},
		{path: "", length: 4, header: http.Header{"Bad": {"a\nb"}}}, {path: "", length: 4, method: "CONNECT"},
	} {
		body := &closable{Reader: &once{s: "body"}, closed: make(chan bool, 9)}
		c.addr, c.body = b.addr, body
		if c.method == "" {
			c.method = "POST"
		}
		r := c.request(t)
		before := *r
		resp, err := tr.RoundTrip(r)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		<-body.closed
		if r.URL != before.URL || r.Host != before.Host || r.Body != before.Body || len(r.Header) != len(before.Header) {
			t.Errorf("%+v was changed", r)
		}
	}
}

type closable struct {
	io.Reader
	closed chan bool
}

func (c *closable) Close() error { c.closed <- true; return nil }

// Close ends a Read that waits.
func TestCloseEndsRead(t *testing.T) {
	b := play(t, func(p *peer) {
		p.request()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
		p.rest()
	})
	tr := engine(t, transport.Config{BodyTimeout: -1})
	resp, err := tr.RoundTrip(call{addr: b.addr}.request(t))
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, 5))
	ended := make(chan error)
	go func() { _, err := resp.Body.Read(make([]byte, 9)); ended <- err }()
	resp.Body.Close()
	if err := <-ended; err == nil || err == io.EOF {
		t.Error(err)
	}
	if s := tr.Stats()[0]; s.Open != 0 {
		t.Errorf("%+v", s)
	}
}
