package lb_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// A client that reads nothing is given up, one that reads slowly but steadily is not, and neither is
// one that asks again long after it had its answer.
func TestSlowReaders(t *testing.T) {
	const idle = 100 * time.Millisecond
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
		if r.URL.Query().Get("known") == "true" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.CopyN(w, zeros{}, size)
	}))
	t.Cleanup(origin.Close)
	for way, cfg := range ways() {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprint(way, " known ", known), func(t *testing.T) {
				cfg.DownloadIdle = idle
				f := before(t, cfg, nil, origin.URL)
				ask := func(size int) string {
					return fmt.Sprintf("GET /?size=%d&known=%v HTTP/1.1\r\nHost: x\r\n\r\n", size, known)
				}
				f.stall(t, ask(32<<20), 5, "", "client")
				if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
					t.Errorf("the backend was blamed: %v", rate)
				}
				conn, in := f.dial(t, ask(12<<20))
				resp := good(t, in)
				timer := time.NewTicker(idle / 30)
				defer timer.Stop()
				total := int64(0)
				for steady := true; steady; <-timer.C {
					n, err := io.CopyN(io.Discard, resp.Body, 256<<10)
					total += n
					steady = err == nil
				}
				if total != 12<<20 {
					t.Errorf("a steady reader got %d bytes", total)
				}
				pause := time.NewTimer(idle * 3 / 2)
				<-pause.C
				if _, err := io.WriteString(conn, ask(100)); err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, good(t, in).Body); n != 100 || err != nil {
					t.Errorf("afterwards: %d bytes, %v", n, err)
				}
			})
		}
	}
}

// good reads the head of a good answer.
func good(t *testing.T, in *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	return resp
}
