package lb_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

// evilH2 is how a backend that speaks HTTP/2 treats a request, and what its client may get.
type evilH2 struct {
	name   string
	upload int    // bytes of the request's body, of unknown length; zero: a GET
	hello  string // the first frames; empty: good SETTINGS
	answer string // frames behind the request's head, for stream 1
	flood  string // frames that follow for ever
	deaf   bool   // it reads nothing while it floods
	closes bool   // it closes the connection behind the answer
	// want is what the client sees if no other backend is asked, bars between what is as good, and
	// reason what the attempt is said to have failed of, likewise.
	want, reason string
}

// A backend that speaks HTTP/2 wrongly, or not at all, costs each request no more than its bounds,
// and those beside it nothing.
func TestEvilBackendsOverHTTP2(t *testing.T) {
	rows := slices.Concat(evilSettings, evilStreams, evilFrames, evilAnswers, evilFloods)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			leavesNothing(t)
			alone := way == "bare"
			if alone {
				cfg.Retries = -1
			}
			t.Run("rows", func(t *testing.T) {
				for _, c := range rows {
					t.Run(c.name, func(t *testing.T) {
						t.Parallel()
						c.run(t, cfg, alone)
					})
				}
			})
		})
	}
}

// run asks for what the row spoils, and at the same time for what it must not spoil.
func (c evilH2) run(t *testing.T, cfg lb.Config, alone bool) {
	evil, good := newEvilH2(t, c), newRawBackend(t, echo)
	results := make(chan lb.Result, 100)
	bound := patience
	if strings.Contains(c.reason, "timeout") {
		bound = 150 * time.Millisecond
	}
	cfg.Transport = transport.New(transport.Config{HeaderTimeout: bound, BodyTimeout: bound})
	cfg.Policy, cfg.UploadIdle = toEvil, patience
	cfg.Observers = append(slices.Clip(cfg.Observers), lb.Observer{Attempt: func(r lb.Result) {
		if strings.HasPrefix(r.Backend.ID(), "h2c:") {
			results <- r
		}
	}})
	f := before(t, cfg, nil, "h2c://"+evil.Addr().String(), good.url())
	var all sync.WaitGroup
	all.Go(func() {
		for n := range 3 {
			f.innocent(t, fmt.Sprintf("/innocent/%d", n))
		}
	})
	f.sufferH2(t, c, alone, results)
	all.Wait()
	f.innocent(t, "/innocent/after")
	if n := evil.asked(); n > 8 {
		t.Errorf("the backend was asked %d times", n)
	}
}

// sufferH2 asks for the row.
func (f *front) sufferH2(t *testing.T, c evilH2, alone bool, results <-chan lb.Result) {
	t.Helper()
	conn := f.connect(t)
	defer conn.Close()
	method := "GET"
	if c.upload > 0 {
		method = "POST"
		fmt.Fprint(conn, "POST /evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
		go fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", c.upload, strings.Repeat("x", c.upload))
	} else {
		fmt.Fprintf(conn, "GET /evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	got := seeing(conn, method)
	want := strings.Split(c.want, "|")
	if !alone { // another backend may be asked
		want = append(want, `200 "GET /evil"`)
	}
	if !slices.Contains(want, got) {
		t.Errorf("the client sees %q, want %q", got, want)
	}
	reasons := strings.Split(c.reason, "|")
	if r := <-results; !slices.Contains(reasons, r.Reason) || (r.Reason != "") != (r.Outcome == lb.Failure) {
		t.Errorf("the attempt is %v, %q: %v; want %q", r.Outcome, r.Reason, r.Err, c.reason)
	}
}

// toEvil sends what asks for /evil to the backend over HTTP/2, and all else to the other.
func toEvil(s lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		evil := info.Request.URL.Path == "/evil"
		for _, c := range s.Eligible {
			if strings.HasPrefix(c.ID(), "h2c:") == evil && !info.Tried(c.Backend) {
				return c.Backend
			}
		}
		return s.Eligible[len(s.Eligible)-1].Backend
	})
}

// h2Backend plays a row on each connection.
type h2Backend struct {
	*rawBackend
	row evilH2
	n   int // requests
}

func newEvilH2(t *testing.T, c evilH2) *h2Backend {
	t.Helper()
	b := &h2Backend{row: c, rawBackend: &rawBackend{Listener: lb.Must(net.Listen("tcp", "127.0.0.1:0")), open: map[net.Conn]bool{}}}
	b.ended.Go(func() { b.accept(b.serve) })
	t.Cleanup(b.stop)
	return b
}

func (b *h2Backend) asked() (n int) {
	b.note(func() { n = b.n })
	return n
}

func (b *h2Backend) serve(conn net.Conn) {
	hello := b.row.hello
	if hello == "" {
		hello = frame(frameSettings, 0, 0, "")
	}
	_, _ = io.WriteString(conn, hello)
	if _, err := io.ReadFull(conn, make([]byte, len(preface))); err != nil {
		return
	}
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head)>>8)); err != nil {
			return
		}
		if head[3] != frameHeaders {
			continue
		}
		b.note(func() { b.n++ })
		stream := string(head[5:])
		if _, err := io.WriteString(conn, strings.ReplaceAll(b.row.answer, onStream, stream)); err != nil || b.row.closes {
			return
		}
		if b.row.flood != "" {
			b.pour(conn, strings.ReplaceAll(b.row.flood, onStream, stream))
			return
		}
	}
}

// pour floods until the connection is closed.
func (b *h2Backend) pour(conn net.Conn, frames string) {
	if !b.row.deaf {
		b.ended.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	}
	for frames = strings.Repeat(frames, 1+(16<<10)/len(frames)); ; {
		if _, err := io.WriteString(conn, frames); err != nil {
			return
		}
	}
}
