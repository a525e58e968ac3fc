package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// stayed is how a long exchange went.
type stayed struct {
	begun bool // it did begin
	end   time.Time
}

// stay begins a tunnel or a stream of events, and returns a channel that gets how it went once
// the other end has closed it.
func stay(addr, kind string) <-chan stayed {
	told := make(chan stayed, 1)
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		told <- stayed{}
		return told
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	upgrade, want := "Accept: text/event-stream\r\n", http.StatusOK // as every EventSource says
	if kind == "tunnel" {
		upgrade, want = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", http.StatusSwitchingProtocols
	}
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: lb\r\n%s\r\n", kind, upgrade)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != want {
		conn.Close()
		told <- stayed{}
		return told
	}
	go func() {
		defer conn.Close()
		began := 0
		if kind == "tunnel" {
			fmt.Fprintln(conn, "hello")
			line, _ := in.ReadString('\n')
			began = len(line)
			_, _ = io.Copy(io.Discard, in)
		} else {
			n, _ := io.Copy(io.Discard, resp.Body)
			began = int(n)
		}
		told <- stayed{began > 0, time.Now()}
	}()
	return told
}

// judgeStay wants a tunnel or a stream to have begun, and to have ended by now or a second later.
func (o *outcome) judgeStay(what string, told <-chan stayed) {
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case s := <-told:
		worked := 0
		if s.begun {
			worked = 1
		}
		o.least(what+" worked", worked, 1)
	case <-limit.C:
		o.least(what+" ended", 0, 1)
	}
}
