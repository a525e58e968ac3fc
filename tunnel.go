package lb

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel joins the client's connection to the backend's, after both have agreed to switch to
// another protocol, until one of them ends, nothing has passed for Config.TunnelIdle, or the
// request's context is done. It counts as in flight all that time.
func (t *trip) tunnel(a *attempt, x exchange) {
	defer a.leave()
	defer x.Close()
	backend, early := x.Tunnel()
	if backend == nil {
		a.judge(&flaw{outcome: Failure, reason: "protocol", err: errNoTunnel})
		t.answer(t.w, errNoTunnel)
		return
	}
	defer backend.Close()
	a.addHeader(t.w.Header(), x)
	a.judge(nil)
	t.explain(t.w.Header(), nil)
	protocol := x.Upgrade()
	t.settle(t.w.Header(), a.backend)
	client, buffered, err := http.NewResponseController(t.w).Hijack()
	if err != nil {
		t.answer(t.w, errNoTunnel)
		return
	}
	defer client.Close()
	t.noted = true
	both := &pipe{idle: t.b.cfg.TunnelIdle, client: client, backend: backend}
	t.b.tunnels.add(both) // before the client knows that it has a tunnel, so that a shutdown ends it
	defer t.b.tunnels.remove(both)
	a.backend.load.Hold(both)
	defer a.backend.load.Release(both)
	if err := sayHello(client, t.w.Header(), protocol); err != nil {
		return
	}
	stop := context.AfterFunc(t.req.Context(), func() { both.Close() })
	defer stop()
	both.run(buffered, early)
	t.sum.Bytes = both.down.Load()
}

// sayHello tells the client that the protocol is switched.
func sayHello(w io.Writer, h http.Header, protocol string) error {
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&head)
	head.WriteString("Connection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n")
	_, err := io.WriteString(w, head.String())
	return err
}

// pipe is a tunnel's two connections.
type pipe struct {
	client  net.Conn
	backend io.ReadWriteCloser
	idle    time.Duration // negative: for ever
	last    atomic.Int64  // when something last passed, in Unix nanoseconds
	down    atomic.Int64  // bytes to the client
}

// Close ends both directions.
func (p *pipe) Close() error {
	return errors.Join(p.client.Close(), p.backend.Close())
}

// run copies in both directions until both have ended. What each side has sent already comes first.
func (p *pipe) run(fromClient *bufio.ReadWriter, fromBackend []byte) {
	p.last.Store(time.Now().UnixNano())
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(p.backend, p.client, take(fromClient.Reader), nil) })
	p.copy(p.client, p.backend, fromBackend, &p.down)
	wg.Wait()
}

// take returns what a reader has buffered.
func take(r *bufio.Reader) []byte {
	first, _ := r.Peek(r.Buffered())
	return first
}

// copy passes one direction on. Its regular end is passed on as a half-close; a failure ends both.
func (p *pipe) copy(dst io.Writer, src io.Reader, first []byte, count *atomic.Int64) {
	if _, err := dst.Write(first); err != nil {
		p.Close()
		return
	}
	if count != nil {
		count.Add(int64(len(first)))
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := p.read(src, buf)
		if n > 0 {
			if count != nil {
				count.Add(int64(n))
			}
			if _, failed := dst.Write(buf[:n]); failed != nil {
				err = failed
			}
		}
		if err == io.EOF {
			if half, ok := dst.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				p.Close()
			}
			return
		}
		if err != nil {
			p.Close()
			return
		}
	}
}

// read waits for the next bytes as long as something passes in either direction.
func (p *pipe) read(src io.Reader, buf []byte) (int, error) {
	timed, ok := src.(interface{ SetReadDeadline(time.Time) error })
	for {
		if ok && p.idle > 0 {
			_ = timed.SetReadDeadline(time.Unix(0, p.last.Load()).Add(p.idle))
		}
		n, err := src.Read(buf)
		now := time.Now()
		if n > 0 {
			p.last.Store(now.UnixNano())
		}
		quiet := now.Sub(time.Unix(0, p.last.Load())) >= p.idle
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && p.idle > 0 && !quiet {
			continue
		}
		return n, err
	}
}
