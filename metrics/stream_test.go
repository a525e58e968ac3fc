package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// counted is a source that counts how often it is asked.
type counted struct{ asked atomic.Int64 }

func (c *counted) Status() lb.Status { c.asked.Add(1); return lb.Status{Active: c.asked.Load()} }

// reader is a client of a stream that takes a frame whenever take has room.
type reader struct {
	take     chan string // nil: all are taken, and remembered
	mu       sync.Mutex
	header   http.Header
	status   int
	frames   []string
	deadline time.Time
	broken   error
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) WriteHeader(s int)   { r.status = s }
func (r *reader) Flush()              {}
func (r *reader) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return nil
}

func (r *reader) Write(p []byte) (int, error) {
	if r.broken != nil {
		return 0, r.broken
	}
	if r.take != nil {
		r.take <- string(p)
		return len(p), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, string(p))
	return len(p), nil
}

// open connects a reader to a stream. The returned function waits until the stream has ended.
func open(ctx context.Context, e *Export, r *reader) (ended func()) {
	r.header, r.status = http.Header{}, http.StatusOK
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Stream().ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	}()
	return func() { <-done }
}

// start runs e until the test is over or stop is called, which waits.
func start(t *testing.T, e *Export) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func TestStreamSendsOneFrameASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := new(counted)
		e := New(Config{}).Export(source, ExportConfig{})
		stop := start(t, e)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := source.asked.Load(); n != 10 {
			t.Errorf("asked %d times in 10 seconds without readers", n)
		}
		readers := []*reader{{}, {}, {}}
		var ended []func()
		for _, r := range readers {
			ended = append(ended, open(t.Context(), e, r))
		}
		synctest.Wait()
		before := source.asked.Load()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := source.asked.Load() - before; n != 5 {
			t.Errorf("asked %d times in 5 seconds for three readers", n)
		}
		stop()
		for i, wait := range ended {
			wait()
			r := readers[i]
			if len(r.frames) != 6 {
				t.Errorf("%d frames in 5 seconds, want the first and 5", len(r.frames))
			}
			var rep Report
			body := strings.TrimSuffix(strings.TrimPrefix(r.frames[5], "data: "), "\n\n")
			if err := json.Unmarshal([]byte(body), &rep); err != nil || r.frames[5] != readers[0].frames[5] {
				t.Errorf("frame %q: %v", r.frames[5], err)
			}
			if got := r.header.Get("Content-Type"); got != "text/event-stream" || r.status != http.StatusOK {
				t.Errorf("answer %d is %q", r.status, got)
			}
			if got := time.Until(r.deadline); got != writeTimeout {
				t.Errorf("the last write has %v left", got)
			}
		}
	})
}

func TestSlowReaderGetsTheNewestAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{}).Export(new(counted), ExportConfig{})
		stop := start(t, e)
		slow, quick := &reader{take: make(chan string)}, &reader{}
		slowEnded, quickEnded := open(t.Context(), e, slow), open(t.Context(), e, quick)
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		<-slow.take // the first one, from before
		if newest := <-slow.take; newest != quick.frames[10] {
			t.Errorf("the slow reader got %q, the newest is %q", newest, quick.frames[len(quick.frames)-1])
		}
		stop()
		slowEnded()
		quickEnded()
		if len(quick.frames) != 11 {
			t.Errorf("the quick reader got %d frames", len(quick.frames))
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{}).Export(new(counted), ExportConfig{})
		refused := func() bool {
			w := request(e.Stream(), http.MethodGet, "/")
			return w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != ""
		}
		if !refused() {
			t.Error("a stream before Run is not refused")
		}
		stop := start(t, e)
		ctx, leave := context.WithCancel(t.Context())
		var ended []func()
		for range maxReaders {
			ended = append(ended, open(ctx, e, &reader{}))
		}
		synctest.Wait()
		if !refused() {
			t.Error("one stream too many is not refused")
		}
		leave()
		for _, wait := range ended {
			wait()
		}
		if !e.readers.none() {
			t.Error("readers who left are still there")
		}
		if err := e.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time is not refused")
		}
		open(t.Context(), e, &reader{broken: errors.New("gone")})() // ends at once
		stop()
		if !refused() {
			t.Error("a stream after Run is not refused")
		}
		stop = start(t, e) // and again
		wait := open(t.Context(), e, &reader{})
		synctest.Wait()
		stop()
		wait()
	})
}

func TestRunNoticesChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		pool, b := balance(t, r, always(http.StatusOK), lb.Spec{ID: "a", URL: "http://a"})
		defer start(t, r.Export(b, ExportConfig{}))()
		time.Sleep(1500 * time.Millisecond)
		pool.Mark("a", lb.Down, "refused")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.events.newest(); len(got) != 2 || got[0].Text != "a: fit → down (refused)" {
			t.Errorf("events are %+v", got)
		}
	})
}

// TestStreamOverHTTP: the deadlines and the end of a stream, with a real server.
func TestStreamOverHTTP(t *testing.T) {
	e := New(Config{}).Export(new(counted), ExportConfig{})
	server := httptest.NewServer(e.Stream())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	var resp *http.Response
	for { // until Run has opened the streams
		var err error
		if resp, err = http.Get(server.URL); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			break
		}
		resp.Body.Close()
	}
	defer resp.Body.Close()
	text := make([]byte, 6)
	if _, err := resp.Body.Read(text); err != nil || string(text) != "data: " {
		t.Errorf("got %q, %v", text, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for { // ends by itself
		if _, err := resp.Body.Read(make([]byte, 4096)); err != nil {
			if err.Error() != "EOF" {
				t.Error(err)
			}
			return
		}
	}
}
