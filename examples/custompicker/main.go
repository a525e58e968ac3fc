// Custompicker balances with a policy of its own: five percent of the users meet the new version.
// It starts everything it needs, makes some requests, says who answered and ends.
//
//	go run ./examples/custompicker
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/go-loadbalancer/lb"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) (err error) {
	pool := lb.Must(lb.NewPool())
	for id, version := range map[string]string{"blue-1": "stable", "blue-2": "stable", "green-1": "canary"} {
		backend := answering(version)
		defer backend.Close()
		spec := lb.Spec{ID: id, URL: backend.URL, Labels: map[string]string{"version": version}}
		if err := pool.Add(spec); err != nil {
			return err
		}
	}
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: canary(5)})
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: balancer, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, server.Shutdown(ctx), balancer.Shutdown(ctx))
	}()

	return poll(out, "http://"+listener.Addr().String())
}

// poll asks as two hundred users and says who answered.
func poll(out io.Writer, url string) error {
	answers := make(map[string]int)
	for user := range 200 {
		version, err := ask(url, fmt.Sprint("user-", user))
		if err != nil {
			return err
		}
		answers[version]++
	}
	for _, version := range []string{"stable", "canary"} {
		fmt.Fprintf(out, "%s answered %d users\n", version, answers[version])
	}
	return nil
}

// answering starts a backend that answers with its version.
func answering(version string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, version)
	}))
}

func ask(url, user string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", user, resp.Status)
	}
	return string(body), err
}
