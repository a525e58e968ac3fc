package lb_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// What is waited for: until the head has come, unless the backend may be waiting for the client.
func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan error)
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			if err := <-proceed; err != nil {
				return nil, err
			}
			return ok(r)
		}, lb.Config{Policy: first, Retries: -1})
		be := pool.Snapshot().At(0)
		expect := func(what string, want lb.Tally) {
			t.Helper()
			synctest.Wait()
			if got := be.Tally(); got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		ask := func(r *http.Request) { go b.RoundTrip(r) } //nolint:bodyclose // the body is text
		request := func(body io.Reader) *http.Request {
			r, _ := http.NewRequest("POST", "http://shop/", body)
			return r
		}
		for range 3 {
			ask(request(nil))
		}
		expect("three wait", lb.Tally{Begun: 3})
		proceed <- nil
		expect("one is answered", lb.Tally{Begun: 3, Ended: 1, Answers: 1})
		proceed <- errDial
		expect("one has failed", lb.Tally{Begun: 3, Ended: 2, Answers: 1})
		ask(request(io.MultiReader(strings.NewReader("a long body"))))
		expect("an upload is not waited for", lb.Tally{Begun: 4, Ended: 3, Answers: 1})
		ask(request(strings.NewReader("a short body")))
		expect("a short one is", lb.Tally{Begun: 5, Ended: 3, Answers: 1})
		for range 3 {
			proceed <- nil
		}
		expect("all are answered", lb.Tally{Begun: 5, Ended: 5, Answers: 4})
		pool.Mark(be.ID(), lb.Draining, "test")
		b.Status()
		expect("refused ones have not begun", lb.Tally{Begun: 5, Ended: 5, Answers: 4})
		if n := (lb.Tally{Begun: 1, Ended: ^uint32(0)}).Waiting(); n != 2 {
			t.Errorf("when the counts wrap around, %d wait", n)
		}
	})
}

// Quantile knows of what came since it was first called, and says of how many.
func TestQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			time.Sleep(20 * time.Millisecond)
			return ok(r)
		}, lb.Config{Policy: first})
		be := pool.Snapshot().At(0)
		for i := range 3 {
			if d, n := be.Quantile(time.Now(), 0.99); n != max(0, 5*(i-1)+5*min(i, 1)) || n > 0 && (d < 20*time.Millisecond || d > 23*time.Millisecond) {
				t.Errorf("round %d: %v of %d", i, d, n)
			}
			for range 5 {
				serve(b, httptest.NewRequest("GET", "/", nil))
			}
		}
	})
}

// A machine that has no file or no memory left blames no backend: neither breakers nor error rates
// nor those who eject hear of a failure, sessions stay, and the client may come again soon. That it
// has no port left for one backend is another matter.
func TestLocalFaults(t *testing.T) {
	for errno, local := range map[syscall.Errno]bool{
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOBUFS: true, syscall.ENOMEM: true,
		syscall.EADDRNOTAVAIL: false, syscall.ECONNREFUSED: false,
	} {
		made := gates{}
		all, neutral := true, 0
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			if all || r.URL.Host == "b" {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
			}
			return ok(r)
		}, lb.Config{
			Breakers: made.make, SessionKey: key{true},
			Observers: []lb.Observer{{Attempt: func(r lb.Result) {
				if r.Outcome == lb.Neutral {
					neutral++
				}
			}}},
		})
		visit := func() *http.Response {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Key", "s@http://b")
			return serve(b, r)
		}
		w, status, bad := visit(), 502, int64(1)
		if local {
			status, bad = 503, 0
		}
		be := pool.Snapshot().Find("http://b")
		if w.StatusCode != status || (be.ErrorRate() == 0) != local || (w.Header.Get("Retry-After") != "") != local {
			t.Errorf("%v: %d, error rate %v", errno, w.StatusCode, be.ErrorRate())
		}
		if g := made["http://b"]; g.done.Load() != 1 || g.bad.Load() != bad || neutral != 2*int(1-bad) {
			t.Errorf("%v: its breaker heard of %d, %d of them bad; %d attempts are neutral", errno, g.done.Load(), g.bad.Load(), neutral)
		}
		all = false
		if w := visit(); w.StatusCode != 200 || (w.Header.Get("X-Key") == "") != local {
			t.Errorf("%v: %d, the session is %q", errno, w.StatusCode, w.Header.Get("X-Key"))
		}
		mustBeIdle(t, b)
	}
}

// An error that is not a dial's keeps its status.
func TestLocalFaultsAreTold(t *testing.T) {
	b, _ := balance(t, func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("proxy: %w", syscall.EMFILE)
	}, lb.Config{})
	r, _ := http.NewRequest("GET", "http://shop/", nil)
	_, err := b.RoundTrip(r) //nolint:bodyclose // there is none
	failed, ok := errors.AsType[*lb.AttemptError](err)
	if !ok || !errors.Is(err, syscall.EMFILE) || failed.Reason != "backend" {
		t.Errorf("%v", err)
	}
}
