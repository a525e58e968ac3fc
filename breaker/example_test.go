package breaker_test

import (
	"fmt"
	"log"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
)

// A breaker for each backend: it opens at three failures in a row, or when a fifth of at least
// fifty requests within ten seconds failed.
func ExampleNew() {
	breakers, err := breaker.New(breaker.Config{Consecutive: 3, FailureRate: 0.2, Requests: 50})
	if err != nil {
		log.Fatal(err)
	}
	// lb.New(lb.Config{Breakers: breakers, ...}) calls it once for each backend. By hand:
	b := breakers(nil)
	for range 3 {
		permit, _ := b.Allow()
		b.Done(permit, lb.Failure)
	}
	_, ok := b.Allow()
	state, _ := b.Status()
	fmt.Println(state, ok)
	// Output: open false
}

// The error names every field that is wrong.
func ExampleNew_error() {
	_, err := breaker.New(breaker.Config{FailureRate: 50, Trials: -1})
	fmt.Println(err)
	// Output:
	// breaker: Config.FailureRate 50 is not between 0.01 and 1; negative switches it off
	// breaker: Config.Trials -1 is not between 1 and 1000; zero means 3
}
