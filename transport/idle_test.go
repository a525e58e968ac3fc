package transport_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// An idle connection keeps no goroutine and no buffer: it lends them while a request is under way.
// The bound is for both ends, which are in this process.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const n, bound = 300, 4 << 10
	addr := answerOnce(t, n)
	before, goroutines := heap(), runtime.NumGoroutine()
	tr := engine(t, transport.Config{MaxIdle: n, IdleTimeout: time.Hour})
	exchanges := make([]*transport.Exchange, n)
	for i := range exchanges {
		exchanges[i] = new(transport.Exchange)
		if err := tr.Do(t.Context(), &transport.Request{Scheme: "http", Addr: addr, Host: "a"}, exchanges[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range exchanges {
		if _, err := x.CopyTo(io.Discard, nil, false); err != nil {
			t.Fatal(err)
		}
		x.Close()
	}
	clear(exchanges)
	if s := tr.Stats()[0]; s.Idle != n {
		t.Fatalf("%d of %d are idle", s.Idle, n)
	}
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes for each idle connection", each)
	if each > bound {
		t.Errorf("%d bytes for each idle connection, more than %d", each, bound)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}

// Connections are closed when they have been idle for IdleTimeout, also if nobody asks any more.
func TestIdleConnectionsEnd(t *testing.T) {
	const n = 20
	b := play(t, forever(hello))
	tr := engine(t, transport.Config{IdleTimeout: 50 * time.Millisecond})
	if err := tr.Warm(t.Context(), "http", b.addr, n); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for tr.Stats()[0].Open > 0 {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("%+v", tr.Stats()[0])
		}
	}
	if err := fetch(tr, get(b)); err != nil { // and the next begins anew
		t.Error(err)
	}
}

// answerOnce is a backend that answers one request on each of n connections, with more than a
// connection's buffer for heads holds.
func answerOnce(t *testing.T, n int) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end, done := make(chan struct{}), make(chan []net.Conn, 1)
	go func() {
		conns := make([]net.Conn, 0, n)
		defer func() { done <- conns }()
		buf, answer := make([]byte, 4096), []byte("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20000))
		for range n {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
		<-end
	}()
	t.Cleanup(func() {
		l.Close()
		close(end)
		for _, c := range <-done {
			c.Close()
		}
	})
	return l.Addr().String()
}

// heap is what is in use after a collection. Two: what a sync.Pool holds goes with the second.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
