package redis_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/autoscale"
	"github.com/go-loadbalancer/lb/autoscale/redis"
)

// An instance of a fleet. Redis here is one in this process, and so are the backends, which other
// instances could not terminate.
func Example() {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	leader, err := redis.New(redis.Config{URL: "redis://" + server.Addr(), Secret: []byte("32 random bytes from a safe place")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer leader.Close()
	pool, moves := lb.Must(lb.NewPool()), make(chan autoscale.Event, 10)
	scaler, err := autoscale.New(autoscale.Config{
		Pool:     pool,
		Provider: &autoscale.Local{Handler: func(string) http.Handler { return http.NotFoundHandler() }},
		Interval: 100 * time.Millisecond,
		Leader:   leader,
		OnEvent:  func(e autoscale.Event) { moves <- e },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- lb.Run(ctx, scaler) }()

	e := <-moves
	fmt.Println(e.Kind, "from", e.From, "to", e.To)
	stop()
	fmt.Println("ended:", <-ended)
	fmt.Println("it leaves what it has launched to the others, and has led", leader.Stats().Terms, "time")
	// Output:
	// up from 0 to 1
	// ended: <nil>
	// it leaves what it has launched to the others, and has led 1 time
}
