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
	log.Info("Load balancer stopped")
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

// run serves until ctx is done.
func (a *app) run(ctx context.Context, front, side net.Listener) error {
	service := demo.Service{
		Log: a.log, Delay: a.drainDelay, Timeout: a.shutdownTimeout, Finish: a.balancer.Shutdown,
		Show: []lb.Runner{a.export}, Work: a.runners, Serving: a.serving,
	}
	a.log.Info("Load balancer starting on " + a.listen)
	beside := a.adminHandler()
	if side != nil {
		beside = http.NotFoundHandler()
	} else if !demo.Loopback(a.listen) {
		a.log.Warn("Dashboard, metrics and health are open to whoever reaches " + a.listen + "; -admin gives them an address of their own")
	}
	serve := []func(){service.Handle(front, demo.Mount(a.mount, a.balanced(), beside), a.protocols)}
	if side != nil {
		serve = append(serve, service.Handle(side, a.adminHandler(), demo.Protocols{}))
	}
	return service.Run(ctx, serve...)
}

// serving says whether requests are welcome, to the log and to /ready.
func (a *app) serving(yes bool) {
	a.ready.Store(yes)
	if yes {
		a.log.Info("Load balancer is ready to accept connections")
	} else {
		a.log.Info("Load balancer is stopping, requests in flight may finish", "timeout", a.shutdownTimeout)
	}
}
