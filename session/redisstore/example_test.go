package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb/session/redisstore"
)

// Two balancers that share sessions. Redis here is one in this process.
func Example() {
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer redis.Close()

	cfg := redisstore.Config{
		URL:     redis.Addr(),
		Secret:  []byte("32 random bytes from a safe place"),
		Fresh:   -1,          // always ask: this Redis does not tell of changes, as a real one does
		Timeout: time.Second, // for a busy machine; the default of 50 ms suits requests
		OnState: func(reachable bool, err error) { fmt.Println("redis is reachable:", reachable, err) },
	}
	one, err := redisstore.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer one.Close()
	two, err := redisstore.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer two.Close()

	ctx := context.Background()
	bound, err := one.Bind(ctx, "alice", "", "a")
	fmt.Println("one binds alice to", bound, err)
	bound, err = two.Bind(ctx, "alice", "", "b")
	fmt.Println("two finds her on", bound, err)
	bound, err = two.Bind(ctx, "alice", "a", "b")
	fmt.Println("two moves her to", bound, err)
	bound, err = one.Lookup(ctx, "alice")
	fmt.Println("one finds her on", bound, err)
	fmt.Println("redis was asked and knew:", one.Stats().HitsRedis)
	// Output:
	// one binds alice to a <nil>
	// two finds her on a <nil>
	// two moves her to b <nil>
	// one finds her on b <nil>
	// redis was asked and knew: 1
}
