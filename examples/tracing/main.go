// Tracing shows the spans of two requests: one that is answered at once, and one whose first
// backend is dead, so that another is tried. Run it with
//
//	go run ./examples/tracing
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/tracing"
)

func main() { run(os.Stdout) }

func run(out io.Writer) {
	exporter := lb.Must(stdouttrace.New(stdouttrace.WithWriter(out), stdouttrace.WithPrettyPrint()))
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter)) // WithBatcher, in a real program
	defer provider.Shutdown(context.Background())

	a, b := serve(http.HandlerFunc(backend)), serve(http.HandlerFunc(backend))
	defer b.Close()
	balancer := lb.Must(lb.New(lb.Config{
		Pool:      lb.Must(lb.NewPool(lb.Spec{ID: "a", URL: "http://" + a.Addr}, lb.Spec{ID: "b", URL: "http://" + b.Addr})),
		Policy:    inOrder,
		Observers: []lb.Observer{lb.Must(tracing.New(tracing.Config{Provider: provider}))},
	}))
	front := serve(balancer)
	defer front.Close()

	first := lb.Must(get("http://" + front.Addr + "/first"))
	a.Close()
	second := lb.Must(get("http://" + front.Addr + "/second"))
	balancer.Shutdown(context.Background()) // so that every span has ended
	fmt.Fprintf(out, "%sthen %s", first, second)
}

// backend tells which span it works for.
func backend(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "a backend got traceparent", r.Header.Get("Traceparent"))
}

// serve starts a server on a free port of this machine.
func serve(h http.Handler) *http.Server {
	l := lb.Must(net.Listen("tcp", "127.0.0.1:0"))
	s := &http.Server{Addr: l.Addr().String(), Handler: h}
	go s.Serve(l)
	return s
}

func get(url string) (body []byte, err error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// inOrder is a policy that tries a before b.
func inOrder(s lb.Set) lb.Picker {
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
		for _, c := range s.Eligible {
			if !i.Tried(c.Backend) {
				return c.Backend
			}
		}
		return nil
	})
}
