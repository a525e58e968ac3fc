package demo

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// The end comes in its order: readiness goes, and requests are served on for a while, over connections
// that are kept; then those in flight finish, over connections that are not.
func TestServiceEndsInOrder(t *testing.T) {
	const delay = 100 * time.Millisecond
	l := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	started, finish := make(chan bool), make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- true
			<-finish
		}
		_, _ = io.WriteString(w, "ok")
	})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(path string) (keeps bool) {
		resp, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Error(err)
			return false
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "ok" || err != nil {
			t.Errorf("%s: %q, %v", path, body, err)
		}
		return !resp.Close
	}
	var order []string
	var stopped time.Time
	ctx, stop := context.WithCancel(t.Context())
	slow := make(chan bool, 1)
	s := &Service{
		Log: slog.New(slog.DiscardHandler), Delay: delay, Timeout: time.Minute,
		Finish: func(context.Context) error { order = append(order, "finish"); return io.ErrUnexpectedEOF },
		Show: []lb.Runner{runner(func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, "show")
			return nil
		})},
		Work: []lb.Runner{runner(func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, "work")
			return nil
		})},
		Serving: func(yes bool) {
			if yes {
				go func() { slow <- get("/slow") }()
				go func() { <-started; stop() }()
				return
			}
			order, stopped = append(order, "not ready"), time.Now()
			if !get("/") {
				t.Error("connections are not kept while readiness is noticed")
			}
			go func() { // until nobody listens
				for {
					conn, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						close(finish)
						return
					}
					conn.Close()
					runtime.Gosched()
				}
			}()
		},
	}
	if err := s.Run(ctx, s.Handle(l, h, Protocols{})); err != nil {
		t.Errorf("tunnels that had to be closed are a failure: %v", err)
	}
	if time.Since(stopped) < delay {
		t.Errorf("it ended %v after readiness went", time.Since(stopped))
	}
	if <-slow {
		t.Error("a connection is kept at the end")
	}
	if got, want := strings.Join(order, " "), "not ready show finish work"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

type runner func(context.Context) error

func (f runner) Run(ctx context.Context) error { return f(ctx) }
