package autoscale

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

// echo answers with its own URL. A request for /slow is answered once slow is closed, after it
// has told entered.
func echo(entered, slow chan struct{}) func(string) http.Handler {
	return func(url string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				entered <- struct{}{}
				<-slow
			}
			io.WriteString(w, url)
		})
	}
}

// get returns the body of an answer.
func get(via http.RoundTripper, url string) (string, error) {
	resp, err := (&http.Client{Transport: via}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestLocal(t *testing.T) {
	before := runtime.NumGoroutine()
	via := transport.New(transport.Config{})
	l := &Local{Handler: echo(nil, nil), Weight: 3, Labels: map[string]string{"zone": "a"}}
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			spec, err := l.Launch(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if spec.Weight != 3 || spec.Labels["zone"] != "a" || !strings.HasPrefix(spec.URL, "http://localhost:") {
				t.Errorf("%+v", spec)
			}
			if got, err := get(via, spec.URL); got != spec.URL {
				t.Errorf("%s answered %q, %v", spec.URL, got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, spec.URL)
		})
	}
	wg.Wait()
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 8 {
		t.Fatalf("%d backends of 8", n)
	}
	for _, url := range all {
		wg.Go(func() {
			if err := l.Terminate(t.Context(), url); err != nil {
				t.Error(err)
			}
			if got, err := get(via, url); err == nil {
				t.Errorf("%s still answers %q", url, got)
			}
			if err := l.Terminate(t.Context(), url); err == nil {
				t.Errorf("%s was terminated twice", url)
			}
		})
	}
	wg.Wait()
	via.CloseIdleConnections()
	settle(t, before)
}

// settle waits until no more goroutines run than before.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestLocalIsGraceful terminates a backend in the midst of a request, with and without patience.
func TestLocalIsGraceful(t *testing.T) {
	for _, patient := range []bool{true, false} {
		via := transport.New(transport.Config{})
		entered, slow := make(chan struct{}), make(chan struct{})
		l := &Local{Handler: echo(entered, slow)}
		spec, err := l.Launch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan error)
		go func() {
			got, err := get(via, spec.URL+"/slow")
			if err == nil && got != spec.URL {
				err = errors.New(got)
			}
			answered <- err
		}()
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		if patient {
			close(slow)
		} else {
			cancel()
		}
		err = l.Terminate(ctx, spec.URL)
		if (err == nil) != patient {
			t.Errorf("patient %v: Terminate: %v", patient, err)
		}
		if err := <-answered; (err == nil) != patient {
			t.Errorf("patient %v: the request: %v", patient, err)
		}
		if !patient {
			close(slow)
		}
		cancel()
		via.CloseIdleConnections()
	}
}

func TestLocalFaults(t *testing.T) {
	if _, err := new(Local).Launch(t.Context()); err == nil {
		t.Error("a Local without a Handler launched")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if spec, err := (&Local{Handler: echo(nil, nil)}).Launch(ctx); err == nil {
		t.Errorf("launched %s although nobody waits", spec.URL)
	}
}

// TestLocalScales runs a scaler with real servers from an empty pool to its end.
func TestLocalScales(t *testing.T) {
	before := runtime.NumGoroutine()
	via := transport.New(transport.Config{})
	pool := lb.Must(lb.NewPool())
	up := make(chan Event, 10)
	scaler := lb.Must(New(Config{Pool: pool, Provider: &Local{Handler: echo(nil, nil)}, Min: 2, OnEvent: func(e Event) { up <- e }}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- lb.Run(ctx, scaler) }()
	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: rotate, Transport: via, Hosts: []string{"app"}, Observers: []lb.Observer{scaler.Observer()}}))
	for range 2 {
		if e := <-up; e.Kind != Up {
			t.Errorf("%+v", e)
		}
	}
	for range 10 {
		if got, err := get(balancer, "http://app/"); !strings.HasPrefix(got, "http://localhost:") {
			t.Errorf("%q, %v", got, err)
		}
	}
	via.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil || pool.Snapshot().Len() != 0 {
		t.Errorf("%v, %d backends left", err, pool.Snapshot().Len())
	}
	via.CloseIdleConnections()
	settle(t, before)
}
