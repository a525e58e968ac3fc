// Standalone is a load balancer to try: three demo backends with weights 3, 2 and 1, sticky
// sessions, breakers, health checks, autoscaling, a rate limit, a dashboard and metrics. Its -h
// lists what can be changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stderr))
}

// run is the whole program. It returns the exit code: 2 for a wrong command line, 1 for what
// fails later.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) int {
	o, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(out, "standalone: %s\n", strings.TrimSpace(line))
		}
		return 2
	}
	log, flush := demo.NewLogger(out, o.logFormat, o.logLevel)
	defer flush()
	if err := serve(ctx, o, log); err != nil {
		log.Error(err.Error())
		return 1
	}
	return 0
}

// serve starts everything, serves until ctx is done, and stops everything.
func serve(ctx context.Context, o *options, log *slog.Logger) error {
	log.Info("Starting Go Load Balancer Application")
	front, err := demo.Listen("-listen", o.listen)
	if err != nil {
		return err
	}
	defer front.Close()
	var side net.Listener
	if o.admin != "" {
		if side, err = demo.Listen("-admin", o.admin); err != nil {
			return err
		}
		defer side.Close()
	}
	a := &app{options: o, log: log}
	defer a.close()
	log.Info("Initializing backend servers...")
	if err := a.addBackends(); err != nil {
		return err
	}
	if err := a.compose(); err != nil {
		return err
	}
	return a.run(ctx, front, side)
}

// run serves until ctx is done, and then lets requests finish. The streams of the dashboard end
// first, so that nobody waits for them, and what works in the background ends last.
func (a *app) run(ctx context.Context, front, side net.Listener) (err error) {
	stopWork := background(a.runners...)
	stopShow := background(a.export)
	a.log.Info("Load balancer starting on " + a.listen)
	servers := demo.Servers{Log: a.log}
	if side != nil {
		servers.Start(front, demo.Mount(a.mount, a.balanced(), http.NotFoundHandler()))
		servers.Start(side, a.adminHandler())
	} else {
		servers.Start(front, demo.Mount(a.mount, a.balanced(), a.adminHandler()))
		if host, _, _ := net.SplitHostPort(a.listen); !loopback(host) {
			a.log.Warn("Dashboard, metrics and health are open to whoever reaches " + a.listen + "; -admin gives them an address of their own")
		}
	}
	a.ready.Store(true)
	a.log.Info("Load balancer is ready to accept connections")
	select {
	case <-ctx.Done():
		a.log.Info("Shutting down, requests in flight may finish", "timeout", a.shutdownTimeout)
	case err = <-servers.Failed():
	}
	a.ready.Store(false)
	err = errors.Join(err, stopShow())
	ending, cancel := context.WithTimeout(context.Background(), a.shutdownTimeout)
	defer cancel()
	if late := servers.Shutdown(ending, a.balancer.Shutdown); late != nil {
		err = errors.Join(err, fmt.Errorf("shutdown: %w; -shutdown-timeout sets how long requests may take", late))
	}
	if err = errors.Join(err, stopWork()); err == nil {
		a.log.Info("Load balancer stopped")
	}
	return err
}

// background runs until stop is called, which waits for the end.
func background(runners ...lb.Runner) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- lb.Run(ctx, runners...) }()
	return func() error { cancel(); return <-ended }
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
