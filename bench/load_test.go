package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// scripted is a client whose exchanges end as the function says.
type scripted func() error

func (f scripted) exchange() error { return f() }
func (f scripted) close()          {}

// Every exchange is counted once, and each client makes at least one.
func TestClosedLoopCounts(t *testing.T) {
	const n = 5
	made := make([]int, n)
	clients := make([]client, n)
	for i := range clients {
		clients[i] = scripted(func() error {
			if made[i]++; made[i]%3 == 0 {
				return errors.New("third")
			}
			return nil
		})
	}
	sum := closedLoop(clients, 0)
	if sum.requests != n || sum.failures != 0 {
		t.Errorf("without time: %d requests, %d failures", sum.requests, sum.failures)
	}
	sum.add(closedLoop(clients, 5*time.Millisecond))
	requests, failures := 0, 0
	for _, m := range made {
		failures += m / 3
		requests += m - m/3
	}
	if sum.requests != requests || sum.failures != failures {
		t.Errorf("%d requests and %d failures; the clients had %d and %d", sum.requests, sum.failures, requests, failures)
	}
}

// A client for whom nothing succeeds gives up instead of spinning.
func TestClosedLoopGivesUp(t *testing.T) {
	sum := closedLoop([]client{scripted(func() error { return io.EOF })}, time.Hour)
	if sum.failures != patience || sum.first != io.EOF {
		t.Errorf("%d failures, the first %v", sum.failures, sum.first)
	}
}

// Latency counts from the scheduled start: a stall of the whole schedule is in the latency of
// every request that was due meanwhile, however fast it was answered then.
func TestOpenLoopKeepsItsSchedule(t *testing.T) {
	const rate, length = 10_000, 30 * time.Millisecond
	var first time.Time
	stuck := scripted(func() error {
		if first.IsZero() {
			first = time.Now()
		}
		for time.Since(first) < length {
		}
		return nil
	})
	seen, sum := openLoop([]client{stuck}, rate, length)
	total := int(rate * length.Seconds())
	if len(seen) != total || sum.requests != total {
		t.Fatalf("%d latencies of %d requests, %d were due", len(seen), sum.requests, total)
	}
	for i, latency := range seen { // sorted: the request that was due as the i-th before the end has waited so long at least
		if least := time.Duration(i) * length / time.Duration(total); latency < least {
			t.Fatalf("latency %d of %d is %v, less than %v", i, total, latency, least)
		}
	}
}

// Failures of an open loop are counted, and a client that has given up does not stop the schedule.
func TestOpenLoopCountsFailures(t *testing.T) {
	calls := 0
	failing := scripted(func() error { calls++; return io.EOF })
	seen, sum := openLoop([]client{failing}, 50_000, 2*time.Millisecond)
	if len(seen) != 0 || sum.failures != 100 || calls != patience {
		t.Errorf("%d latencies, %d failures, %d calls", len(seen), sum.failures, calls)
	}
}

// A client notices every answer that is not what it asked for.
func TestClientChecks(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc":          "",
		"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nabc": "status 502",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab":           "2 bytes instead of 3",
		"HTTP/1.1 200 OK\r\n\r\nabc":                               "without a length",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab":           "unexpected EOF",
		"":             "unexpected EOF",
		"SMTP\r\n\r\n": "status 0",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": "",
	} {
		err := once(t, scenario{answer: 3}, text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// once lets an HTTP client make one exchange that is answered with text.
func once(t *testing.T, s scenario, text string) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := newWire(conn, 0).head(); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	}()
	c := s.dial(t.Context(), listener.Addr().String(), 1)[0]
	err = c.exchange()
	c.close()
	<-done
	return err
}
