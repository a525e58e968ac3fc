package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// cut writes text in place of an answer, as it is, and resets the connection.
func cut(rw http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, text)
	if text != "" {
		time.Sleep(5 * time.Millisecond) // a reset overtakes what has not been read
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// half answers with half of a body, and a reset.
func half(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("form") == "chunked" {
		cut(rw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf of a chunk")
	} else {
		cut(rw, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of a body")
	}
}

// dribble sends ?n= bytes with ?every= between them, after ?head= before the first. With
// ?stall=true it never ends.
func dribble(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, _ := strconv.Atoi(q.Get("n"))
	every, _ := time.ParseDuration(q.Get("every"))
	head, _ := time.ParseDuration(q.Get("head"))
	if !pause(r, head) {
		return
	}
	out := http.NewResponseController(rw)
	for range n {
		_, _ = io.WriteString(rw, ".")
		if out.Flush() != nil || !pause(r, every) {
			return
		}
	}
	if q.Get("stall") == "true" {
		<-r.Context().Done()
	}
}

// wait answers after the time that ?for= says, and reports whether the client left before.
func wait(rw http.ResponseWriter, r *http.Request) (left bool) {
	d, _ := time.ParseDuration(r.URL.Query().Get("for"))
	if _, err := io.Copy(io.Discard, r.Body); err != nil || !pause(r, d) {
		return true
	}
	_, err := io.WriteString(rw, "done\n")
	return err != nil
}

// events is a stream of server-sent events that the client ends.
func events(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(rw)
	for i := 0; ; i++ {
		fmt.Fprintf(rw, "data: %d\n\n", i)
		if out.Flush() != nil || !pause(r, 100*time.Millisecond) {
			return
		}
	}
}

// tunnel switches to WebSocket, as far as a proxy sees it, and sends lines back.
func tunnel(rw http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for lines := bufio.NewScanner(buffered); lines.Scan(); {
		if _, err := fmt.Fprintln(conn, lines.Text()); err != nil {
			return
		}
	}
}

// pause waits, and reports whether the request is still wanted.
func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
