package lb_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// An answer that comes before the end of a body may leave net/http's client reading that body for a
// while. That does not touch the client's connection, which is somebody else's by then.
func TestUploadsOutliveTheirAnswers(t *testing.T) {
	leavesNothing(t)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	origin.Config.Protocols = onlyH2C()
	origin.Start()
	t.Cleanup(origin.Close)
	for way, cfg := range ways() {
		t.Run(way, func(t *testing.T) {
			f := before(t, cfg, onlyH2C(), strings.Replace(origin.URL, "http", "h2c", 1))
			client := h2cClient(t)
			for range 200 {
				in, out := io.Pipe()
				r := f.request(t, "POST", "/", in)
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				go func() { // more of the body comes when the answer is over
					_, _ = out.Write([]byte("late"))
					out.Close()
				}()
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				in.Close()
			}
		})
	}
}

// A request that an HTTP/2 backend says it has not acted on goes to another, whatever its method.
func TestRefusedRequestsMoveOn(t *testing.T) {
	leavesNothing(t)
	for name, c := range map[string]evilH2{
		"going away": {answer: goAway(0, 0), closes: true},
		"refused":    {answer: frame(frameReset, 0, stream, number(7))},
	} {
		evil, good := newEvilH2(t, c), newRawBackend(t, echo)
		f := before(t, lb.Config{Policy: toEvil}, nil, "h2c://"+evil.Addr().String(), good.url())
		conn := f.connect(t)
		_, _ = io.WriteString(conn, "POST /evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")
		if got := seeing(conn, "POST"); got != `200 "POST /evil"` {
			t.Errorf("%s: the client sees %q", name, got)
		}
		if seen, _ := good.take(); len(seen) != 1 || seen[0].body != "body" {
			t.Errorf("%s: the other backend got %v", name, seen)
		}
	}
}
