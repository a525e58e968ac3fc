package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// wireRows are the faults of connections, on either side.
func wireRows() []row {
	return []row{
		{id: "F25", title: "hostile clients", run: hostile,
			inject: "50/s bad chunks, aborted uploads and heads of 100 KiB beside 100/s honest requests",
			accept: "no honest request fails, no breaker opens, no backend is taken out"},
		{id: "F8", title: "POST race, a usual idle timeout", compare: true, run: postRace,
			inject: "40 requests at once, 32 of them POSTs, again and again when backends are about to close what is idle for 2 s",
			accept: "none fails, none is executed twice"},
		{id: "F8s", title: "POST race, an idle timeout of 24 ms", compare: true, run: postRaceShort,
			inject: "as F8 with 8 POSTs at once and 24 ms, which is far below what the demo takes for safe",
			accept: "at most 1 % of POSTs fail, none is executed twice"},
		{id: "F7", title: "resets in the middle of a body", run: halves, flags: []string{"-breaker=false"},
			inject: "1,000 answers that break off after half of a Content-Length or of a chunk",
			accept: "every client sees an error, nothing is tried again, each is a failure once"},
		{id: "F14", title: "clients that leave", run: leavers, bound: 2 * time.Minute,
			inject: "1,000 clients close after the head, in the middle of an upload or of an answer",
			accept: "backends hear of it within 100 ms each; none in flight 1 s later; no breaker opens"},
	}
}

// hostile lets bad clients loose on the proxy beside honest ones.
func hostile(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	length := s.pick(10*time.Second, 3*time.Second)
	var troubled []string
	made := 0
	o, _, err := s.measure(f.addr, rate, length, func(p *play) error {
		var all sync.WaitGroup
		defer all.Wait()
		for at := time.Second / 4; at < length; at += time.Second / 2 { // many at once: breakers count in a row
			if err := p.at(at); err != nil {
				return err
			}
			for range 25 {
				kind := made % len(attacks())
				made++
				all.Go(func() { attack(f.addr, attacks()[kind]) })
			}
			if err := p.at(at + time.Second/4); err != nil {
				return err
			}
			st, err := f.status(p.ctx)
			if err != nil {
				return err
			}
			troubled = append(troubled, st.troubled()...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.count("failed honest GETs", o.badGets, 0)
	o.count("failed honest POSTs", o.badPosts, 0)
	o.count(twice, o.twice, 0)
	o.count("times a backend was out, or its breaker not closed", len(troubled), 0)
	o.note("%d attacks; %s", made, strings.Join(troubled, ", "))
	return o, nil
}

// attacks are requests that are never whole. Most are too large to be read before a backend is asked.
func attacks() []string {
	const head = "POST / HTTP/1.1\r\nHost: lb\r\nX-Id: hostile\r\n"
	large := strings.Repeat("x", 40_000)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(large), large)
	return []string{
		head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "ZZ\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "-1\r\n\r\n",
		head + "Content-Length: 1000\r\n\r\nonly this much",
		head + "Content-Length: 100000\r\n\r\n" + large,
		"GET / HTTP/1.1\r\nHost: lb\r\nX-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
	}
}

// attack sends text over a connection of its own, reads a little, and leaves by a reset.
func attack(addr, text string) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	_, _ = io.WriteString(conn, text) // it may be refused half way
	_, _ = io.CopyN(io.Discard, conn, 16)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func postRace(s *stage) (*outcome, error) {
	o, err := race(s, 40, s.pick(2*time.Second, 1200*time.Millisecond), int(s.pick(20, 3)))
	if err != nil {
		return nil, err
	}
	o.count("failed POSTs", o.badPosts, 0)
	return o, nil
}

func postRaceShort(s *stage) (*outcome, error) {
	o, err := race(s, 10, 24*time.Millisecond, int(s.pick(100, 40)))
	if err != nil {
		return nil, err
	}
	o.percent("failed POSTs", o.badPosts, o.posts, 1)
	for i, l := range o.laws { // a busy machine is late, and loses more races: five in a row open the breaker
		o.laws[i].timed = l.what != twice
	}
	return o, nil
}

// race sends n requests at once, one of five a GET, each time that a backend is about to close the
// connections of the time before.
func race(s *stage, n int, idle time.Duration, times int) (*outcome, error) {
	if err := s.addBackends(1, idle); err != nil {
		return nil, err
	}
	if _, err := s.tellAll("work=0s"); err != nil {
		return nil, err
	}
	f, err := s.front()
	if err != nil {
		return nil, err
	}
	l := &load{addr: f.addr, prefix: "race", client: newClient(slack)}
	defer l.client.CloseIdleConnections()
	l.began = time.Now()
	for round := range times {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				one := shot{id: fmt.Sprintf("%s-%d-%d", l.prefix, round, i), post: i%5 != 0, at: time.Since(l.began)}
				one.status, one.backend, one.err = exchange(s.ctx, l.client, l.addr, "", one.id, one.post)
				one.took = time.Since(l.began) - one.at
				l.add(one)
			})
		}
		all.Wait()
		off := time.Duration(round%5-2) * 400 * time.Microsecond
		if err := sleepUntil(s.ctx, time.Now().Add(idle+off)); err != nil {
			return nil, err
		}
	}
	o, err := s.tally(l)
	if err != nil {
		return nil, err
	}
	o.count("failed GETs", o.badGets, 0)
	o.count(twice, o.twice, 0)
	o.note("%s", o.causes())
	return o, nil
}
