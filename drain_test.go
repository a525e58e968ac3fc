package lb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// changes makes n changes of a pool of some backends, each with a new one's address: adding, removing,
// draining, giving other weights and replacing. Gone is told of each that was removed, once it was.
func changes(t *testing.T, pool *lb.DynamicPool, n int, rnd *rand.Rand, address func() string, gone func(url string)) {
	t.Helper()
	for range n {
		snap := pool.Snapshot()
		b := snap.At(rnd.IntN(snap.Len()))
		switch op := rnd.IntN(5); {
		case op == 0 || snap.Len() < 3:
			_ = pool.Add(lb.Spec{URL: address(), Weight: 1 + rnd.IntN(5)})
		case op == 1:
			if err := pool.Remove(t.Context(), b.ID()); err != nil {
				t.Error(err)
			}
			gone(b.ID())
		case op == 2:
			pool.SetWeight(b.ID(), 1+rnd.IntN(9))
		case op == 3:
			if err := pool.Drain(t.Context(), b.ID()); err != nil || b.InFlight() != 0 {
				t.Errorf("drained with %d in flight: %v", b.InFlight(), err)
			}
			pool.Clear(b.ID(), lb.Draining, "back")
		default:
			var specs []lb.Spec
			for i := range snap.Len() {
				spec := snap.At(i).Spec()
				spec.Labels = map[string]string{"step": fmt.Sprint(rnd.Int())}
				specs = append(specs, spec)
			}
			if err := pool.Replace(specs...); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
	}
}

// A hundred changes under load lose no request, and none goes to a backend whose Remove has returned.
func TestChangesLoseNothing(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 17))
			var removed sync.Map
			var late, lost, asked, done atomic.Int64
			b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
				if _, out := removed.Load("http://" + r.URL.Host); out {
					late.Add(1)
				}
				return ok(r)
			}, lb.Config{Policy: picker.PowerOfTwo, Retries: -1, SlowStart: lb.SlowStart{Window: time.Second}})
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					for done.Load() == 0 {
						asked.Add(1)
						if get(b).StatusCode != 200 {
							lost.Add(1)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			n := 0
			changes(t, pool, 100, rnd, func() string { n++; return fmt.Sprint("http://n", n) }, func(id string) { removed.Store(id, true) })
			done.Add(1)
			all.Wait()
			if late.Load()+lost.Load() != 0 || asked.Load() < 1000 {
				t.Errorf("seed %d: of %d requests %d were lost and %d went to a backend that was gone", seed, asked.Load(), lost.Load(), late.Load())
			}
			mustBeIdle(t, b)
		})
	}
}

// The same over sockets.
func TestChangesLoseNothingOverSockets(t *testing.T) {
	leavesNothing(t)
	var late, lost, done atomic.Int64
	var mu sync.Mutex
	removed := map[string]*atomic.Bool{}
	address := func() string {
		gone := new(atomic.Bool)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				late.Add(1)
			}
			_, _ = io.Copy(w, io.LimitReader(r.Body, 9))
		}))
		t.Cleanup(s.Close)
		mu.Lock()
		defer mu.Unlock()
		removed[s.URL] = gone
		return s.URL
	}
	f := before(t, lb.Config{Policy: picker.LeastLoaded, Retries: -1}, nil, address(), address(), address())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for done.Load() == 0 {
				r := f.request(t, "POST", "/", strings.NewReader("body"))
				resp, err := f.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "body" {
					lost.Add(1)
				}
				resp.Body.Close()
			}
		})
	}
	rnd := rand.New(rand.NewPCG(1, 18))
	for range 100 {
		snap := f.pool.Snapshot()
		id := snap.At(rnd.IntN(snap.Len())).ID()
		switch op := rnd.IntN(4); {
		case op == 0 || snap.Len() < 3:
			_ = f.pool.Add(lb.Spec{URL: address()})
		case op == 1:
			if err := f.pool.Remove(t.Context(), id); err != nil {
				t.Error(err)
			}
			removed[id].Store(true)
		case op == 2:
			f.pool.SetWeight(id, 1+rnd.IntN(9))
		default:
			_ = f.pool.Drain(t.Context(), id)
			f.pool.Clear(id, lb.Draining, "back")
		}
	}
	done.Add(1)
	all.Wait()
	if late.Load()+lost.Load() != 0 {
		t.Errorf("%d were lost, %d went to a backend that was gone", lost.Load(), late.Load())
	}
}

// flow answers with an event stream that says hello and then nothing, or switches protocols.
func flow(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		upgrade(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: hello\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

const askForEvents = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"

// Remove waits for tunnels and streams as long as it may. Then it closes them, which is held against
// nobody, and other requests go on.
func TestRemoveEndsStreams(t *testing.T) {
	for _, ask := range []string{askForWebSocket, askForEvents} {
		fronts(t, flow, func(t *testing.T, f *front) {
			conn, in := f.dial(t, ask)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == 200 {
				in = bufio.NewReader(resp.Body)
				_, _ = in.ReadString('\n')
			} else {
				_, _ = io.WriteString(conn, "x\n")
				if line, err := in.ReadString('\n'); line != "x\n" {
					t.Fatal(line, err)
				}
			}
			be := f.pool.Snapshot().At(0)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := f.pool.Drain(ctx, be.ID()); !errors.Is(err, context.Canceled) || be.InFlight() != 1 {
				t.Errorf("drained with %d in flight: %v", be.InFlight(), err)
			}
			if err := f.pool.Remove(ctx, be.ID()); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 request") {
				t.Errorf("removed: %v", err)
			}
			_, _ = io.ReadAll(in) // it ends
			<-f.ended
			becomesIdle(t, f.balancer)
			if be.InFlight() != 0 || be.ErrorRate() != 0 {
				t.Errorf("%d in flight, error rate %v", be.InFlight(), be.ErrorRate())
			}
		})
	}
}

// Shutdown ends what may go on for ever, when its time is over, and blames nobody.
func TestShutdownEndsStreams(t *testing.T) {
	for _, ask := range []string{askForWebSocket, askForEvents} {
		fronts(t, flow, func(t *testing.T, f *front) {
			_, in := f.dial(t, ask)
			if _, err := http.ReadResponse(in, nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := f.balancer.Shutdown(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("shut down: %v", err)
			}
			_, _ = io.ReadAll(in) // it ends
			<-f.ended
			becomesIdle(t, f.balancer)
			if rate := f.balancer.Status().Backends[0].ErrorRate(); rate != 0 {
				t.Errorf("the backend is blamed: %v", rate)
			}
		})
	}
}

// The same for clients that speak HTTP/2, and for calls of gRPC.
func TestRemoveEndsStreamsOverHTTP2(t *testing.T) {
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(flow))
	t.Cleanup(origin.Close)
	f := before(t, lb.Config{}, onlyH2C(), origin.URL)
	client := h2cClient(t)
	for _, header := range []http.Header{{"Accept": {"text/event-stream"}}, {"Content-Type": {"application/grpc+proto"}}} {
		r := f.request(t, "GET", "/", nil)
		r.Header = header
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.pool.Remove(ctx, origin.URL); !errors.Is(err, context.Canceled) {
			t.Errorf("removed: %v", err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("what was cut off looks whole")
		}
		resp.Body.Close()
		if s := <-f.ended; s.Reason != "truncated" {
			t.Errorf("summed up as %+v", s)
		}
		_ = f.pool.Add(lb.URLs(origin.URL)...)
	}
}

// The same through RoundTrip.
func TestRemoveEndsStreamsOfClients(t *testing.T) {
	leavesNothing(t)
	origin := httptest.NewServer(http.HandlerFunc(flow))
	t.Cleanup(origin.Close)
	pool := lb.Must(lb.NewPool(lb.URLs(origin.URL)...))
	b := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first, Hosts: []string{"shop"}}))
	for _, header := range []http.Header{{"Accept": {"text/html, text/event-stream"}}, {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}} {
		r := lb.Must(http.NewRequestWithContext(t.Context(), "GET", "http://shop/", nil))
		r.Header = header
		resp := lb.Must(b.RoundTrip(r))
		be := pool.Snapshot().At(0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := pool.Remove(ctx, be.ID()); !errors.Is(err, context.Canceled) {
			t.Errorf("removed: %v", err)
		}
		_, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		if be.InFlight() != 0 || be.ErrorRate() != 0 {
			t.Errorf("%d in flight, error rate %v", be.InFlight(), be.ErrorRate())
		}
		_ = pool.Add(lb.URLs(origin.URL)...)
	}
	becomesIdle(t, b)
}

// Whatever is known of a backend stays with its ID when its description is replaced: requests in flight,
// latency, errors, facts, the breaker, the age in slow start and the sessions.
func TestStateFollowsTheID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, fail := gates{}, atomic.Bool{}
		b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if fail.Load() {
				return respond(503, r.URL.Host), nil
			}
			return ok(r)
		}, lb.Config{
			Breakers: made.make, SessionKey: key{true}, Sessions: store{"s": "http://d"}, Retries: -1,
			SlowStart: lb.SlowStart{Window: 10 * time.Second}, PanicThreshold: -1,
		})
		get(b)
		_ = pool.Add(lb.URLs("http://d")...)
		b.Status()
		mine := func() *http.Request {
			r := httptest.NewRequest("GET", "http://shop/", nil)
			r.Header.Set("X-Key", "s@http://d")
			return r
		}
		serve(b, mine()) // teaches the latency
		fail.Store(true)
		serve(b, mine()) // and the error rate
		held := lb.Must(b.RoundTrip(mine()))
		defer held.Body.Close()
		pool.Mark("http://d", lb.Down, "slow")
		b.Status()
		pool.Clear("http://d", lb.Down, "quick") // it begins to warm anew
		pool.Mark("http://c", lb.Ejected, "bad")
		made["http://d"].state.Store(int32(lb.HalfOpen))
		made["http://d"].state.Store(int32(lb.Closed))
		b.Status()
		gate := made["http://d"]
		before := b.Status()
		age := weights(b)
		_ = pool.Replace(
			lb.Spec{ID: "http://a", URL: "http://a2"}, lb.Spec{ID: "http://c", URL: "http://c2", Weight: 2},
			lb.Spec{ID: "http://d", URL: "http://d2", Labels: map[string]string{"zone": "b"}, MaxInFlight: 9},
		)
		after := b.Status()
		if len(after.Backends) != 3 || weights(b) != strings.Replace(age, "b=1.00 ", "", 1) {
			t.Errorf("%s became %s", age, weights(b))
		}
		was, is := before.Backends[3], after.Backends[2]
		if is.InFlight() != 1 || is.Latency() != was.Latency() || is.Latency() < time.Second || is.ErrorRate() != was.ErrorRate() || is.ErrorRate() == 0 {
			t.Errorf("load %+v became %+v", was.Load(time.Now()), is.Load(time.Now()))
		}
		if is.Label("zone") != "b" || after.Backends[1].Facts() != lb.Ejected || after.Backends[1].Cause() != "bad" {
			t.Errorf("facts %v, labels %v", after.Backends[1].Facts(), is.Spec().Labels)
		}
		if made["http://d"] != gate {
			t.Error("it has another breaker")
		}
		fail.Store(false)
		if resp := serve(b, mine()); resp.Header.Get("X-Backend") != "d2" {
			t.Errorf("the session went to %q", resp.Header.Get("X-Backend"))
		}
	})
}

// A backend is taken out for a while, once its requests have ended.
func ExampleDynamicPool_Drain() {
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "blue", URL: "http://10.0.0.1"}, lb.Spec{ID: "green", URL: "http://10.0.0.2"}))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := pool.Drain(ctx, "blue"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(pool.Snapshot().Find("blue").Facts())
	pool.Clear("blue", lb.Draining, "upgraded")
	// Output: draining
}
