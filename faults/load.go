package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// slack is what a client waits for an answer; no row needs longer.
const slack = 15 * time.Second

var (
	errRetried = errors.New("the proxy closed the connection without an answer")
	errUnwhole = errors.New("the answer is not what the backend sends")
)

// shot is one request and what came of it.
type shot struct {
	id      string
	post    bool
	at      time.Duration // when it was due, since the load began
	took    time.Duration // from then on, until the end of the answer or the failure
	status  int
	backend string // who answered
	err     error  // of a failed one
}

func (s *shot) ended() time.Duration { return s.at + s.took }

// load is an open loop: requests are due at a fixed rate, whether or not earlier ones have been
// answered.
type load struct {
	addr   string
	prefix string  // of IDs, and so unique in a row
	rate   float64 // per second
	length time.Duration
	aim    func(i int) (addr, path string) // of the i-th request; nil: addr and /

	// fallback gets what no connection could be made for; "" means that this is a failure.
	fallback string
	refused  atomic.Int64 // how many that were

	client *http.Client
	began  time.Time // set before it runs
	mu     sync.Mutex
	shots  []shot
}

// newClient returns a client that keeps connections like a browser does, and drops them before
// any proxy here might.
func newClient(most time.Duration) *http.Client {
	return &http.Client{Timeout: most, Transport: &http.Transport{
		MaxIdleConnsPerHost: 4096, IdleConnTimeout: 3 * time.Second, DisableCompression: true,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// run loads from now on, until the length is over and all have been answered, or ctx is done.
func (l *load) run(ctx context.Context) error {
	l.client = newClient(slack)
	defer l.client.CloseIdleConnections()
	total := int(l.rate * l.length.Seconds())
	var all sync.WaitGroup
	defer all.Wait()
	for i := range total {
		at := time.Duration(float64(i) / l.rate * float64(time.Second))
		if err := sleepUntil(ctx, l.began.Add(at)); err != nil {
			return err
		}
		all.Go(func() { l.add(l.shoot(ctx, i, at)) })
	}
	return nil
}

func (l *load) add(s shot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shots = append(l.shots, s)
}

// shoot makes the i-th request; every fifth is a POST.
func (l *load) shoot(ctx context.Context, i int, at time.Duration) shot {
	s := shot{id: fmt.Sprintf("%s-%d", l.prefix, i), post: i%5 == 4, at: at}
	addr, path := l.addr, ""
	if l.aim != nil {
		addr, path = l.aim(i)
	}
	s.status, s.backend, s.err = exchange(ctx, l.client, addr, path, s.id, s.post)
	if l.fallback != "" && errors.Is(s.err, syscall.ECONNREFUSED) {
		l.refused.Add(1)
		s.status, s.backend, s.err = exchange(ctx, l.client, l.fallback, path, s.id, s.post)
	}
	s.took = time.Since(l.began) - at
	return s
}

// exchange makes one request. Its error says why its client would call it failed: anything but
// the backend's answer in full, also when Go's client would have tried again by itself.
func exchange(ctx context.Context, client *http.Client, addr, path, id string, post bool) (status int, backend string, err error) {
	var conns atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { conns.Add(1) }})
	method, body := http.MethodGet, io.Reader(nil)
	if post {
		method, body = http.MethodPost, strings.NewReader("what is to be done once")
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+"/"+strings.TrimPrefix(path, "/"), body)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Id", id)
	req.GetBody = nil
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("status %d", resp.StatusCode)
	case conns.Load() > 1:
		err = errRetried
	case path == "" && string(text) != "done\n":
		err = errUnwhole
	}
	return resp.StatusCode, resp.Header.Get("X-Backend"), err
}

// sleepUntil waits for a moment, or for the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
