package lb_test

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// manner is one thing that a proxy does right: what the tests of httputil.ReverseProxy assert, in
// words of our own.
type manner struct {
	name    string
	backend http.HandlerFunc
	outer   func(http.Handler) http.Handler // around the proxy; nil for nothing
	test    func(*testing.T, *front)
	ours    bool // the standard proxy does otherwise
	new     bool // see newEngine; the standard proxy does otherwise, too
}

// Whatever the standard proxy does right, ours does, with nothing on and with everything on.
func TestMannersOfAProxy(t *testing.T) {
	for _, m := range mannersOfHeaders() {
		m.run(t)
	}
	for _, m := range mannersOfBodies() {
		m.run(t)
	}
	for _, m := range mannersOfTunnels() {
		m.run(t)
	}
}

func (m manner) run(t *testing.T) {
	columns := ways()
	if m.new && !newEngine {
		return
	}
	if !m.ours && !m.new {
		columns["standard"] = lb.Config{}
	}
	for column, cfg := range columns {
		t.Run(m.name+"/"+column, func(t *testing.T) {
			leavesNothing(t)
			origin := httptest.NewServer(m.backend)
			t.Cleanup(origin.Close)
			var f *front
			if column == "standard" {
				f = standard(t, origin.URL)
			} else {
				f = before(t, cfg, nil, origin.URL)
			}
			said := new(words)
			f.Config.ErrorLog = log.New(said, "", 0)
			if m.outer != nil {
				f.Config.Handler = m.outer(f.Config.Handler)
			}
			m.test(t, f)
			f.Close() // the server has said everything
			if text := said.String(); text != "" {
				t.Errorf("the server complains: %s", text)
			}
		})
	}
}

// standard puts the standard proxy on a socket, as a program would that wants what we do.
func standard(t *testing.T, backend string) *front {
	t.Helper()
	base := lb.Must(url.Parse(backend))
	tr := &http.Transport{DisableCompression: true}
	f := &front{Server: httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(base)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		Transport: tr,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, 0),
	})}
	t.Cleanup(func() {
		f.Close()
		tr.CloseIdleConnections()
	})
	return f
}

// words are what a server logs.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// plain is a ResponseWriter that can do nothing but what it must, and Unwrap.
type plain struct{ w http.ResponseWriter }

func (p plain) Header() http.Header           { return p.w.Header() }
func (p plain) Write(b []byte) (int, error)   { return p.w.Write(b) }
func (p plain) WriteHeader(status int)        { p.w.WriteHeader(status) }
func (p plain) Unwrap() http.ResponseWriter   { return p.w }
func behindPlain(h http.Handler) http.Handler { return around(h, plainly) }
func plainly(w http.ResponseWriter, r *http.Request, h http.Handler) {
	h.ServeHTTP(plain{w}, r)
}

// around is a handler that has f call h.
func around(h http.Handler, f func(http.ResponseWriter, *http.Request, http.Handler)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, h) })
}

// whole reads a response to its end.
func whole(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// Who waits for 100 Continue hears at once that no backend can be reached, and is not asked for
// its body.
func TestExpectAndNobodyThere(t *testing.T) {
	leavesNothing(t)
	dead := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	dead.Close()
	for way, cfg := range ways() {
		f := before(t, cfg, nil, "http://"+dead.Addr().String())
		conn := f.connect(t)
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: got %v, %v", way, resp, err)
		}
		conn.Close()
	}
}
