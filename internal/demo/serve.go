package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Listen opens a TCP port for the flag of that name.
func Listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w; free the port or choose another", name, address, errors.Unwrap(err))
	}
	return l, nil
}

// Service is a program that serves until it is told to stop, and then lets its requests finish.
type Service struct {
	Log      *slog.Logger
	Delay    time.Duration               // between readiness and the rest of the end: requests are served on
	Timeout  time.Duration               // for requests in flight at the end
	Finish   func(context.Context) error // waits for what http.Server does not, such as tunnels
	Show     []lb.Runner                 // end first: open streams would hold the others up
	Work     []lb.Runner                 // end last
	Serving  func(bool)                  // is told when requests are welcome, and when no longer
	servers  []*http.Server
	failures chan error
}

// Protocols is what a server speaks besides HTTP/1.1: HTTP/2 over TLS if there is a certificate,
// and without TLS if H2C says so.
type Protocols struct {
	Certificate []tls.Certificate
	H2C         bool
}

// Handle serves h on l once Run is called, with bounds for clients that are slow or send too much.
// What was first is stopped first.
func (s *Service) Handle(l net.Listener, h http.Handler, p Protocols) (serve func()) {
	if s.failures == nil {
		s.failures = make(chan error, 8)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(p.H2C)
	s.servers = append(s.servers, server)
	start := server.Serve
	if p.Certificate != nil {
		server.TLSConfig = &tls.Config{Certificates: p.Certificate}
		start = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	return func() {
		if err := start(l); !errors.Is(err, http.ErrServerClosed) {
			s.failures <- err
		}
	}
}

// Run serves handlers until ctx is done. Then readiness goes; after Delay, in which whoever asks for it
// has seen that, streams end, connections are kept no longer, requests in flight and tunnels finish,
// and the work in the background stops.
func (s *Service) Run(ctx context.Context, serve ...func()) (err error) {
	stopWork, stopShow := background(s.Work), background(s.Show)
	var wg sync.WaitGroup
	for _, f := range serve {
		wg.Go(f)
	}
	s.Serving(true)
	select {
	case <-ctx.Done():
		s.Serving(false)
		err = s.linger()
	case err = <-s.failures:
		s.Serving(false)
	}
	err = errors.Join(err, stopShow())
	ending, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	err = errors.Join(err, s.shutdown(ending))
	wg.Wait()
	return errors.Join(err, stopWork())
}

// linger serves on for a while, unless a server fails.
func (s *Service) linger() error {
	timer := time.NewTimer(s.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-s.failures:
		return err
	}
}

// shutdown lets the requests of each server finish. When ctx is done, it cuts off what is left. That
// tunnels and streams have to be ended, which may last for ever, is no failure.
func (s *Service) shutdown(ctx context.Context) (err error) {
	for _, server := range s.servers {
		server.SetKeepAlivesEnabled(false)
	}
	finished := make(chan error, 1)
	go func() { // what may last for ever has four fifths of the time, and requests all of it
		early, cancel := context.WithTimeout(ctx, s.Timeout*4/5)
		defer cancel()
		finished <- s.Finish(early)
	}()
	for _, server := range s.servers {
		err = errors.Join(err, server.Shutdown(ctx))
	}
	if left := <-finished; left != nil {
		s.Log.Warn("Closed what was left", "error", left)
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	if err != nil {
		return fmt.Errorf("shutdown: %w; -shutdown-timeout sets how long requests may take", err)
	}
	return nil
}

// background runs until stop is called, which waits for the end.
func background(runners []lb.Runner) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- lb.Run(ctx, runners...) }()
	return func() error { cancel(); return <-ended }
}

// Loopback reports whether an address can be reached from this machine only.
func Loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
