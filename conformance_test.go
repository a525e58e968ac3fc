package lb_test

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// manner is one thing that a proxy does right: what the tests of httputil.ReverseProxy assert, in
// words of our own.
type manner struct {
	name    string
	of      string // the tests of theirs, less "ReverseProxy", that it restates; spaces between
	backend http.HandlerFunc
	outer   func(http.Handler) http.Handler // around the proxy; nil for nothing
	base    string                          // path of the backend's URL
	dead    bool                            // nobody listens at the backend's address
	test    func(*testing.T, *front)
	ours    bool // the standard proxy does otherwise
	new     bool // see newEngine; the standard proxy does otherwise, too
}

// Whatever the standard proxy does right, ours does, with nothing on and with everything on.
func TestMannersOfAProxy(t *testing.T) {
	for _, m := range manners() {
		m.run(t)
	}
}

func manners() []manner {
	return slices.Concat(mannersOfHeaders(), mannersOfURLs(), mannersOfInterim(), mannersOfBodies(), mannersOfTunnels())
}

// Every test of the standard proxy is restated by a row, or it is said why not.
func TestMannersAreAllThere(t *testing.T) {
	rows := map[string]int{}
	for _, m := range manners() {
		for _, name := range strings.Fields(m.of) {
			rows[name]++
		}
	}
	for _, theirs := range theirTests {
		n := rows[theirs.name]
		delete(rows, theirs.name)
		if n == 0 && theirs.instead == "" {
			t.Errorf("%s has no row", theirs.name)
		}
	}
	if len(rows) > 0 || len(theirTests) != 44 {
		t.Errorf("%d tests are listed, and not these: %v", len(theirTests), rows)
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
			if m.dead {
				origin.Close()
			}
			var f *front
			if column == "standard" {
				f = standard(t, origin.URL+m.base)
			} else {
				f = before(t, cfg, nil, origin.URL+m.base)
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
