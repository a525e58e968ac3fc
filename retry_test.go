package lb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// killer reads some of a request's body and then breaks the connection.
func killer(read int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, read)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// pair is a balancer on a socket that asks one backend first, and then the other.
func pair(t *testing.T, one, two http.HandlerFunc, cfg lb.Config) *front {
	t.Helper()
	var urls []lb.Spec
	for i, h := range []http.HandlerFunc{one, two} {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		urls = append(urls, lb.Spec{ID: fmt.Sprint(i), URL: s.URL})
	}
	cfg.Pool, cfg.Policy, cfg.Hosts = lb.Must(lb.NewPool(urls...)), first, []string{"shop"}
	b := lb.Must(lb.New(cfg))
	f := &front{Server: httptest.NewServer(b), balancer: b}
	t.Cleanup(func() {
		f.Close()
		becomesIdle(t, b)
	})
	return f
}

func sum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
}

// A body that was kept is sent to the next backend byte for byte, wherever the first one broke off;
// one that is too long is not, and neither is any whose method does not allow it.
func TestBodiesAreSentAgain(t *testing.T) {
	const buffer = 64 << 10
	for _, size := range []int{1, 4 << 10, 16 << 10, 16<<10 + 1, 50_000, buffer, buffer + 1, 300 << 10} {
		for _, read := range []int64{0, 1, int64(size) / 2, int64(size)} {
			var total atomic.Int64
			f := pair(t, killer(read), func(w http.ResponseWriter, r *http.Request) { total.Add(1); sum(w, r) }, lb.Config{
				Observers: []lb.Observer{{Request: func(s lb.Summary) {
					if s.Reason == "client" { // an interrupted body must not look like one to whoever comes next
						t.Errorf("%s is taken for a client that left: %v", s.Request.Method, s.Err)
					}
				}}},
			})
			body := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
			want := fmt.Sprintf("%d %x <nil>", size, sha256.Sum256(body))
			for _, known := range []bool{true, false} {
				for _, direct := range []bool{false, true} {
					for _, method := range []string{"PUT", "POST"} {
						var from io.Reader = bytes.NewReader(body)
						if !known {
							from = io.MultiReader(from)
						}
						r := f.request(t, method, "/", from)
						send := f.Client().Do
						if direct {
							r.URL.Host = "shop"
							send = func(r *http.Request) (*http.Response, error) { return f.balancer.RoundTrip(r) }
						}
						name := fmt.Sprintf("%s of %d after %d, known %v, RoundTrip %v", method, size, read, known, direct)
						check(t, name, r, send, want, method == "PUT" && size <= buffer)
					}
				}
			}
		}
	}
}

// check sends a request, which must get the answer if it has to be sent again, and else may be told that
// its backend failed. A long PUT may be sent again, too, while what was read of it is still kept.
func check(t *testing.T, name string, r *http.Request, send func(*http.Request) (*http.Response, error), want string, again bool) {
	t.Helper()
	resp, err := send(r)
	if err != nil {
		early := r.URL.Host != "shop" // then the answer may come before the client has sent all, which ends its sending
		if again || !early && !strings.HasPrefix(err.Error(), "lb: ") {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case again && string(got) != want:
		t.Errorf("%s: %s %q, want %q", name, resp.Status, got, want)
	case !again && resp.StatusCode != http.StatusBadGateway && (r.Method == "POST" || string(got) != want):
		t.Errorf("%s: %s %q, want 502", name, resp.Status, got)
	}
}

// A request of which no byte was sent goes elsewhere without a copy of its body, however long that
// is: 64 MiB here, a GiB with LB_FULL.
func TestLongBodiesAreNotKept(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv("LB_FULL") != "" {
		size = 1 << 30
	}
	dead := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	dead.Close()
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	defer live.Close()
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "1", URL: "http://" + dead.Addr().String()}, lb.Spec{ID: "2", URL: live.URL}))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first}))
	f := &front{Server: httptest.NewServer(b), balancer: b}
	defer f.Close()
	peak := &peakReader{left: size}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	resp, got := f.do(t, f.request(t, "POST", "/", peak))
	if want := fmt.Sprint(size, " <nil>"); resp.StatusCode != 200 || got != want {
		t.Errorf("%s %q, want %q", resp.Status, got, want)
	}
	if grown := int64(peak.most) - int64(m.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	f.Client().CloseIdleConnections()
	becomesIdle(t, b)
}

// peakReader is a body that looks at the heap as it is read.
type peakReader struct {
	left, next int64
	most       uint64
}

func (p *peakReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	if p.left -= n; p.left <= p.next || p.next == 0 {
		p.next = p.left - 8<<20
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return int(n), nil
}

// What is kept of all bodies together is bounded, and nothing is left of it.
func TestKeptBodiesAreBounded(t *testing.T) {
	release := make(chan bool)
	var kept atomic.Int64
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "a" {
			_, _ = io.ReadAll(r.Body)
			kept.Add(1)
			<-release
			return nil, io.EOF
		}
		return ok(r)
	}, lb.Config{Policy: first, Retry: lb.Retry{Buffer: 1000, BufferAll: 3500}})
	answers := make(chan error)
	for range 10 {
		go func() {
			r := lb.Must(http.NewRequest("PUT", "http://shop/", io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)))))
			resp, err := b.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			answers <- err
		}()
	}
	for kept.Load() < 10 {
		runtime.Gosched()
	}
	close(release)
	good := 0
	for range 10 {
		if <-answers == nil {
			good++
		}
	}
	if good != 3 {
		t.Errorf("%d of 10 were sent again, want the 3 whose bodies fit", good)
	}
	mustBeIdle(t, b)
	r := lb.Must(http.NewRequest("PUT", "http://shop/", io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)))))
	if resp, err := b.RoundTrip(r); err != nil {
		t.Errorf("afterwards: %v", err) // what was kept before has been given up
	} else {
		resp.Body.Close()
	}
}

// Statuses are answers that another backend may better; the last one stands.
func TestStatusesAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name, method string
		statuses     []int
		a, b         int
		retries      int
		want         int
		from         string
		attempts     int
	}{
		{"bettered", "GET", []int{503}, 503, 200, 0, 200, "b", 2},
		{"both bad: the last stands", "GET", []int{502, 503}, 503, 502, 0, 502, "b", 2},
		{"not chosen", "GET", []int{502}, 503, 200, 0, 503, "a", 1},
		{"by default", "GET", nil, 503, 200, 0, 503, "a", 1},
		{"not idempotent", "POST", []int{503}, 503, 200, 0, 503, "a", 1},
		{"none allowed", "GET", []int{503}, 503, 200, -1, 503, "a", 1},
		{"nobody else", "GET", []int{503}, 503, 0, 2, 503, "a", 1},
	} {
		asked := 0
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			asked++
			status := map[string]int{"a": c.a, "b": c.b}[r.URL.Host]
			resp := respond(status, r.URL.Host)
			return resp, nil
		}, lb.Config{Policy: first, Retries: c.retries, Retry: lb.Retry{Statuses: c.statuses}})
		for _, id := range []string{"http://b", "http://c"} {
			if id == "http://c" || c.b == 0 {
				_ = pool.Remove(t.Context(), id)
			}
		}
		resp := serve(b, httptest.NewRequest(c.method, "/", nil))
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != c.want || string(body) != c.from || asked != c.attempts {
			t.Errorf("%s: %d from %q after %d tries, want %d from %q after %d", c.name, resp.StatusCode, body, asked, c.want, c.from, c.attempts)
		}
		mustBeIdle(t, b)
	}
}

// When the budget is empty, the answer that was to be bettered is passed on.
func TestStatusesRespectTheBudget(t *testing.T) {
	tries := 0
	b, _ := balance(t, func(r *http.Request) (*http.Response, error) { tries++; return respond(503, r.URL.Host), nil },
		lb.Config{Retries: 2, Retry: lb.Retry{Statuses: []int{503}}})
	for range 1000 {
		if resp := get(b); resp.StatusCode != 503 || resp.Header.Get("X-Backend") == "" {
			t.Fatal(resp.Status, "is not a backend's")
		}
	}
	if tries > 1210 {
		t.Errorf("%d tries for 1,000 requests", tries)
	}
	mustBeIdle(t, b)
}

// A key makes a POST idempotent only where the program says so.
func TestIdempotencyKeys(t *testing.T) {
	for _, on := range []bool{true, false} {
		tries := 0
		b, _ := balance(t, func(*http.Request) (*http.Response, error) { tries++; return nil, io.EOF },
			lb.Config{Retry: lb.Retry{IdempotencyKey: on}})
		for _, key := range []string{"", "1"} {
			r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			tries = 0
			serve(b, r)
			if want := map[bool]int{true: 2, false: 1}[on && key != ""]; tries != want {
				t.Errorf("allowed %v, key %q: %d tries, want %d", on, key, tries, want)
			}
		}
	}
}

// A try that takes too long is its backend's failure, and the next one begins.
func TestTryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []lb.Result
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "a" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			time.Sleep(time.Second)
			return ok(r)
		}, lb.Config{
			Policy: first, Retry: lb.Retry{TryTimeout: 2 * time.Second},
			Observers: []lb.Observer{{Attempt: func(res lb.Result) {
				if res.Err != nil {
					failed = append(failed, res)
				}
			}}},
		})
		start := time.Now()
		resp := get(b)
		if took := time.Since(start); resp.StatusCode != 200 || took != 3*time.Second {
			t.Errorf("%s after %v", resp.Status, took)
		}
		if len(failed) != 1 || failed[0].Outcome != lb.Failure || failed[0].Reason != "timeout" || failed[0].Backend.ID() != "http://a" {
			t.Errorf("failed: %+v", failed)
		}
		mustBeIdle(t, b)

		start = time.Now()
		if resp := serve(b, httptest.NewRequest("POST", "/", nil)); resp.StatusCode != 504 || time.Since(start) != 2*time.Second {
			t.Errorf("POST: %s after %v", resp.Status, time.Since(start))
		}
	})
}

// The timeout is for the head only: a body may take its time, over the engine, too.
func TestTryTimeoutEndsWithTheHead(t *testing.T) {
	const timeout = 150 * time.Millisecond
	hang := make(chan bool)
	defer close(hang)
	f := pair(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}, func(w http.ResponseWriter, _ *http.Request) {
		for range 4 {
			fmt.Fprint(w, "x")
			_ = http.NewResponseController(w).Flush()
			timer := time.NewTimer(timeout / 2)
			<-timer.C
		}
	}, lb.Config{Retry: lb.Retry{TryTimeout: timeout}})
	if resp, got := f.do(t, f.request(t, "GET", "/", nil)); resp.StatusCode != 200 || got != "xxxx" {
		t.Errorf("%s %q", resp.Status, got)
	}
}

// No other backend is asked when what is left of the deadline is less than an answer takes.
func TestNoTimeForAnotherTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, tries := true, 0
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			tries++
			time.Sleep(time.Second)
			if slow {
				return ok(r)
			}
			return nil, io.EOF
		}, lb.Config{})
		for range 6 {
			get(b)
		}
		slow = false
		for _, c := range []struct {
			left  time.Duration
			tries int
		}{{1500 * time.Millisecond, 1}, {2100 * time.Millisecond, 2}} {
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			tries = 0
			serve(b, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
			cancel()
			if tries != c.tries {
				t.Errorf("with %v: %d tries, want %d", c.left, tries, c.tries)
			}
		}
	})
}

func TestWrongRetry(t *testing.T) {
	cfg := lb.Config{Pool: lb.Must(lb.NewPool()), Policy: first}
	cfg.Retry = lb.Retry{Statuses: []int{200}, TryTimeout: -1, BufferAll: -1}
	cfg.Hedge = lb.Hedge{After: -1, Quantile: 1}
	_, err := lb.New(cfg)
	for _, word := range []string{"Retry.Statuses: 200", "Retry.TryTimeout -1ns", "Retry.BufferAll -1", "Hedge.After -1ns", "Hedge.Quantile 1"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("nothing of %s in %v", word, err)
		}
	}
	cfg.Retry, cfg.Hedge, cfg.Retries = lb.Retry{Buffer: 10, BufferAll: 5}, lb.Hedge{After: 1}, -1
	if _, err := lb.New(cfg); err == nil || !strings.Contains(err.Error(), "Buffer 10") || !strings.Contains(err.Error(), "Retries -1") {
		t.Error(err)
	}
}
