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

// smuggled is what a hostile client sends, and what must become of it.
type smuggled struct {
	name string
	raw  string // what is sent; sentinel follows on the same connection
	// want are the statuses that the client sees until its connection ends, the sentinel's last if it
	// is still answered. Other ways that are as good stand behind a bar.
	want string
	sent string // what the backend gets: "METHOD target", more with commas between, "" for nothing
	body string // of the first of them
	// fields are those of the first of them that are fixed, as "Name: value" with semicolons
	// between; without a value the field must not be there.
	fields string
	short  bool // the client sends no sentinel and closes its half of the connection instead
	new    bool // see newEngine
}

// sentinel ends a connection that is still in step. A request that swallowed it, or a backend that
// took something else for a request of its own, shows.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"

// Whatever a client sends, the backend gets nothing or what can be read in one way only, and
// everybody else gets their own answers.
func TestSmuggling(t *testing.T) {
	leavesNothing(t)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			backend := newRawBackend(t, echo)
			f := before(t, cfg, nil, backend.url())
			for i, c := range slices.Concat(framing, chunks, targets, fields) {
				f.smuggle(t, backend, c)
				f.innocent(t, fmt.Sprintf("/innocent/%d", i))
				backend.take()
			}
			f.CloseClientConnections()
			for _, cut := range backend.cuts() {
				if !strings.HasPrefix(cut, "POST /cut ") {
					t.Errorf("the backend was left with %.300q", cut)
				}
			}
		})
	}
}

func (f *front) smuggle(t *testing.T, backend *rawBackend, c smuggled) {
	t.Helper()
	conn := f.connect(t)
	defer conn.Close()
	written := make(chan bool)
	go func() {
		defer close(written)
		if c.short {
			_, _ = io.WriteString(conn, c.raw)
			_ = conn.(*net.TCPConn).CloseWrite()
			return
		}
		_, _ = io.WriteString(conn, c.raw+sentinel)
	}()
	statuses := readStatuses(conn)
	conn.Close()
	<-written
	seen, malformed := backend.take()
	seen = slices.DeleteFunc(seen, func(r sent) bool { return r.target == "/sentinel" && r.get("Host") == "sentinel" })
	if len(malformed) > 0 {
		t.Errorf("%s: the backend got %q", c.name, malformed)
	}
	if c.new && !newEngine {
		return
	}
	if !slices.Contains(strings.Split(c.want, "|"), statuses) {
		t.Errorf("%s: the client got %q, want %q", c.name, statuses, c.want)
	}
	want := c.sent
	if strings.HasPrefix(statuses, "4") || strings.HasPrefix(statuses, "5") {
		want = "" // what we refuse goes nowhere
	}
	if asked := lines(seen); asked != want {
		t.Errorf("%s: the backend was asked for %q, want %q", c.name, asked, want)
		return
	}
	if want != "" {
		c.check(t, seen[0])
	}
}

// check compares what the row fixes, and that we said who the client is, once.
func (c smuggled) check(t *testing.T, got sent) {
	t.Helper()
	if got.body != c.body {
		t.Errorf("%s: the backend got the body %.100q, want %.100q", c.name, got.body, c.body)
	}
	fixed := "X-Forwarded-For: 127.0.0.1; Connection; Proxy-Connection; Keep-Alive; Upgrade; X_Forwarded_For"
	if c.fields != "" {
		fixed = c.fields + "; " + fixed
	}
	for field := range strings.SplitSeq(fixed, "; ") {
		name, want, has := strings.Cut(field, ": ")
		if has && (got.get(name) != want || got.count(name) != 1) || !has && got.count(name) > 0 {
			t.Errorf("%s: the backend got %s: %.100q %d times, want %.100q", c.name, name, got.get(name), got.count(name), want)
		}
	}
	for _, trailer := range got.trailers {
		if !strings.EqualFold(trailer[0], "X-Trailer") {
			t.Errorf("%s: the backend got the trailer %.100q", c.name, trailer)
		}
	}
}

// lines names requests by their methods and targets.
func lines(seen []sent) string {
	var all []string
	for _, r := range seen {
		all = append(all, r.method+" "+r.target)
	}
	return strings.Join(all, ", ")
}

// readStatuses lists the statuses of the answers that come until a connection ends, and what is
// wrong with the last of them.
func readStatuses(conn net.Conn) string {
	in := bufio.NewReader(conn)
	var all []string
	for range 20 {
		if _, err := in.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				all = append(all, "hung")
			}
			break
		}
		resp, err := http.ReadResponse(in, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil {
			all = append(all, err.Error())
			break
		}
		all = append(all, fmt.Sprint(resp.StatusCode))
	}
	return strings.Join(all, " ")
}

func (b *rawBackend) cuts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.cut)
}

// The parser that judges what backends get refuses what it must.
func TestTheJudgeIsStrict(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: x\r\n"
	for _, raw := range []string{
		"GET / HTTP/1.0\r\nHost: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "GET x HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
		head + "Host: y\r\n\r\n", head + "A : b\r\n\r\n", head + " folded\r\n\r\n", head + "A: b\nC: d\r\n\r\n", head + "A: b\rc\r\n\r\n", head + "A: \x00\r\n\r\n",
		head + ": x\r\n\r\n", head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", head + "Content-Length: +1\r\n\r\nx", head + "Content-Length: 01\r\n\r\nx", head + "Content-Length: \r\n\r\n",
		head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
	} {
		if r, n, err := takeRequest([]byte(raw)); err == nil {
			t.Errorf("%q is taken for %d bytes of %+v", raw, n, r)
		}
	}
	whole := "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: 1\r\n\r\n"
	for i := range len(whole) {
		if _, n, err := takeRequest([]byte(whole[:i])); n != 0 || err != nil {
			t.Errorf("%q is taken for whole: %v", whole[:i], err)
		}
	}
	if r, n, err := takeRequest([]byte(whole + "next")); n != len(whole) || err != nil || r.body != "ab" || !slices.Equal(r.trailers, [][2]string{{"X-T", "1"}}) {
		t.Errorf("took %d of %d, %+v, %v", n, len(whole), r, err)
	}
}
