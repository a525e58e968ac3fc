// Minimal is the smallest load balancer: two backends, one handler.
package main

import (
	"log"
	"net/http"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

func main() {
	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001", "http://127.0.0.1:9002")...))
	handler := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo}))
	log.Fatal(http.ListenAndServe(":8080", handler))
}
