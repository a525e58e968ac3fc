package redistest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// through is a client's connection through a proxy.
type through struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dialThrough(t *testing.T, p *Proxy) *through {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &through{t, conn, bufio.NewReader(conn)}
}

func (c *through) mustPass() {
	c.t.Helper()
	if got, err := exchange(c, c.in, "PING"); err != nil || got != "PONG" {
		c.t.Fatalf("%v %v", got, err)
	}
}

func (c *through) mustBeReset() {
	c.t.Helper()
	_, err := c.Read(make([]byte, 1))
	mustBeReset(c.t, err)
}

func mustBeReset(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("it ended with %v", err)
	}
}

// dialReset dials a proxy that resets: while it does, or just after.
func dialReset(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
	}
	mustBeReset(t, err)
}

func TestProxy(t *testing.T) {
	r := Start(t)
	p := StartProxy(t, r.Address())
	began := time.Now()
	c := dialThrough(t, p)
	c.mustPass()

	p.Latency(60 * time.Millisecond)
	sent := time.Now()
	c.mustPass()
	if took := time.Since(sent); took < 120*time.Millisecond {
		t.Errorf("60 ms each way took %v", took)
	}

	p.Reset()
	c.mustBeReset()
	p.Normal()
	c = dialThrough(t, p)
	c.mustPass()

	p.Cut()
	c.mustBeReset()
	dialReset(t, p)
	p.Refuse()
	if _, err := net.Dial("tcp", p.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it refuses by %v", err)
	}
	p.Normal()
	dialThrough(t, p).mustPass()
	if p.Dials() != 4 || p.MostDials(began, time.Hour) != 4 || p.MostDials(time.Now(), time.Hour) != 0 || p.MostDials(began, 0) > 1 {
		t.Errorf("%d dials, at most %d", p.Dials(), p.MostDials(began, time.Hour))
	}
}

// What a blackhole kept arrives afterwards, and a dead Redis is a reset.
func TestProxyBlackhole(t *testing.T) {
	r := Start(t)
	p := StartProxy(t, r.Address())
	c := dialThrough(t, p)
	c.mustPass()
	p.Blackhole()
	late := dialThrough(t, p)
	for _, conn := range []*through{c, late} {
		_, _ = io.WriteString(conn, "PING\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, errTimeout(err)) {
			t.Errorf("out of a blackhole came %v", err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
	}
	p.Normal()
	for _, conn := range []*through{c, late} {
		if got, err := reply(conn.in); err != nil || got != "PONG" {
			t.Errorf("%v %v", got, err)
		}
	}
	r.Kill()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection of a dead Redis lives")
	}
	dialReset(t, p)
	p.Blackhole()
	dialThrough(t, p) // and the test ends in spite of it
}

// errTimeout is err if that says that time is over.
func errTimeout(err error) error {
	if one, ok := errors.AsType[net.Error](err); ok && one.Timeout() {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Latency delays, but does not bound how much passes.
func TestProxyPipelines(t *testing.T) {
	p := StartProxy(t, Start(t).Address())
	p.Latency(50 * time.Millisecond)
	c := dialThrough(t, p)
	const n = 500
	for range n {
		_, _ = io.WriteString(c, "PING\r\n")
	}
	sent := time.Now()
	for range n {
		if _, err := reply(c.in); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(sent); took > n*50*time.Millisecond/2 {
		t.Errorf("%d in a pipeline took %v", n, took)
	}
}

// The largest number within a time does not depend on where seconds begin.
func TestMostDials(t *testing.T) {
	at := time.Now()
	p := &Proxy{}
	for _, ms := range []int{0, 900, 950, 1000, 1100, 1899, 1950, 5000} {
		p.dials = append(p.dials, at.Add(time.Duration(ms)*time.Millisecond))
	}
	for since, most := range map[int]int{0: 5, 925: 4, 975: 4, 1200: 2, 2000: 1, 6000: 0} {
		if got := p.MostDials(at.Add(time.Duration(since)*time.Millisecond), time.Second); got != most {
			t.Errorf("since %d ms: %d", since, got)
		}
	}
}
