package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a transport that gives every request the same answer.
func answer(status int, body string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func backend(t testing.TB, spec lb.Spec) *lb.Backend {
	t.Helper()
	b, err := lb.NewBackend(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHTTPAnswers(t *testing.T) {
	b := backend(t, lb.Spec{URL: "http://10.0.0.1"})
	for _, tt := range []struct {
		cfg  HTTPConfig
		want string // the error; empty if it passes
	}{
		{HTTPConfig{Transport: answer(200, "")}, ""},
		{HTTPConfig{Transport: answer(204, "")}, ""},
		{HTTPConfig{Transport: answer(299, "")}, ""},
		{HTTPConfig{Transport: answer(302, "")}, "answered 302, want 200 to 299"},
		{HTTPConfig{Transport: answer(404, "")}, "answered 404, want 200 to 299"},
		{HTTPConfig{Transport: answer(503, "")}, "answered 503, want 200 to 299"},
		{HTTPConfig{Transport: answer(302, ""), MaxStatus: 399}, ""},
		{HTTPConfig{Transport: answer(200, ""), MinStatus: 401, MaxStatus: 401}, "answered 200, want 401 to 401"},
		{HTTPConfig{Transport: answer(401, ""), MinStatus: 401}, ""},
		{HTTPConfig{Transport: answer(200, "all ok."), Body: regexp.MustCompile(`\bok\b`)}, ""},
		{HTTPConfig{Transport: answer(200, "broken"), Body: regexp.MustCompile(`\bok\b`)}, `answered 200 with a body that does not match "\\bok\\b"`},
		{HTTPConfig{Transport: answer(200, strings.Repeat("x", maxBody)+"ok"), Body: regexp.MustCompile(`ok`)}, `answered 200 with a body that does not match "ok"`},
		{HTTPConfig{Transport: answer(200, strings.Repeat("x", maxBody-2)+"ok"), Body: regexp.MustCompile(`ok`)}, ""},
	} {
		err := lb.Must(HTTP(tt.cfg))(t.Context(), b)
		if got := text(err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// endless is a body of a gibibyte that counts what is read of it.
type endless struct {
	read   int64
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= 1<<30 {
		return 0, io.EOF
	}
	e.read += int64(len(p))
	return len(p), nil
}

func (e *endless) Close() error { e.closed = true; return nil }

func TestHTTPBodyIsCapped(t *testing.T) {
	body := new(endless)
	big := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body}, nil
	})
	if err := lb.Must(HTTP(HTTPConfig{Transport: big}))(t.Context(), backend(t, lb.Spec{URL: "http://10.0.0.1"})); err != nil {
		t.Error(err)
	}
	if body.read != maxBody || !body.closed {
		t.Errorf("read %d bytes, closed %v", body.read, body.closed)
	}
}

func TestHTTPBrokenBody(t *testing.T) {
	torn := roundTrip(func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("half"), errReader{io.ErrUnexpectedEOF})
		return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
	})
	err := lb.Must(HTTP(HTTPConfig{Transport: torn}))(t.Context(), backend(t, lb.Spec{URL: "http://10.0.0.1"}))
	if !errors.Is(err, io.ErrUnexpectedEOF) || text(err) != "answered 200, then the body broke off: unexpected EOF" {
		t.Errorf("got %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestHTTPLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			takes time.Duration
			want  string
		}{{100 * time.Millisecond, ""}, {101 * time.Millisecond, "answered after 101ms, more than 100ms"}} {
			slow := roundTrip(func(r *http.Request) (*http.Response, error) {
				time.Sleep(tt.takes)
				return answer(200, "")(r)
			})
			probe := lb.Must(HTTP(HTTPConfig{Transport: slow, MaxLatency: 100 * time.Millisecond}))
			if got := text(probe(t.Context(), backend(t, lb.Spec{URL: "http://10.0.0.1"}))); got != tt.want {
				t.Errorf("%v: got %q, want %q", tt.takes, got, tt.want)
			}
		}
	})
}

func TestHTTPRequest(t *testing.T) {
	for _, tt := range []struct{ base, path, want string }{
		{"http://10.0.0.1:81", "", "http://10.0.0.1:81/"},
		{"http://10.0.0.1", "/health?deep=1&x=a%20b", "http://10.0.0.1/health?deep=1&x=a%20b"},
		{"https://a.example/api", "/health", "https://a.example/api/health"},
		{"h2c://a.example/api/", "/a%2Fb", "h2c://a.example/api/a%2Fb"},
	} {
		var got *http.Request
		see := roundTrip(func(r *http.Request) (*http.Response, error) { got = r; return answer(200, "")(r) })
		header := http.Header{"X-Probe": {"1", "2"}}
		probe := lb.Must(HTTP(HTTPConfig{Path: tt.path, Host: "app.example", Header: header, Transport: see}))
		header.Set("X-Probe", "changed")
		if err := probe(t.Context(), backend(t, lb.Spec{URL: tt.base})); err != nil {
			t.Fatal(err)
		}
		if got.Method != http.MethodGet || got.URL.String() != tt.want || got.URL.Path[0] != '/' || got.Host != "app.example" || got.Body != nil || got.Close {
			t.Errorf("%s %v, host %q, close %v; want GET %s", got.Method, got.URL, got.Host, got.Close, tt.want)
		}
		if h := got.Header; len(h) != 2 || strings.Join(h["X-Probe"], " ") != "1 2" || h.Get("User-Agent") != "lb-health" {
			t.Errorf("headers %v", h)
		}
	}
}

// TestHTTPRedirect has a backend that sends its callers elsewhere.
func TestHTTPRedirect(t *testing.T) {
	var lured atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer server.Close()
	b := backend(t, lb.Spec{URL: server.URL})
	if got := text(lb.Must(HTTP(HTTPConfig{}))(t.Context(), b)); got != "answered 302, want 200 to 299" {
		t.Errorf("got %q", got)
	}
	if err := lb.Must(HTTP(HTTPConfig{MaxStatus: 399}))(t.Context(), b); err != nil {
		t.Error(err)
	}
	if lured.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TestHTTPConnects checks that each probe makes a connection of its own.
func TestHTTPConnects(t *testing.T) {
	var made atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	probe := lb.Must(HTTP(HTTPConfig{}))
	for range 3 {
		if err := probe(t.Context(), backend(t, lb.Spec{URL: server.URL})); err != nil {
			t.Error(err)
		}
	}
	if made.Load() != 3 {
		t.Errorf("%d connections for 3 probes", made.Load())
	}
}

// serve starts servers for http and h2c, for https, and on a socket.
func serve(t *testing.T, handler http.Handler) (plain, secure *httptest.Server, socket string, stop func()) {
	t.Helper()
	plain = httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	secure = httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: handler}
	served := make(chan error)
	go func() { served <- local.Serve(listener) }()
	return plain, secure, socket, func() {
		plain.Close()
		secure.Close()
		local.Close()
		<-served
	}
}

// TestHTTPSchemes asks real backends of every kind.
func TestHTTPSchemes(t *testing.T) {
	before := runtime.NumGoroutine()
	var proto atomic.Value
	plain, secure, socket, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.Proto + " " + r.URL.Path)
		io.WriteString(w, "ok")
	}))
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	tlsTransport := transport.New(transport.Config{TLS: &tls.Config{RootCAs: roots}})
	host := func(s string) string { u, _ := url.Parse(s); return u.Host }
	for _, tt := range []struct {
		spec lb.Spec
		via  http.RoundTripper
		want string
	}{
		{lb.Spec{URL: plain.URL}, nil, "HTTP/1.1 /h"},
		{lb.Spec{URL: "h2c://" + host(plain.URL) + "/base"}, nil, "HTTP/2.0 /base/h"},
		{lb.Spec{URL: "unix://" + socket}, nil, "HTTP/1.1 /h"},
		{lb.Spec{URL: secure.URL, ServerName: "example.com"}, tlsTransport, "HTTP/2.0 /h"},
	} {
		probe := lb.Must(HTTP(HTTPConfig{Path: "/h", Body: regexp.MustCompile("^ok$"), Transport: tt.via}))
		for range 3 {
			if err := probe(t.Context(), backend(t, tt.spec)); err != nil {
				t.Errorf("%s: %v", tt.spec.URL, err)
			}
		}
		if got := proto.Swap(""); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.spec.URL, got, tt.want)
		}
	}
	wrong := lb.Spec{URL: secure.URL, ServerName: "other.test"}
	if err := lb.Must(HTTP(HTTPConfig{Transport: tlsTransport}))(t.Context(), backend(t, wrong)); err == nil {
		t.Error("a certificate for another name passed")
	}

	tlsTransport.CloseIdleConnections()
	stop()
	settle(t, before)
}

// settle waits until no more goroutines run than before; it fails by the test's own deadline.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestTCP(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	specs := []lb.Spec{{URL: "http://" + tcp.Addr().String() + "/base"}, {URL: "unix://" + socket}}
	for _, s := range specs {
		if err := TCP(t.Context(), backend(t, s)); err != nil {
			t.Errorf("%s: %v", s.URL, err)
		}
	}
	tcp.Close()
	unix.Close()
	for _, s := range specs {
		if err := TCP(t.Context(), backend(t, s)); err == nil {
			t.Errorf("%s: nobody listens, and yet it passed", s.URL)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, u := range []string{"http://127.0.0.1", "https://127.0.0.1", "http://[::1]"} { // without a port
		if err := TCP(ctx, backend(t, lb.Spec{URL: u})); err == nil || strings.Contains(err.Error(), "missing port") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestHTTPFaults(t *testing.T) {
	for _, tt := range []struct {
		cfg  HTTPConfig
		want string
	}{
		{HTTPConfig{Path: "health"}, "Path"},
		{HTTPConfig{Path: "//evil.example/"}, "Path"},
		{HTTPConfig{Path: "http://evil.example/"}, "Path"},
		{HTTPConfig{Path: "/a#b"}, "Path"},
		{HTTPConfig{Path: "/%zz"}, "Path"},
		{HTTPConfig{Path: "/a\r\nb"}, "Path"},
		{HTTPConfig{Host: "a b"}, "Host"},
		{HTTPConfig{Host: "a\r\nX: y"}, "Host"},
		{HTTPConfig{MinStatus: 300, MaxStatus: 200}, "MinStatus"},
		{HTTPConfig{MinStatus: 100}, "MinStatus"},
		{HTTPConfig{MaxStatus: 600}, "MinStatus"},
		{HTTPConfig{MaxLatency: -1}, "MaxLatency"},
		{HTTPConfig{Header: http.Header{"A b": {"x"}}}, "Header"},
		{HTTPConfig{Header: http.Header{"": {"x"}}}, "Header"},
		{HTTPConfig{Header: http.Header{"A": {"x\r\nB: y"}}}, "Header"},
		{HTTPConfig{Header: http.Header{"host": {"x"}}}, "Header"},
	} {
		if _, err := HTTP(tt.cfg); err == nil || !strings.HasPrefix(err.Error(), "health: HTTPConfig."+tt.want) {
			t.Errorf("%+v: %v", tt.cfg, err)
		}
	}
	_, err := HTTP(HTTPConfig{Path: "x", Host: "a b", MinStatus: 1, MaxLatency: -1})
	if n := strings.Count(text(err), "HTTPConfig."); n != 4 {
		t.Errorf("%d of 4 faults are named in\n%v", n, err)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/", "//", "///", "/health?x=1", "//a/b", "/%2e%2e/x", "/a#b", "http://x/", "", "?", "/\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parsePath(s)
		if err != nil {
			return
		}
		joined := join(&url.URL{Scheme: "http", Host: "10.0.0.1"}, u)
		if joined.Host != "10.0.0.1" || !strings.HasPrefix(joined.EscapedPath(), "/") || strings.ContainsAny(joined.String(), "\r\n ") {
			t.Errorf("%q became %q", s, joined)
		}
	})
}
