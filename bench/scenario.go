package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// way is how a scenario's clients work.
type way int

const (
	overHTTP1 way = iota
	overHTTP2
	overSocket
	overTLS
	onlyIdle // one request, and then the connection is kept
)

// scenario is one kind of load.
type scenario struct {
	name, text string
	way        way
	answer     int64    // bytes
	upload     int      // bytes; more than none is sent with method
	method     string   // GET by default
	clients    int      // connections, or concurrent streams
	latency    bool     // has a second phase at a fixed rate
	proxies    []string // those beside the standard one; nil means the bare balancer and the foreign ones
}

func scenarios() []scenario {
	return []scenario{
		{name: "get128", text: "GET, 128 B answer", answer: 128, clients: 64, latency: true},
		{name: "sticky", text: "GET, 128 B answer, with session cookies", answer: 128, clients: 64, proxies: []string{kindSticky}},
		{name: "everything", text: "GET, 128 B answer, with sessions, breakers, metrics, rate limit, P2C", answer: 128, clients: 64, latency: true, proxies: []string{kindAll}},
		{name: "post1k", text: "POST of 1 KiB, 128 B answer", answer: 128, upload: 1 << 10, method: http.MethodPost, clients: 64, latency: true},
		{name: "get64k", text: "GET, 64 KiB answer", answer: 64 << 10, clients: 64, latency: true},
		{name: "get1m", text: "GET, 1 MiB answer", answer: 1 << 20, clients: 16},
		{name: "get64m", text: "GET, 64 MiB answer", answer: 64 << 20, clients: 4},
		{name: "put1m", text: "PUT of 1 MiB, 128 B answer", answer: 128, upload: 1 << 20, method: http.MethodPut, clients: 16},
		{name: "conns1000", text: "GET, 128 B answer, many at once", answer: 128, clients: 1000, latency: true},
		{name: "idle10k", text: "idle client connections, after one request each", way: onlyIdle, answer: 128, clients: 10_000},
		{name: "h2", text: "GET, 128 B answer, HTTP/2 (h2c) between client and proxy", way: overHTTP2, answer: 128, clients: 64, proxies: []string{kindBare}},
		{name: "tls", text: "GET, 128 B answer, TLS between client and proxy", way: overTLS, answer: 128, clients: 64, proxies: []string{kindBare}},
		{name: "websocket", text: "WebSocket echo of 128 B messages", way: overSocket, answer: 128, clients: 64},
	}
}

// streams is how many clients share one HTTP/2 connection.
const streams = 16

// request renders the bytes of an HTTP/1.1 request.
func (s scenario) request(cookie []byte) []byte {
	var out bytes.Buffer
	method := s.method
	if method == "" {
		method = http.MethodGet
	}
	fmt.Fprintf(&out, "%s /%d HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n", method, s.answer)
	if cookie != nil {
		fmt.Fprintf(&out, "Cookie: %s\r\n", cookie)
	}
	if s.upload > 0 {
		fmt.Fprintf(&out, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", s.upload)
	}
	out.WriteString("\r\n")
	out.Write(block[:s.upload])
	return out.Bytes()
}

// dial makes the clients of a scenario, as many as n says. They connect with their first
// exchange, and lose their connections when ctx ends.
func (s scenario) dial(ctx context.Context, addr string, n int) []client {
	clients := make([]client, n)
	var shared *http.Transport
	for i := range clients {
		base := connection{ctx: ctx, addr: addr, secure: s.way == overTLS, buffer: int(min(s.answer, 256<<10))}
		switch s.way {
		case overHTTP1, overTLS, onlyIdle:
			clients[i] = &httpClient{connection: base, ask: s}
		case overSocket:
			message := block[:s.answer]
			clients[i] = &socketClient{connection: base, message: message, frame: appendFrame(nil, message, []byte{1, 2, 3, 4})}
		case overHTTP2:
			if i%streams == 0 {
				shared = &http.Transport{Protocols: new(http.Protocols)}
				shared.Protocols.SetUnencryptedHTTP2(true)
			}
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/"+strconv.FormatInt(s.answer, 10), nil)
			clients[i] = &streamClient{request: request, over: shared, answer: s.answer}
		}
	}
	return clients
}
