package lb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// front is a balancer on a real socket, before one backend on another.
type front struct {
	*httptest.Server
	balancer *lb.Balancer
	pool     *lb.DynamicPool
	ended    chan lb.Summary
}

// fronts runs a test against a balancer that has nothing on, and against one with everything on.
func fronts(t *testing.T, backend http.HandlerFunc, test func(*testing.T, *front)) {
	t.Helper()
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			origin := httptest.NewServer(backend)
			t.Cleanup(origin.Close)
			test(t, before(t, cfg, nil, origin.URL))
		})
	}
}

func (f *front) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (f *front) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// dial sends raw bytes and returns the connection to read from.
func (f *front) dial(t *testing.T, raw string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func TestForwardingHeaders(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		in, want   http.Header
	}{
		{"nobody is believed", "192.0.2.1:1",
			http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X_forwarded_host": {"evil"}, "X-Forwarded_Port": {"1"}, "X-Forwarded-Prefix": {"/x"}, "X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}},
			http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"shop"}, "Forwarded": {`for=192.0.2.1;host="shop";proto=http`}}},
		{"but our proxies", "10.0.0.1:1",
			http.Header{"X-Forwarded-For": {"6.6.6.6, 192.0.2.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"mall"}, "X-Real-Ip": {"192.0.2.9"}, "Forwarded": {"for=6.6.6.6", "for=192.0.2.9"}, "X_forwarded_for": {"7.7.7.7"}},
			http.Header{"X-Forwarded-For": {"6.6.6.6, 192.0.2.9, 10.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"mall"}, "X-Real-Ip": {"192.0.2.9"}, "Forwarded": {`for=6.6.6.6, for=192.0.2.9, for=10.0.0.1;host="shop";proto=http`}}},
		{"an IPv6 peer", "[2001:db8::1]:1", nil,
			http.Header{"X-Forwarded-For": {"2001:db8::1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"shop"}, "Forwarded": {`for="[2001:db8::1]";host="shop";proto=http`}}},
		{"a peer without an address", "@", nil,
			http.Header{"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"shop"}, "Forwarded": {`for=unknown;host="shop";proto=http`}}},
		{"Connection does not delete what we set, and no protocol is switched to but websocket", "192.0.2.1:1",
			http.Header{"Connection": {"X-Forwarded-For, x-forwarded-host, Forwarded, X-Secret, Upgrade"}, "X-Secret": {"1"}, "Upgrade": {"h2c"}},
			http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"shop"}, "Forwarded": {`for=192.0.2.1;host="shop";proto=http`}}},
	} {
		var got *http.Request
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) { got = r; return ok(r) },
			lb.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		r := httptest.NewRequest("GET", "http://shop/x%2Fy?a;b&q=%zz", nil)
		r.RemoteAddr, r.Header = c.peer, c.in
		before := r.Header.Clone()
		serve(b, r)
		got.Header.Del("User-Agent")
		if !maps.EqualFunc(got.Header, c.want, slices.Equal) || got.Host != "shop" || got.URL.RequestURI() != "/x%2Fy?a;b&q=%zz" {
			t.Errorf("%s: sent\n%v to %s %s, want\n%v", c.name, got.Header, got.Host, got.URL, c.want)
		}
		if !maps.EqualFunc(r.Header, before, slices.Equal) || r.URL.Host != "shop" {
			t.Errorf("%s: the client's request was changed", c.name)
		}
	}
}

func TestPathsAndHosts(t *testing.T) {
	for _, c := range []struct{ base, path, want string }{
		{"http://h", "/", "/"}, {"http://h/", "/x", "/x"}, {"http://h/b", "/x", "/b/x"}, {"http://h/b/", "/x/", "/b/x/"},
		{"http://h/b", "/a%2Fb/%2e%2e/c", "/b/a%2Fb/%2e%2e/c"}, {"http://h/b%2Fc", "/x", "/b%2Fc/x"}, {"http://h", "//x//y", "//x//y"},
		{"http://h", "/a/../b", "/a/../b"}, {"http://h/b", "/?x=1", "/b/?x=1"}, {"http://h", "/%23x", "/%23x"},
	} {
		var got *http.Request
		pool := lb.Must(lb.NewPool(lb.Spec{URL: c.base}))
		for _, rewrite := range []bool{false, true} {
			b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: turns, RewriteHost: rewrite, Transport: backends(func(r *http.Request) (*http.Response, error) { got = r; return ok(r) })}))
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = lb.Must(r.URL.Parse("http://shop"))
			u := lb.Must(http.NewRequest("GET", "http://shop"+c.path, nil)).URL
			r.URL = u
			serve(b, r)
			if got.URL.RequestURI() != c.want || got.URL.Host != "h" || (got.Host == "") != rewrite {
				t.Errorf("%s below %s: %s at %s for %q", c.path, c.base, got.URL.RequestURI(), got.URL.Host, got.Host)
			}
		}
	}
}

// Answers that consist of trailers only, as gRPC's errors do, arrive whole each time.
func TestTrailersOnlyOverHTTP2(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "12")
	}))
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	origin.Config.Protocols = h2
	origin.Start()
	defer origin.Close()
	pool := lb.Must(lb.NewPool(lb.Spec{URL: strings.Replace(origin.URL, "http", "h2c", 1)}))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: turns}))
	f := httptest.NewUnstartedServer(b)
	f.Config.Protocols = h2
	f.Start()
	defer f.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: h2}}
	defer client.CloseIdleConnections()
	for range 100 {
		resp, err := client.Post(f.URL, "application/grpc", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.Trailer.Get("Grpc-Status") != "12" || resp.ProtoMajor != 2 {
			t.Fatalf("got %s with trailers %v", resp.Proto, resp.Trailer)
		}
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	mustBeIdle(t, b)
}

func TestExpectContinue(t *testing.T) {
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(417)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}, func(t *testing.T, f *front) {
		conn, in := f.dial(t, "POST /yes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 100 {
			t.Fatalf("got %v, %v before the body", resp, err)
		}
		_, _ = io.WriteString(conn, "body")
		resp, err = http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v after the body", resp, err)
		}
		resp.Body.Close()
		_, in = f.dial(t, "POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != 417 {
			t.Errorf("got %v, %v, want a refusal without the body", resp, err)
		}
	})
}

func TestTheClientLeaves(t *testing.T) {
	left, asked := make(chan error, 1), make(chan bool, 1)
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		left <- r.Context().Err()
	}, func(t *testing.T, f *front) {
		conn, _ := f.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-asked
		conn.Close()
		<-left
		if s := <-f.ended; s.Reason != "client" || s.Status != lb.StatusClientClosed || !errors.Is(s.Err, lb.ErrClient) {
			t.Errorf("summed up as %+v", s)
		}
	})
}

// A response that its backend breaks off is broken off for the client, too, and is never taken
// for whole: by length, by chunks, and before its first byte.
func TestTruncatedResponses(t *testing.T) {
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, _ := http.NewResponseController(w).Hijack()
		defer conn.Close()
		switch r.URL.Path {
		case "/length":
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		case "/chunks":
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		}
		_ = rw.Flush()
	}, func(t *testing.T, f *front) {
		for range 100 {
			for _, path := range []string{"/length", "/chunks"} {
				resp, err := f.Client().Do(f.request(t, "GET", path, nil))
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if err == nil {
					t.Fatalf("%s: a truncated response was taken for whole", path)
				}
				if s := <-f.ended; s.Reason != "truncated" && s.Reason != "reset" {
					t.Fatalf("%s: summed up as %+v", path, s)
				}
			}
		}
		if resp, _ := f.do(t, f.request(t, "POST", "/nothing", nil)); resp.StatusCode != 502 {
			t.Errorf("answered %s without an answer", resp.Status)
		}
	})
}

// What the client breaks off is the client's fault: 400, and no backend is blamed.
func TestBrokenUploads(t *testing.T) {
	fronts(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, func(t *testing.T, f *front) {
		for range 20 {
			_, in := f.dial(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nzz\r\n")
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 400 {
				t.Fatalf("a bad chunk: %v, %v", resp, err)
			}
			if s := <-f.ended; s.Reason != "upload" || s.Status != 400 {
				t.Errorf("a bad chunk is summed up as %+v", s)
			}
		}
		if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
			t.Errorf("the backend's error rate is %v", rate)
		}
	})
}

// A request of which nothing was sent goes to the next backend, with its whole body, whatever the
// method and however large it is.
func TestUnsentRequestsAreTriedAgain(t *testing.T) {
	dead := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	dead.Close()
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer live.Close()
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "1", URL: "http://" + dead.Addr().String()}, lb.Spec{ID: "2", URL: live.URL}))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first}))
	f := &front{Server: httptest.NewServer(b), balancer: b}
	defer f.Close()
	for _, size := range []int{0, 1, 1 << 10, 16 << 10, 1 << 20} {
		for _, known := range []bool{true, false} {
			want := strings.Repeat("x", size)
			var body io.Reader = strings.NewReader(want)
			if !known {
				body = io.MultiReader(body)
			}
			if resp, got := f.do(t, f.request(t, "POST", "/", body)); resp.StatusCode != 200 || got != want {
				t.Errorf("%d bytes, known %v: %s with %d bytes", size, known, resp.Status, len(got))
			}
		}
	}
	f.Client().CloseIdleConnections()
	becomesIdle(t, b)
}

// A tunnel through which nothing passes ends, and one that is used in one direction does not.
func TestQuietTunnelsEnd(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(upgrade))
	defer origin.Close()
	ended := make(chan lb.Summary, 1)
	b := lb.Must(lb.New(lb.Config{
		Pool: lb.Must(lb.NewPool(lb.URLs(origin.URL)...)), Policy: turns, TunnelIdle: 30 * time.Millisecond,
		Observers: []lb.Observer{{Request: func(s lb.Summary) { ended <- s }}},
	}))
	f := &front{Server: httptest.NewServer(b), balancer: b}
	defer f.Close()
	conn, in := f.dial(t, askForWebSocket)
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		_, _ = io.WriteString(conn, "ping\n")
		if got, err := in.ReadString('\n'); got != "ping\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if s := <-ended; s.Status != 101 || s.Bytes < 100 {
		t.Errorf("summed up as %+v", s)
	}
	becomesIdle(t, b)
}

// late is a body that tells of its end only when it is asked once more.
type late struct{ io.ReadCloser }

func (l late) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Once all of a body is there, its client is not hurried, however long the answer takes, and its
// connection is kept.
func TestNoHurryAfterTheBody(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.NewTimer(150 * time.Millisecond).C:
			fmt.Fprint(w, "done")
		}
	}))
	defer origin.Close()
	b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs(origin.URL)...)), Policy: turns, UploadIdle: 30 * time.Millisecond}))
	wrapped := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.Body = late{r.Body}; b.ServeHTTP(w, r) })
	for _, h := range []http.Handler{b, wrapped} {
		f := &front{Server: httptest.NewServer(h), balancer: b}
		for _, size := range []int{1, 16 << 10, 100 << 10} {
			if resp, body := f.do(t, f.request(t, "POST", "/", strings.NewReader(strings.Repeat("x", size)))); resp.StatusCode != 200 || body != "done" || resp.Close {
				t.Errorf("%d bytes: %s %q, and the connection is closed: %v", size, resp.Status, body, resp.Close)
			}
		}
		f.Close()
	}
	becomesIdle(t, b)
}

// A client that pauses for too long in its body holds no backend for ever.
func TestUploadsThatStall(t *testing.T) {
	asked := false
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = true
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer origin.Close()
	told := make(chan lb.Summary, 2)
	b := lb.Must(lb.New(lb.Config{
		Pool: lb.Must(lb.NewPool(lb.URLs(origin.URL)...)), Policy: turns, UploadIdle: 20 * time.Millisecond, ReasonHeader: "X-Reason",
		Observers: []lb.Observer{{Request: func(s lb.Summary) { told <- s }}},
	}))
	f := &front{Server: httptest.NewServer(b), balancer: b}
	defer f.Close()
	_, in := f.dial(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 408 || resp.Header.Get("X-Reason") != "upload" || asked {
		t.Errorf("a small body that stalls: %v, %v, and a backend was asked: %v", resp, err, asked)
	}
	_, in = f.dial(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf")
	if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != 408 {
		t.Errorf("a large body that stalls: %v, %v", resp, err)
	}
	for range 2 {
		if s := <-told; s.Status != 408 || s.Reason != "upload" {
			t.Errorf("summed up as %+v", s)
		}
	}
	if rate := b.Status().Backends[0].ErrorRate(); rate != 0 {
		t.Errorf("the backend was blamed: %v", rate)
	}
	becomesIdle(t, b)
}

// A request that cannot be written so that it is read in one way is its client's fault: it is not
// sent, not tried again, and no backend is blamed.
func TestRequestsThatCannotBeWritten(t *testing.T) {
	fronts(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, f *front) {
		odd := strings.Repeat("x-a,", 3)
		for i := range 20 {
			odd += fmt.Sprintf("x-%d,", i)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Bad Name"] = []string{"x"} // as a middleware might have set it
		for _, r := range []*http.Request{r, httptest.NewRequest("GET", "/", nil)} {
			if len(r.Header) == 0 {
				r.Header.Set("Connection", odd)
			}
			resp := serve(f.balancer, r)
			s := <-f.ended
			if resp.StatusCode == 400 && (s.Reason != "request" || s.Attempts > 1) || resp.StatusCode >= 500 {
				t.Errorf("%v: %s, summed up as %+v", r.Header, resp.Status, s)
			}
		}
		if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
			t.Errorf("the backend was blamed: %v", rate)
		}
	})
}

// An answer adds to what a handler in front of us has set, through the engine and through any
// other transport.
func TestAnswersKeepWhatIsThere(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "theirs=1") }))
	defer origin.Close()
	std := &http.Transport{}
	defer std.CloseIdleConnections()
	for name, tr := range map[string]http.RoundTripper{"engine": nil, "other": std} {
		b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs(origin.URL)...)), Policy: turns, Transport: tr}))
		w := httptest.NewRecorder()
		w.Header().Set("Set-Cookie", "ours=1")
		b.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header()["Set-Cookie"]; !slices.Equal(got, []string{"ours=1", "theirs=1"}) {
			t.Errorf("%s: %q", name, got)
		}
		becomesIdle(t, b)
	}
}

// closing tells when a body is closed.
type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error { *c.closed = true; return nil }

// A response that cannot be used is closed, or its connection would be lost.
func TestUnaskedSwitchesAreClosed(t *testing.T) {
	closed := false
	b, _ := balance(t, func(*http.Request) (*http.Response, error) {
		resp := respond(101, "")
		resp.Body = closing{strings.NewReader(""), &closed}
		return resp, nil
	}, lb.Config{})
	if resp := get(b); resp.StatusCode != 502 || !closed {
		t.Errorf("%s, and the body is closed: %v", resp.Status, closed)
	}
	mustBeIdle(t, b)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHeadAndBodylessStatuses(t *testing.T) {
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "1000")
			if r.Method != "HEAD" {
				_, _ = w.Write(make([]byte, 1000))
			}
		}
	}, func(t *testing.T, f *front) {
		for _, c := range []struct {
			method, path string
			status       int
			length       int64
		}{{"HEAD", "/", 200, 1000}, {"GET", "/204", 204, 0}, {"GET", "/304", 304, 0}, {"GET", "/", 200, 1000}} {
			resp, _ := f.do(t, f.request(t, c.method, c.path, nil))
			if resp.StatusCode != c.status || max(resp.ContentLength, 0) != c.length {
				t.Errorf("%s %s: %s with length %d", c.method, c.path, resp.Status, resp.ContentLength)
			}
			if s := <-f.ended; s.Reason != "" || s.Err != nil || s.Status != c.status {
				t.Errorf("%s %s is summed up as %+v", c.method, c.path, s)
			}
		}
	})
}

const askForWebSocket = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// upgrade accepts a switch to websocket and gives back what comes, until its client's end.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, rw)
	_, _ = io.WriteString(conn, "bye\n")
}

func TestWebSocket(t *testing.T) {
	fronts(t, upgrade, func(t *testing.T, f *front) {
		conn, in := f.dial(t, askForWebSocket)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" {
			t.Fatal(resp, err)
		}
		for i := range 10 {
			line := strings.Repeat("x", i*1000) + "\n"
			_, _ = io.WriteString(conn, line)
			if got, err := in.ReadString('\n'); got != line || f.balancer.Status().Backends[0].InFlight() != 1 {
				t.Fatalf("%d bytes came back of %d, %v", len(got), len(line), err)
			}
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(in); string(rest) != "bye\n" {
			t.Errorf("after the half-close came %q, %v", rest, err)
		}
		if s := <-f.ended; s.Status != 101 || s.Reason != "" {
			t.Errorf("summed up as %+v", s)
		}
	})
}

// A tunnel that its client abandons ends, and so does one that is open at shutdown's deadline.
func TestTunnelsEnd(t *testing.T) {
	fronts(t, upgrade, func(t *testing.T, f *front) {
		for _, shutdown := range []bool{false, true} {
			conn, in := f.dial(t, askForWebSocket)
			if _, err := http.ReadResponse(in, nil); err != nil {
				t.Fatal(err)
			}
			if shutdown {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := f.balancer.Shutdown(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("shutdown with a tunnel open: %v", err)
				}
			} else {
				conn.Close()
			}
			<-f.ended
			becomesIdle(t, f.balancer)
		}
	})
}

// Only what is allowed is switched to, and only what was asked for.
func TestUpgradesThatAreNotAllowed(t *testing.T) {
	var mu sync.Mutex
	asked := ""
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = fmt.Sprint(r.Header["Upgrade"], r.Header["Connection"])
	}, func(t *testing.T, f *front) {
		for _, token := range []string{"h2c", "websocket, h2c", "WebSocket/13", "tls/1.0"} {
			_, in := f.dial(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "+token+"\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			mu.Lock()
			if err != nil || resp.StatusCode != 200 || asked != "[] []" {
				t.Errorf("%s: %v %v, and the backend was asked for %s", token, resp, err, asked)
			}
			mu.Unlock()
		}
	})
	fronts(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.URL.Path[1:]+"\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
	}, func(t *testing.T, f *front) {
		for _, c := range []struct{ path, ask string }{{"/websocket", ""}, {"/h2c", "Connection: Upgrade\r\nUpgrade: websocket\r\n"}} {
			_, in := f.dial(t, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\n"+c.ask+"\r\n")
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 502 {
				t.Errorf("%v: %v %v, want 502", c, resp, err)
			}
			if s := <-f.ended; s.Status != 502 || s.Reason != "protocol" {
				t.Errorf("%v is summed up as %+v", c, s)
			}
		}
	})
}

// No address of a backend, and nothing about it, reaches a client through an answer of our own.
func TestErrorsShowNothing(t *testing.T) {
	dead := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	addr := dead.Addr().String()
	dead.Close()
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "secret-name", URL: "http://" + addr}))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: turns}))
	for _, facts := range []lb.Facts{0, lb.Draining} {
		pool.Mark("secret-name", facts, "secret cause")
		resp := get(b)
		body, _ := io.ReadAll(resp.Body)
		text := fmt.Sprint(resp.Header, string(body))
		if strings.Contains(text, "secret") || strings.Contains(text, addr) || resp.StatusCode < 502 {
			t.Errorf("%s: %s", resp.Status, text)
		}
		if facts == lb.Draining && (resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "") {
			t.Errorf("nobody there: %s with %v", resp.Status, resp.Header)
		}
	}
}

// OnError's choice is what the client gets and what the summary says.
func TestOnError(t *testing.T) {
	var sum lb.Summary
	b, _ := balance(t, func(*http.Request) (*http.Response, error) { return nil, errDial }, lb.Config{
		OnError: func(w http.ResponseWriter, r *http.Request, err error) {
			failed, ok := errors.AsType[*lb.AttemptError](err)
			if !ok || failed.Reason != "dial" || failed.Attempt != 1 || r.URL.Path != "/" {
				t.Errorf("OnError got %v", err)
			}
			http.Error(w, "teapot", http.StatusTeapot)
		},
		Observers: []lb.Observer{{Request: func(s lb.Summary) { sum = s }}},
	})
	if resp := get(b); resp.StatusCode != 418 || sum.Status != 418 || sum.Reason != "dial" || sum.Attempts != 2 || sum.Backend != nil {
		t.Errorf("got %s, summed up as %+v", resp.Status, sum)
	}
}

// The way through observers: a context and headers of their own for each attempt.
func TestObserversStart(t *testing.T) {
	type word struct{}
	var sent []string
	tries := 0
	var results, sums []any
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Traceparent"), fmt.Sprint(r.Context().Value(word{})))
		if tries++; tries == 1 {
			return nil, errDial
		}
		return ok(r)
	}, lb.Config{Observers: []lb.Observer{{
		RequestStart: func(ctx context.Context, _ *http.Request) context.Context { return context.WithValue(ctx, word{}, "r") },
		AttemptStart: func(ctx context.Context, a lb.AttemptInfo, h http.Header) context.Context {
			h.Set("Traceparent", fmt.Sprint("t", a.Attempt))
			return context.WithValue(ctx, word{}, fmt.Sprint(ctx.Value(word{}), a.Attempt))
		},
		Attempt: func(r lb.Result) { results = append(results, r.Request.Context().Value(word{})) },
		Request: func(s lb.Summary) { sums = append(sums, s.Request.Context().Value(word{})) },
	}}})
	r := httptest.NewRequest("GET", "/", nil)
	serve(b, r)
	if want := []string{"t0", "r0", "t1", "r1"}; !slices.Equal(sent, want) || fmt.Sprint(results, sums) != "[r0 r1] [r]" || r.Header.Get("Traceparent") != "" {
		t.Errorf("sent %q, told %v %v", sent, results, sums)
	}
}
