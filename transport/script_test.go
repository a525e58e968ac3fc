package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// peer is a backend's end of one connection.
type peer struct {
	net.Conn
	br *bufio.Reader
	n  int64 // which connection it is, from 1
}

// request reads one request with its body, nil at the connection's end.
func (p *peer) request() *http.Request {
	r, err := http.ReadRequest(p.br)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return r
}

func (p *peer) say(s string) { io.WriteString(p, s) }

// rest reads until the other end closes.
func (p *peer) rest() string {
	all, _ := io.ReadAll(p.br)
	return string(all)
}

// reset has Close send a RST.
func (p *peer) reset() { p.Conn.(*net.TCPConn).SetLinger(0); p.Close() }

// backend plays a script on every connection.
type backend struct {
	addr  string
	conns atomic.Int64
}

func play(t testing.TB, script func(p *peer)) *backend {
	return playOn(t, "tcp", "127.0.0.1:0", script)
}

func playOn(t testing.TB, network, addr string, script func(p *peer)) *backend {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			p := &peer{Conn: c, br: bufio.NewReader(c), n: b.conns.Add(1)}
			wg.Go(func() { defer c.Close(); script(p) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return b
}

// socket is a backend on a unix socket.
func socket(t testing.TB, script func(p *peer)) *backend {
	return playOn(t, "unix", filepath.Join(t.TempDir(), "s"), script)
}

// forever answers every request with answer.
func forever(answer string) func(p *peer) {
	return func(p *peer) {
		for p.request() != nil {
			p.say(answer)
		}
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// engine returns a Transport that is closed and asked for leftovers when the test ends.
func engine(t testing.TB, cfg transport.Config) *transport.Transport {
	tr := transport.New(cfg)
	t.Cleanup(func() {
		tr.Close()
		for _, s := range tr.Stats() {
			if s.Open != 0 || s.Idle != 0 || s.Queued != 0 {
				t.Errorf("left over: %+v", s)
			}
		}
	})
	return tr
}

// overBoth runs a law over net/http's transport and ours.
func overBoth(t *testing.T, law func(t *testing.T, rt http.RoundTripper)) {
	t.Run("net/http", func(t *testing.T) {
		tr := &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 64}
		defer tr.CloseIdleConnections()
		law(t, tr)
	})
	t.Run("ours", func(t *testing.T) { law(t, engine(t, transport.Config{})) })
}

// call is a request of a test.
type call struct {
	method, addr, path string
	header             http.Header
	body               io.Reader
	length             int64
	trailer            http.Header
	ctx                context.Context
	interim            func(int, http.Header)
}

func (c call) request(t testing.TB) *http.Request {
	t.Helper()
	ctx := c.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	if c.interim != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			c.interim(code, http.Header(h))
			return nil
		}})
	}
	method := c.method
	if method == "" {
		method = "GET"
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+"/"+c.path, c.body)
	if err != nil {
		t.Fatal(err)
	}
	if c.header != nil {
		r.Header = c.header
	}
	if c.body != nil {
		r.ContentLength = c.length
	}
	r.GetBody, r.Trailer = nil, c.trailer
	return r
}

// got is an answer, read whole.
type got struct {
	*http.Response
	body    string
	bodyErr error
}

func (c call) over(t testing.TB, rt http.RoundTripper) (got, error) {
	t.Helper()
	resp, err := rt.RoundTrip(c.request(t))
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return got{resp, string(b), err}, nil
}

// want fails the test unless err is an *Error of that stage and fault.
func wantError(t testing.TB, err error, stage transport.Stage, client bool) {
	t.Helper()
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.Stage != stage || e.Client != client {
		t.Errorf("%v (%+v), want stage %v, client %v", err, e, stage, client)
	}
}
