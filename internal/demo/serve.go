package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listen opens a TCP port for the flag of that name.
func Listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w; free the port or choose another", name, address, errors.Unwrap(err))
	}
	return l, nil
}

// Servers are http.Servers that fail and stop together.
type Servers struct {
	Log    *slog.Logger
	list   []*http.Server
	wg     sync.WaitGroup
	failed chan error
}

// Start serves h on l, with bounds for clients that are slow or send too much.
func (s *Servers) Start(l net.Listener, h http.Handler) {
	if s.failed == nil {
		s.failed = make(chan error, 8)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	s.list = append(s.list, server)
	s.wg.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	})
}

// Failed delivers the error of a server that stopped by itself.
func (s *Servers) Failed() <-chan error { return s.failed }

// Shutdown lets the requests of each server finish, in the order in which they were started, and
// calls then between the first and the others. When ctx is done, it cuts off what is left.
func (s *Servers) Shutdown(ctx context.Context, then func(context.Context) error) (err error) {
	for i, server := range s.list {
		err = errors.Join(err, server.Shutdown(ctx))
		if i == 0 {
			err = errors.Join(err, then(ctx))
		}
	}
	for _, server := range s.list {
		_ = server.Close()
	}
	s.wg.Wait()
	return err
}
