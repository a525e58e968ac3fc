package lb_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

// full says that the long versions of tests shall run.
func full() bool { return os.Getenv("LB_FULL") != "" }

// Large bodies pass in both directions, with a length and without, and nothing of them is kept: all
// that is allocated meanwhile, by client and backend too, is a small part of them.
func TestLargeBodiesAreNotKept(t *testing.T) {
	size := int64(64 << 20)
	if full() {
		size = 1 << 30
	}
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	}))
	t.Cleanup(origin.Close)
	f := before(t, everything(), nil, origin.URL)
	for _, c := range []struct{ method, path string }{{"GET", "/length"}, {"GET", "/chunks"}, {"POST", "/length"}, {"POST", "/chunks"}} {
		got, allocated := f.large(t, c.method, c.path, size)
		if got != size || allocated > 16<<20 {
			t.Errorf("%s %s: %d bytes of %d arrived, and %d were allocated", c.method, c.path, got, size, allocated)
		}
	}
}

// large moves one body and returns how much arrived and was allocated.
func (f *front) large(t *testing.T, method, path string, size int64) (arrived int64, allocated uint64) {
	t.Helper()
	var before, after runtime.MemStats
	var body io.Reader
	if method == "POST" {
		body = io.LimitReader(zeros{}, size)
	}
	r := f.request(t, method, path, body)
	if path == "/length" && method == "POST" {
		r.ContentLength = size
	}
	runtime.ReadMemStats(&before)
	resp, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if method == "POST" {
		text, _ := io.ReadAll(resp.Body)
		arrived, _ = strconv.ParseInt(string(text), 10, 64)
	} else {
		arrived, _ = io.Copy(io.Discard, resp.Body)
	}
	runtime.ReadMemStats(&after)
	return arrived, after.TotalAlloc - before.TotalAlloc
}

// A backend that refuses a body while it is coming is heard each time, whether it still listens for
// a while or closes the connection at once.
func TestRefusalsOfBodiesArrive(t *testing.T) {
	for _, lingers := range []bool{true, false} {
		t.Run(fmt.Sprintf("lingers %v", lingers), func(t *testing.T) {
			leavesNothing(t)
			backend := &rawBackend{Listener: lb.Must(net.Listen("tcp", "127.0.0.1:0")), open: map[net.Conn]bool{}}
			backend.ended.Go(func() { backend.accept(func(conn net.Conn) { refuse(conn, lingers) }) })
			t.Cleanup(backend.stop)
			f := before(t, everything(), nil, backend.url())
			body, got := strings.Repeat("x", 4<<20), map[string]int{}
			for range 100 {
				got[f.refused(t, body)]++
			}
			if got[`413 "big"`] != 100 {
				t.Errorf("of 100 clients saw %v", got)
			}
		})
	}
}

// refuse answers a head with 413.
func refuse(conn net.Conn, lingers bool) {
	in := bufio.NewReader(conn)
	if _, err := http.ReadRequest(in); err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
	if lingers {
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, in)
	}
}

// refused sends a body and reads meanwhile.
func (f *front) refused(t *testing.T, body string) string {
	t.Helper()
	conn := f.connect(t)
	sent := make(chan bool)
	go func() {
		defer close(sent)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(body))
		_, _ = io.WriteString(conn, body)
	}()
	got := seeing(conn, "POST")
	conn.Close()
	<-sent
	return got
}

// Clients that stall in their bodies, in whichever direction, are cut, hold no more backend
// connections than there may be, and are not blamed on the backend.
func TestSlowClientsHoldLittle(t *testing.T) {
	const clients, conns = 40, 8
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 32<<20))
	}))
	t.Cleanup(origin.Close)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			tr := transport.New(transport.Config{MaxConns: conns, QueueTimeout: patience})
			cfg.Transport, cfg.UploadIdle = tr, 50*time.Millisecond
			f := before(t, cfg, nil, origin.URL)
			f.stall(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf", clients, "408", "upload")
			for _, s := range tr.Stats() {
				if s.Open > conns {
					t.Errorf("%d connections", s.Open)
				}
			}
			cut := *f // who reads nothing is cut by the program's own server
			cut.Server = httptest.NewUnstartedServer(f.Config.Handler)
			cut.Config.WriteTimeout = 50 * time.Millisecond
			cut.Start()
			defer cut.Close()
			cut.stall(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", conns, "", "client")
			if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
				t.Errorf("the backend was blamed: %v", rate)
			}
			if resp, _ := f.do(t, f.request(t, "HEAD", "/", nil)); resp.StatusCode != http.StatusOK {
				t.Errorf("who is not slow gets %s", resp.Status)
			}
		})
	}
}

// stall has clients send the same and nothing more, and read nothing before the balancer is done.
func (f *front) stall(t *testing.T, raw string, clients int, want, reason string) {
	t.Helper()
	var open []net.Conn
	for range clients {
		conn, _ := f.dial(t, raw)
		open = append(open, conn)
	}
	for range clients {
		if s := <-f.ended; s.Reason != reason {
			t.Errorf("summed up as %q, status %d: %v", s.Reason, s.Status, s.Err)
		}
	}
	for _, conn := range open {
		if want != "" {
			if got := readStatuses(conn); got != want {
				t.Errorf("a client got %q", got)
			}
		}
		conn.Close()
	}
}

// Tunnels whose clients fall silent end, and everything that they held comes back.
func TestSilentTunnelsEnd(t *testing.T) {
	tunnels := 100
	if full() {
		tunnels = 500
	}
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(upgrade))
	t.Cleanup(origin.Close)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			cfg.TunnelIdle = 250 * time.Millisecond
			f := before(t, cfg, nil, origin.URL)
			goroutines := runtime.NumGoroutine()
			var all sync.WaitGroup
			for range tunnels {
				all.Go(func() {
					conn := f.connect(t)
					defer conn.Close()
					_, _ = io.WriteString(conn, askForWebSocket)
					in := bufio.NewReader(conn)
					if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
						t.Errorf("%v, %v", resp, err)
						return
					}
					if rest, err := io.ReadAll(in); isTimeout(err) {
						t.Errorf("the tunnel did not end: %q", rest)
					}
				})
			}
			all.Wait()
			for range tunnels {
				if s := <-f.ended; s.Status != http.StatusSwitchingProtocols || s.Reason != "" {
					t.Errorf("summed up as %d, %q", s.Status, s.Reason)
				}
			}
			becomesIdle(t, f.balancer)
			for runtime.NumGoroutine() > goroutines+10 { // ends, or the test is stopped
				runtime.Gosched()
			}
		})
	}
}

// A body that stalls is its client's fault whoever notices first, over HTTP/1.1 and HTTP/2.
func TestStallsThatTheTransportNotices(t *testing.T) {
	leavesNothing(t)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	origin.Config.Protocols = onlyH2C()
	origin.Config.Protocols.SetHTTP1(true)
	origin.Start()
	t.Cleanup(origin.Close)
	for _, scheme := range []string{"http", "h2c"} {
		f := before(t, lb.Config{Transport: transport.New(transport.Config{BodyTimeout: 30 * time.Millisecond}), UploadIdle: patience}, nil, strings.Replace(origin.URL, "http", scheme, 1))
		f.stall(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf", 5, "408", "upload")
		if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
			t.Errorf("%s: the backend was blamed: %v", scheme, rate)
		}
	}
}
