package main

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// The kinds of proxy that are none: what is left of the work when nearly all that makes a proxy is
// left out. No proxy of the same build can cost less.
const (
	kindAnswer = "answer" // net/http's server with a handler that answers by itself
	kindBound  = "bound"  // a handler that sends a fixed request and passes on what one read returns
	kindRelay  = "relay"  // bytes from one connection to another, no HTTP at all
)

// listenRelay has each connection carried to a backend, and back, as it is.
func listenRelay(addrs []string) ([]string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for next := 0; ; next++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", addrs[next%len(addrs)])
			if err != nil {
				client.Close()
				continue
			}
			go carry(backend, client)
			go carry(client, backend)
		}
	}()
	return []string{listener.Addr().String()}, nil
}

func carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}

// bound is the least that an http.Handler can do which asks a backend: one write, one read.
type bound struct {
	addrs []string
	next  atomic.Uint64
	idle  sync.Pool // of *kept
}

// kept is a connection, with what it has read.
type kept struct {
	net.Conn
	buf [4096]byte
}

// floors returns the kinds that have a say in a scenario.
func (s scenario) floors() []string {
	switch {
	case s.way != overHTTP1 || s.proxies != nil:
		return nil
	case s.answer == 128 && s.upload == 0:
		return []string{kindAnswer, kindBound, kindRelay}
	}
	return []string{kindRelay}
}

// answering answers by itself what a backend would.
func answering(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = []string{"application/octet-stream"}, []string{"128"}
	_, _ = w.Write(block[:128])
}

const boundRequest = "GET /128 HTTP/1.1\r\nHost: bound\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: bound\r\nX-Forwarded-Proto: http\r\n\r\n"

func (b *bound) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c, _ := b.idle.Get().(*kept)
	if c == nil {
		nc, err := net.Dial("tcp", b.addrs[b.next.Add(1)%uint64(len(b.addrs))])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		c = &kept{Conn: nc}
	}
	_, err := c.Write([]byte(boundRequest))
	n := 0
	if err == nil {
		n, err = c.Read(c.buf[:])
	}
	if err != nil || n < 128 {
		http.Error(w, "broken", http.StatusBadGateway)
		c.Close()
		return
	}
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = []string{"text/plain"}, []string{"128"}
	_, _ = w.Write(c.buf[n-128 : n])
	b.idle.Put(c)
}
