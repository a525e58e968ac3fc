package autoscale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Local is a Provider for demonstrations and tests: its backends are servers in this process, on
// free ports of the loopback interface. Set its fields before the first Launch. It must not be
// copied.
type Local struct {
	// Handler makes the handler of a new backend, which is told its own URL. It is required.
	Handler func(url string) http.Handler
	// Weight is each backend's share. Zero means 1.
	Weight int
	// Labels are each backend's labels.
	Labels map[string]string

	mu      sync.Mutex
	running map[string]*local // by URL
}

// local is one backend: a server, and what its Serve returned.
type local struct {
	http.Server
	ended chan error
}

// Launch starts a backend. Its ID is its URL, http://localhost:PORT.
func (l *Local) Launch(ctx context.Context) (lb.Spec, error) {
	if l.Handler == nil {
		return lb.Spec{}, errors.New("autoscale: Local.Handler is nil; it makes what a backend serves")
	}
	if ctx.Err() != nil {
		return lb.Spec{}, context.Cause(ctx) // to listen takes no time, so nothing below looks at ctx
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return lb.Spec{}, fmt.Errorf("autoscale: %w", err)
	}
	url := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	b := &local{ended: make(chan error, 1)}
	b.Handler = l.Handler(url)
	b.ReadHeaderTimeout = 10 * time.Second
	b.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running = make(map[string]*local)
	}
	l.running[url] = b
	go func() { b.ended <- b.Serve(listener) }()
	return lb.Spec{URL: url, Weight: l.Weight, Labels: maps.Clone(l.Labels)}, nil
}

// Terminate stops a backend: it lets requests end until ctx is done, and then cuts them off.
func (l *Local) Terminate(ctx context.Context, id string) error {
	l.mu.Lock()
	b := l.running[id]
	delete(l.running, id)
	l.mu.Unlock()
	if b == nil {
		return fmt.Errorf("autoscale: no local backend %q is running", id)
	}
	err := b.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("autoscale: local backend %q was cut off: %w", id, errors.Join(err, b.Close()))
	}
	<-b.ended
	return err
}
