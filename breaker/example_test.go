package breaker_test

import (
	"fmt"
	"log"
	"time"

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

// A breaker for clients that must not wait: it opens when a third of ten answers within the window
// took longer than a fifth of a second to begin. A balancer says how long they took.
func ExampleConfig_slow() {
	breakers := lb.Must(breaker.New(breaker.Config{Slow: 200 * time.Millisecond, SlowRate: 0.33, Requests: 10}))
	b := breakers(nil).(interface {
		lb.Breaker
		DoneIn(lb.Permit, lb.Outcome, time.Duration)
		Cause() string
	})
	for i := range 10 {
		permit, _ := b.Allow()
		b.DoneIn(permit, lb.Success, time.Duration(i)*40*time.Millisecond)
	}
	state, _ := b.Status()
	fmt.Println(state, "-", b.Cause())
	// Output: open - 4 of 10 answers within 10s took longer than 200ms
}
