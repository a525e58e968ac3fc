package autoscale_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/autoscale"
)

// first is a policy for examples.
func first(s lb.Set) lb.Picker {
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
}

// A Scaler launches what is missing, and takes it away again at the end.
func ExampleNew() {
	pool := lb.Must(lb.NewPool())
	moves := make(chan autoscale.Event, 10)
	app := func(url string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	}
	scaler, err := autoscale.New(autoscale.Config{
		Pool:          pool,
		Provider:      &autoscale.Local{Handler: app, Weight: 2, Labels: map[string]string{"zone": "a"}},
		Threshold:     20,
		Interval:      15 * time.Second,
		Min:           1,
		Max:           8,
		Cooldown:      time.Minute,
		LaunchTimeout: 10 * time.Second,
		DrainTimeout:  10 * time.Second,
		OnEvent:       func(e autoscale.Event) { moves <- e },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	balancer := lb.Must(lb.New(lb.Config{
		Pool:      pool,
		Policy:    first,
		Hosts:     []string{"app"},
		Observers: []lb.Observer{scaler.Observer()},
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- lb.Run(ctx, scaler) }()

	e := <-moves
	fmt.Println(e.Kind, "from", e.From, "to", e.To)
	client := &http.Client{Transport: balancer}
	if resp, err := client.Get("http://app/"); err == nil {
		fmt.Println(resp.Status)
		resp.Body.Close()
	}
	client.CloseIdleConnections()

	stop()
	fmt.Println("ended:", <-ended)
	e = <-moves
	fmt.Println(e.Kind, "from", e.From, "to", e.To, "because", e.Reason)
	// Output:
	// up from 0 to 1
	// 200 OK
	// ended: <nil>
	// down from 1 to 0 because the scaler stops
}

func ExampleStep() {
	plan := autoscale.Step(20)
	fmt.Println(plan(autoscale.Load{Backends: 3, Requests: 21}))
	fmt.Println(plan(autoscale.Load{Backends: 3, Requests: 15}))
	fmt.Println(plan(autoscale.Load{Backends: 3, Requests: 10}))
	// Output:
	// 4
	// 3
	// 2
}

func ExamplePerBackend() {
	plan := autoscale.PerBackend(100)
	fmt.Println(plan(autoscale.Load{Backends: 3, Requests: 950}))
	// Output: 10
}

// This plan wants a backend for each four requests in flight.
func ExamplePlanFunc() {
	plan := autoscale.PlanFunc(func(l autoscale.Load) int { return int((l.InFlight + 3) / 4) })
	_, err := autoscale.New(autoscale.Config{
		Pool:     lb.Must(lb.NewPool()),
		Provider: machines{},
		Plan:     plan,
		Max:      100,
	})
	fmt.Println(plan(autoscale.Load{InFlight: 9}), err)
	// Output: 3 <nil>
}

// machines stands for a cloud.
type machines struct{}

func (machines) Launch(context.Context) (lb.Spec, error) {
	return lb.Spec{ID: "vm-1", URL: "http://10.0.0.1"}, nil
}

func (machines) Terminate(_ context.Context, id string) error {
	fmt.Println("terminated", id)
	return nil
}

func ExampleProvider() {
	var p autoscale.Provider = machines{}
	spec, _ := p.Launch(context.Background())
	fmt.Println(strings.ToUpper(spec.ID))
	p.Terminate(context.Background(), spec.ID)
	// Output:
	// VM-1
	// terminated vm-1
}
