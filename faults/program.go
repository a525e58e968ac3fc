package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// told is what a program says after each order.
type told struct {
	Error   string
	Fit     int // backends that are fit
	Backend int // backends there are
}

// playProgram is a program that embeds the library, with a pool that is changed through in: "add
// ID URL WEIGHT", "remove ID", "weight ID N", "drain ID", "undrain ID". It serves at addr until in
// ends.
func playProgram(addr string, backends []string, in io.Reader, out io.Writer) error {
	var specs []lb.Spec
	for _, b := range backends {
		id, url, _ := strings.Cut(b, "=")
		specs = append(specs, lb.Spec{ID: id, URL: url})
	}
	pool, err := lb.NewPool(specs...)
	if err != nil {
		return err
	}
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: picker.Weighted})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: balancer, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintln(out, "ready")
	for asked := bufio.NewScanner(in); asked.Scan(); {
		t := told{Fit: balancer.Status().Available, Backend: pool.Snapshot().Len()}
		if err := order(pool, strings.Fields(asked.Text())); err != nil {
			t.Error = err.Error()
		}
		if err := json.NewEncoder(out).Encode(t); err != nil {
			return err
		}
	}
	return server.Close()
}

// order changes the pool once.
func order(pool *lb.DynamicPool, words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch {
	case len(words) == 4 && words[0] == "add":
		weight, err := strconv.Atoi(words[3])
		return errors.Join(err, pool.Add(lb.Spec{ID: words[1], URL: words[2], Weight: weight}))
	case len(words) == 3 && words[0] == "weight":
		weight, err := strconv.Atoi(words[2])
		pool.SetWeight(words[1], weight)
		return err
	case len(words) == 2 && words[0] == "remove":
		return pool.Remove(ctx, words[1])
	case len(words) == 2 && words[0] == "drain":
		pool.Mark(words[1], lb.Draining, "asked to")
		return nil
	case len(words) == 2 && words[0] == "undrain":
		pool.Clear(words[1], lb.Draining, "asked to")
		return nil
	}
	return fmt.Errorf("unknown order %q", words)
}
