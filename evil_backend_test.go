package lb_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// evil is what a backend answers, and what its client may get.
type evil struct {
	name   string
	method string // of the request; GET if empty
	raw    string // the answer, byte by byte
	closes bool   // the backend closes the connection behind it
	want   string // what the client may see, as read by seeing; bars between what is as good
	new    bool   // see newEngine
	// stray bytes are left on the connection. Net/http may give them to whoever comes next, before
	// it notices, so that such rows wait for newEngine altogether.
	stray bool
}

// A backend that answers wrongly spoils no answer but its own, and that one visibly.
func TestEvilBackends(t *testing.T) {
	leavesNothing(t)
	rows := slices.Concat(evilFraming, evilHeads, evilChunks, evilEnds)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			backend := newRawBackend(t, func(conn net.Conn, r sent) bool {
				var row int
				if n, _ := fmt.Sscanf(r.target, "/evil/%d", &row); n == 0 {
					return echo(conn, r)
				}
				_, err := io.WriteString(conn, rows[row].raw)
				return err == nil && !rows[row].closes
			})
			f := before(t, cfg, nil, backend.url())
			for i, c := range rows {
				if c.stray && !newEngine {
					continue
				}
				f.suffer(t, i, c)
				for n := range 20 {
					f.innocent(t, fmt.Sprintf("/innocent/%d/%d", i, n))
				}
			}
			if _, malformed := backend.take(); len(malformed) > 0 {
				t.Errorf("the backend got %q", malformed)
			}
		})
	}
}

// suffer asks for row i.
func (f *front) suffer(t *testing.T, i int, c evil) {
	t.Helper()
	method := c.method
	if method == "" {
		method = "GET"
	}
	conn := f.connect(t)
	defer conn.Close()
	fmt.Fprintf(conn, "%s /evil/%d HTTP/1.1\r\nHost: x\r\n\r\n%s", method, i, sentinel)
	got := seeing(conn, method)
	if got == "hung" || !slices.Contains(strings.Split(c.want, "|"), got) && (newEngine || !c.new) {
		t.Errorf("%s: the client sees %q, want %q", c.name, got, c.want)
	}
}

// seeing reads an answer as a client does: "502" or another status that says there is none, or status and body, or "broken" if the
// client can tell that it is not whole. An answer to the sentinel follows if there is one.
func seeing(conn net.Conn, method string) string {
	in := bufio.NewReader(conn)
	var got []string
	for _, method := range []string{method, "GET"} {
		resp, err := readFinal(in, method)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "hung"
		}
		if err != nil {
			if len(got) == 0 {
				return "broken"
			}
			return strings.Join(got, " ")
		}
		body, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return "broken"
		case resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout:
			got = append(got, fmt.Sprint(resp.StatusCode))
		case len(body) > 50:
			got = append(got, fmt.Sprintf("%d with %d bytes", resp.StatusCode, len(body)))
		case string(body) != "GET /sentinel":
			got = append(got, fmt.Sprintf("%d %q", resp.StatusCode, body))
		}
	}
	return strings.Join(got, " ")
}

// readFinal reads the next answer that is not an informational one.
func readFinal(in *bufio.Reader, method string) (*http.Response, error) {
	for range 10_000 {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("informational answers without end")
}

// What a backend says on an idle connection is no answer to the next request there.
func TestLateBytes(t *testing.T) {
	if !newEngine {
		t.Skip("net/http gives most of the innocent what came on an idle connection")
	}
	leavesNothing(t)
	idle := make(chan net.Conn, 1)
	backend := newRawBackend(t, func(conn net.Conn, r sent) bool {
		if r.target == "/evil" {
			idle <- conn
		}
		return echo(conn, r)
	})
	f := before(t, everything(), nil, backend.url())
	for n := range 100 {
		f.innocent(t, "/evil")
		_, _ = io.WriteString(<-idle, stolen) // on loopback it has arrived by now
		f.innocent(t, fmt.Sprintf("/innocent/%d", n))
	}
}
