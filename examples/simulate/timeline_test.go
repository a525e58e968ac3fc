package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// The timelines of docs/resilience.md come from the library itself, in a bubble of fake time, so that
// a test has to draw them: LB_PLOTS=1 go test -run TestTimelines ./examples/simulate writes them, and
// without LB_PLOTS they have to be what is there.
func TestTimelines(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other machines round otherwise")
	}
	for name, draw := range map[string]func(*testing.T) page{"slowstart": slowStarting, "ejection": ejecting, "adaptive": adapting} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("../../docs/plots", name+".svg")
			got := draw(t).document(&options{file: path})
			wellFormed(t, got)
			if os.Getenv("LB_PLOTS") == "1" {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || string(want) != got {
				t.Errorf("%s is not what the library does, or how it is drawn; LB_PLOTS=1 writes it anew: %v", path, err)
			}
			if len(got) > 60_000 {
				t.Errorf("%s has %d bytes", path, len(got))
			}
		})
	}
}

// world is a balancer before backends that answer at once, in a bubble.
type world struct {
	t        *testing.T
	pool     *lb.DynamicPool
	balancer *lb.Balancer
	start    time.Time
	status   func(id string) int // of a backend's answer now
	served   map[string]int      // requests so far, by backend
	failed   int
}

// newWorld has n backends, b1 to bn, of the same weight. The rest of the configuration is cfg's.
func newWorld(t *testing.T, n int, cfg lb.Config) *world {
	w := &world{t: t, start: time.Now(), served: make(map[string]int), status: func(string) int { return 200 }}
	w.pool = lb.Must(lb.NewPool())
	for i := range n {
		w.add(fmt.Sprintf("b%d", i+1))
	}
	cfg.Pool, cfg.Transport, cfg.Hosts = w.pool, w, []string{"app"}
	w.balancer = lb.Must(lb.New(cfg))
	w.balancer.Status() // has looked
	return w
}

func (w *world) add(id string) {
	if err := w.pool.Add(lb.Spec{ID: id, URL: "http://" + id}); err != nil {
		w.t.Fatal(err)
	}
}

// now is the time since the beginning.
func (w *world) now() time.Duration { return time.Since(w.start) }

// RoundTrip answers for the backend that r is for.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.served[r.URL.Host]++
	status := w.status(r.URL.Host)
	if status >= 500 {
		w.failed++
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// get sends one request, and waits until what follows from it has happened.
func (w *world) get() {
	req, err := http.NewRequest("GET", "http://app/", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.balancer.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	synctest.Wait()
}

// send sends so many requests a second for a while.
func (w *world) send(rate int, d time.Duration) {
	for range int(float64(rate) * d.Seconds()) {
		w.get()
		time.Sleep(time.Second / time.Duration(rate))
		synctest.Wait()
	}
}

// run runs a runner in the bubble until the returned function is called.
func (w *world) run(r lb.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

// turns picks one backend after the other, beginning with the first: a policy without chance.
func turns(set lb.Set) lb.Picker {
	next := 0
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		next++
		return set.Eligible[next%len(set.Eligible)].Backend
	})
}
