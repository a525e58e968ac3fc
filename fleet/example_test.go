package fleet_test

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/fleet"
	"github.com/go-loadbalancer/lb/health"
	"github.com/go-loadbalancer/lb/picker"
)

func Example() {
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		panic(err)
	}
	defer redis.Close()
	secret := sha256.Sum256([]byte("for an example only: take 32 bytes from crypto/rand"))

	pool := lb.Must(lb.NewPool(lb.URLs("http://127.0.0.1:9001", "http://127.0.0.1:9002")...))
	ejector := lb.Must(health.NewEjector(health.EjectorConfig{Pool: pool}))
	f := lb.Must(fleet.New(fleet.Config{Pool: pool, Secret: secret[:], URL: redis.Addr()}))
	balancer := lb.Must(lb.New(lb.Config{
		Pool:      pool,
		Policy:    picker.PowerOfTwo,
		Observers: []lb.Observer{ejector.Observer(), f.Observer()},
	}))

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- lb.Run(ctx, ejector, f) }()

	fmt.Println(balancer.Status().Available, "backends,", f.Stats().Instances, "instance")
	for _, b := range f.Backends() {
		fmt.Println(b.ID, "out at", b.Out)
	}
	cancel()
	fmt.Println(<-ended)
	// Output:
	// 2 backends, 1 instance
	// http://127.0.0.1:9001 out at 0
	// http://127.0.0.1:9002 out at 0
	// <nil>
}
