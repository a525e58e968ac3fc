// Client gives an http.Client three servers behind one name. The same balancer that could stand
// in front of them as a handler is the client's transport: it picks a server for each request
// and, when one is gone, tries another.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	var specs []lb.Spec
	var servers []*httptest.Server
	for _, name := range []string{"one", "two", "three"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		defer server.Close()
		servers = append(servers, server)
		specs = append(specs, lb.Spec{ID: name, URL: server.URL})
	}
	pool, err := lb.NewPool(specs...)
	if err != nil {
		return err
	}
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: picker.RoundRobin, Hosts: []string{"shop.internal"}})
	if err != nil {
		return err
	}
	client := &http.Client{Transport: balancer}
	for i := range 9 {
		if i == 6 {
			servers[1].Close() // its turns go to the others, and no request fails
			fmt.Fprintln(out, "two has stopped")
		}
		resp, err := client.Get("http://shop.internal/")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "request %d was answered by %s\n", i+1, body)
	}
	return nil
}
