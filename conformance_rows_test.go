package lb_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// show answers with the header fields that came, in order.
func show(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "Host:", r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
}

// shows sends a raw head and compares the lines that show answers with; what begins with a minus
// must not be there.
func shows(raw string, want ...string) func(*testing.T, *front) {
	return func(t *testing.T, f *front) {
		t.Helper()
		_, in := f.dial(t, raw)
		resp, err := http.ReadResponse(in, nil)
		got := strings.Split(whole(t, resp, err), "\n")
		for _, line := range want {
			if name, absent := strings.CutPrefix(line, "-"); absent {
				if slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, name+":") }) {
					t.Errorf("%s came through: %q", name, got)
				}
			} else if !slices.Contains(got, line) {
				t.Errorf("%q is not among %q", line, got)
			}
		}
	}
}

func mannersOfHeaders() []manner {
	const get = "GET /x?q HTTP/1.1\r\nHost: shop\r\n"
	return []manner{
		{name: "the host is kept", of: "TestReverseProxy", backend: show, test: shows(get+"\r\n", "Host: shop")},
		{name: "hop-by-hop fields stay", of: "TestReverseProxy StripHeadersPresentInConnection", backend: show, test: shows(get+"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTrailer: X\r\nUpgrade: x\r\nX-End: 1\r\n\r\n",
			"-Connection", "-X-Hop", "-Keep-Alive", "-Proxy-Connection", "-Proxy-Authorization", "-Upgrade", "X-End: 1")},
		{name: "of TE only trailers pass", of: "TestReverseProxy", backend: show, test: shows(get+"Te: gzip, trailers\r\nConnection: te\r\n\r\n", "Te: trailers")},
		{name: "an empty Connection hides no other", of: "StripEmptyConnection", backend: show, test: shows(get+"Connection: \r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n", "-X-Hop", "-Connection")},
		{name: "several values of a field", of: "TestReverseProxy", backend: show, test: shows(get+"X: 1\r\nX: 2\r\n\r\n", "X: 1 | 2")},
		{name: "who is not trusted says nothing", of: "XForwardedFor RewriteStripsForwarded", backend: show, test: shows(get+"Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n\r\n",
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: shop", "X-Forwarded-Proto: http")},
		{name: "nor in other ways", of: "RewriteStripsForwarded", ours: true, backend: show, test: shows(get+"X-Real-Ip: 6.6.6.6\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: x\r\n\r\n",
			"-X-Real-Ip", "-X-Forwarded-Prefix", "-X-Forwarded-Port", "-X-Forwarded-Server")},
		{name: "a user agent is kept", of: "UserAgentHeader", backend: show, test: shows(get+"User-Agent: me\r\n\r\n", "User-Agent: me")},
		{name: "none is made up", of: "UserAgentHeader _NilBody", backend: show, test: shows(get+"\r\n", "-User-Agent", "-Accept-Encoding", "-Content-Length")},
		{name: "a response's hop-by-hop fields stay", of: "TestReverseProxy StripHeadersPresentInConnection StripEmptyConnection", backend: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Connection"] = []string{"", "X-Hop"}
			w.Header().Set("X-Hop", "1")
			w.Header().Set("Proxy-Authenticate", "x")
			w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
			w.WriteHeader(299)
		}, test: func(t *testing.T, f *front) {
			resp, _ := f.do(t, f.request(t, "GET", "/", nil))
			if h := resp.Header; h.Get("X-Hop") != "" || h.Get("Connection") != "" || !slices.Equal(theirs(h), []string{"a=1", "b=2"}) || resp.StatusCode != 299 {
				t.Errorf("got %s with %v", resp.Status, h)
			}
		}},
		{name: "the request is not changed", of: "ServeHTTPDeepCopy ClonesRequestHeaders StripHeadersPresentInConnection", backend: show, test: func(t *testing.T, f *front) {
			r := httptest.NewRequest("GET", "http://shop/a%2Fb?q", nil)
			r.Header = http.Header{"Connection": {"X-Hop"}, "X-Hop": {"1"}, "Te": {"trailers"}, "X-Forwarded-For": {"6.6.6.6"}}
			header, u := r.Header.Clone(), *r.URL
			f.Config.Handler.ServeHTTP(httptest.NewRecorder(), r)
			if !maps.EqualFunc(r.Header, header, slices.Equal) || *r.URL != u || r.Host != "shop" {
				t.Errorf("it became %v for %v", r.Header, r.URL)
			}
		}},
		{name: "a request without body and header", of: "NilBody AllocatedHeader", backend: show, test: func(t *testing.T, f *front) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Body, r.Header = nil, nil
			w := httptest.NewRecorder()
			f.Config.Handler.ServeHTTP(w, r)
			if w.Code != 200 || strings.Contains(w.Body.String(), "Transfer-Encoding") {
				t.Errorf("got %d, %s", w.Code, w.Body)
			}
		}},
	}
}

func mannersOfURLs() []manner {
	return []manner{
		{name: "a path below the backend's own", of: "SingleJoinSlash JoinURLPath", base: "/base%2F1", backend: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.EscapedPath()) },
			test: func(t *testing.T, f *front) {
				for path, want := range map[string]string{"/": "/base%2F1/", "/x": "/base%2F1/x", "/a%2Fb/": "/base%2F1/a%2Fb/"} {
					if _, got := f.do(t, f.request(t, "GET", path, nil)); got != want {
						t.Errorf("%s became %s", path, got)
					}
				}
			}},
		{name: "queries pass as they came", of: "QueryParameterSmugglingDirectorDoesNotParseForm QueryParameterSmugglingDirectorParsesForm QueryParameterSmugglingRewrite QueryParameterSmugglingRewritePreservesRawQuery", ours: true, backend: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) },
			test: func(t *testing.T, f *front) {
				for _, query := range []string{"a=1;b=2", "a=%zz", "a&a&&=", strings.Repeat("a&", 10_001)} {
					_, in := f.dial(t, "GET /?"+query+" HTTP/1.1\r\nHost: x\r\n\r\n")
					if resp, err := http.ReadResponse(in, nil); whole(t, resp, err) != query {
						t.Errorf("%.50q did not pass", query)
					}
				}
			}},
	}
}

func mannersOfInterim() []manner {
	return []manner{
		{name: "informational answers in order", of: "1xxResponses 1xxHeadersNotModifiedAfterRoundTrip", backend: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.Header().Set("Link", "</b>")
			w.WriteHeader(102)
			w.Header().Set("Link", "</c>")
		}, test: func(t *testing.T, f *front) {
			var got []string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(status, h["Link"]))
				return nil
			}})
			resp, _ := f.do(t, f.request(t, "GET", "/", nil).WithContext(ctx))
			if want := []string{"103 [</a>]", "102 [</b>]"}; !slices.Equal(got, want) || resp.Header.Get("Link") != "</c>" {
				t.Errorf("got %q, then %v", got, resp.Header)
			}
		}},
		{name: "hop-by-hop fields of those stay", of: "1xxResponses", ours: true, backend: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "1")
			w.WriteHeader(103)
		}, test: func(t *testing.T, f *front) {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
				if h.Get("X-Hop") != "" || h.Get("Connection") != "" {
					t.Errorf("got %d with %v", status, h)
				}
				return nil
			}})
			f.do(t, f.request(t, "GET", "/", nil).WithContext(ctx))
		}},
		{name: "who waits for 100 Continue hears at once that nobody is there", of: "InvalidUpstream100ContinueDoNotHang", dead: true, test: func(t *testing.T, f *front) {
			conn := f.connect(t)
			defer conn.Close()
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got %v, %v", resp, err)
			}
		}},
	}
}

// breakOff answers with a body that is shorter than it says.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
}

func mannersOfBodies() []manner {
	first := make(chan bool)
	return []manner{
		{name: "bodies pass", of: "_Post FlushInterval", backend: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		}, test: func(t *testing.T, f *front) {
			for _, size := range []int{0, 1, 4096, 1 << 20, 5 << 20} {
				want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				for _, body := range []io.Reader{bytes.NewReader(want), io.MultiReader(bytes.NewReader(want))} {
					if _, got := f.do(t, f.request(t, "POST", "/", body)); got != string(want) {
						t.Errorf("%d bytes became %d", len(want), len(got))
					}
				}
			}
		}},
		{name: "headers do not wait for the body, nor parts of it", of: "FlushIntervalHeaders ResponseControllerFlushInterval", outer: behindPlain, backend: func(w http.ResponseWriter, r *http.Request) {
			for _, part := range []string{"", "part"} {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-first:
				case <-r.Context().Done():
				}
			}
		}, test: func(t *testing.T, f *front) {
			resp, err := f.Client().Do(f.request(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			first <- true // only now does the backend go on
			if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
				t.Error(err)
			}
			first <- true
		}},
		{name: "trailers that were announced and others", of: "TestReverseProxy UnannouncedTrailer", backend: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Known")
			_, _ = io.WriteString(w, "body")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("X-Known", "1")
			w.Header().Set(http.TrailerPrefix+"X-Other", "2")
		}, test: func(t *testing.T, f *front) {
			resp, body := f.do(t, f.request(t, "GET", "/", nil))
			if body != "body" || resp.Trailer.Get("X-Known") != "1" || resp.Trailer.Get("X-Other") != "2" {
				t.Errorf("got %q and trailers %v", body, resp.Trailer)
			}
		}},
		{name: "trailers of a request", of: "TestReverseProxy", ours: true, backend: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, r.Trailer.Get("X-Up"))
		}, test: func(t *testing.T, f *front) {
			r := f.request(t, "POST", "/", io.NopCloser(strings.NewReader("body")))
			r.Trailer = http.Header{"X-Up": {"1"}}
			if _, got := f.do(t, r); got != "1" {
				t.Errorf("got %q", got)
			}
		}},
		{name: "a short body is one", of: "_CopyBuffer", backend: breakOff, test: func(t *testing.T, f *front) {
			conn := f.connect(t)
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if got := seeing(conn, "GET"); got != "broken" {
				t.Errorf("the client sees %q", got)
			}
		}},
		{name: "which only http.ErrAbortHandler tells the server", of: "_PanicBodyError", backend: breakOff, test: func(t *testing.T, f *front) {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("panicked with %v", got)
				}
			}()
			r := httptest.NewRequest("GET", "/", nil)
			f.Config.Handler.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, f.Config)))
		}},
		{name: "also while the request's body is coming", of: "_PanicClosesIncomingBody", backend: breakOff, test: func(t *testing.T, f *front) {
			for range 20 {
				resp, err := f.Client().Post(f.URL, "", io.LimitReader(zeros{}, 6<<20))
				if err != nil {
					continue
				}
				if _, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusBadGateway {
					t.Errorf("%s is taken for whole", resp.Status)
				}
				resp.Body.Close()
			}
		}},
		{name: "no answer is a bad gateway", of: "TestReverseProxy ErrorHandler", backend: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, test: func(t *testing.T, f *front) {
			if resp, _ := f.do(t, f.request(t, "POST", "/", strings.NewReader("x"))); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got %s", resp.Status)
			}
		}},
		// Net/http waits for a body that is blocked, also when nobody is there to send it to.
		{name: "also for who waits for 100 Continue", new: true, backend: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack() // a server would wait for the body itself
			conn.Close()
		}, test: func(t *testing.T, f *front) {
			conn := f.connect(t)
			defer conn.Close()
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
			if resp, err := readFinal(bufio.NewReader(conn), "POST"); err != nil || resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got %v, %v", resp, err)
			}
		}},
		{name: "the client's leaving reaches the backend", of: "Cancellation", backend: func(w http.ResponseWriter, r *http.Request) {
			first <- true
			<-r.Context().Done()
			first <- true
		}, test: func(t *testing.T, f *front) {
			conn, _ := f.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-first
			conn.Close()
			<-first
		}},
	}
}

// shy hides what a connection can do besides reading and writing.
type shy struct{ plain }

func (s shy) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.w).Hijack()
	return struct{ net.Conn }{conn}, rw, err
}

// farewell switches protocols, says goodbye, closes its half, and tells what still comes.
func farewell(came chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
		_ = conn.(*net.TCPConn).CloseWrite()
		rest, _ := io.ReadAll(rw)
		came <- string(rest)
	}
}

func mannersOfTunnels() []manner {
	came, leave := make(chan string, 1), make(chan context.CancelFunc, 1)
	open := func(t *testing.T, f *front) (net.Conn, *bufio.Reader, *http.Response) {
		t.Helper()
		conn, in := f.dial(t, askForWebSocket)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" {
			t.Fatal(resp, err)
		}
		return conn, in, resp
	}
	halfClosed := func(t *testing.T, f *front) {
		conn, in, _ := open(t, f)
		if got, err := io.ReadAll(in); string(got) != "bye" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		_, _ = io.WriteString(conn, "still here")
		conn.Close()
		if got := <-came; got != "still here" {
			t.Errorf("the backend got %q behind its half-close", got)
		}
	}
	return []manner{
		{name: "fields of an outer handler survive a switch", of: "WebSocket", backend: upgrade, outer: func(h http.Handler) http.Handler {
			return around(h, func(w http.ResponseWriter, r *http.Request, h http.Handler) {
				w.Header().Set("X-Outer", "1")
				h.ServeHTTP(plain{w}, r)
			})
		}, test: func(t *testing.T, f *front) {
			conn, in, resp := open(t, f)
			_, _ = io.WriteString(conn, "hello\n")
			if line, err := in.ReadString('\n'); line != "hello\n" || resp.Header.Get("X-Outer") != "1" {
				t.Errorf("got %v, then %q, %v", resp.Header, line, err)
			}
			conn.Close()
		}},
		{name: "a context that ends takes its tunnel along", of: "WebSocketCancellation", backend: upgrade, outer: func(h http.Handler) http.Handler {
			return around(h, func(w http.ResponseWriter, r *http.Request, h http.Handler) {
				ctx, cancel := context.WithCancel(r.Context())
				leave <- cancel
				h.ServeHTTP(w, r.WithContext(ctx))
			})
		}, test: func(t *testing.T, f *front) {
			_, in, _ := open(t, f)
			(<-leave)()
			_, _ = io.ReadAll(in) // ends
		}},
		{name: "a backend's half-close passes", of: "WebSocketHalfTCP", backend: farewell(came), test: halfClosed},
		{name: "a client's half-close passes", of: "WebSocketHalfTCP", backend: upgrade, test: func(t *testing.T, f *front) {
			conn, in, _ := open(t, f)
			_ = conn.(*net.TCPConn).CloseWrite()
			if rest, err := io.ReadAll(in); string(rest) != "bye\n" {
				t.Errorf("got %q, %v", rest, err)
			}
		}},
		{name: "nothing is said behind a tunnel that breaks", of: "HijackCopyError", backend: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			reset(conn)
			conn.Close()
		}, test: func(t *testing.T, f *front) {
			conn, in := f.dial(t, askForWebSocket)
			if _, err := http.ReadResponse(in, nil); err == nil { // it may have broken before
				_, _ = io.ReadAll(in) // ends
			}
			conn.Close()
		}},
		{name: "the end of a tunnel passes where half-closes cannot", of: "UpgradeNoCloseWrite", backend: upgrade, outer: func(h http.Handler) http.Handler {
			return around(h, func(w http.ResponseWriter, r *http.Request, h http.Handler) { h.ServeHTTP(shy{plain{w}}, r) })
		}, test: func(t *testing.T, f *front) {
			conn, in, _ := open(t, f)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.ReadAll(in) // ends
		}},
	}
}
