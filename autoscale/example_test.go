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

// Thirty-five requests in flight, for as long as it takes to be sure, are two and a half times
// what 70% of 20 slots are.
func ExampleUtilization() {
	plan, err := autoscale.Utilization(autoscale.UtilizationConfig{Slots: 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	load := autoscale.Load{Now: time.Unix(1e9, 0), Backends: 2, Fit: 2}
	for range 31 {
		var want int
		if plan, want = plan.Next(load); want != load.Backends {
			fmt.Printf("%d backends instead of %d\n", want, load.Backends)
			load.Backends, load.Starting = want, want-load.Fit
		}
		load.Interval = 2 * time.Second
		load.Now = load.Now.Add(load.Interval)
		load.Concurrency, load.Begun, load.Ended = 35, 700, 700
	}
	// Output: 3 backends instead of 2
}

// Slots by the square-root rule, and a forecast over the time that a launch takes.
func ExampleUtilization_staffing() {
	_, err := autoscale.Utilization(autoscale.UtilizationConfig{
		Slots:    20,
		Staffing: 1,
		Pace:     autoscale.Pace{Ahead: 30 * time.Second},
	})
	fmt.Println(err)
	_, err = autoscale.Utilization(autoscale.UtilizationConfig{Utilization: 70})
	fmt.Println(err)
	// Output:
	// <nil>
	// autoscale: UtilizationConfig.Utilization 70 is not above 0 and at most 1; zero means 0.7
}

func ExampleRequests() {
	plan := lb.Must(autoscale.Requests(autoscale.RequestsConfig{
		Rate:        100,
		Utilization: 0.8,
		Pace:        autoscale.Pace{Hold: 10 * time.Minute},
	}))
	load := autoscale.Load{Now: time.Unix(1e9, 0), Backends: 1, Fit: 1, Interval: 2 * time.Second, Begun: 1000}
	_, want := plan.Next(load)
	fmt.Println(want) // 500 a second, 80 for each
	// Output: 7
}

// Largest obeys whichever limit is reached first.
func ExampleLargest() {
	scaler, err := autoscale.New(autoscale.Config{
		Pool:     lb.Must(lb.NewPool()),
		Provider: machines{},
		Plan: autoscale.Largest(
			lb.Must(autoscale.Utilization(autoscale.UtilizationConfig{Slots: 20})),
			lb.Must(autoscale.Requests(autoscale.RequestsConfig{Rate: 300})),
		),
		Max:     40,
		Backoff: 30 * time.Second,
	})
	fmt.Println(scaler != nil, err)
	// Output: true <nil>
}

// nightly is a plan that remembers whether it has seen the night.
type nightly struct{ slept bool }

func (p nightly) Next(l autoscale.Load) (autoscale.Plan, int) {
	if hour := l.Now.UTC().Hour(); hour < 6 {
		return nightly{slept: true}, 1
	}
	return p, 5
}

// A plan of one's own is a value whose Next returns the plan to ask next time.
func ExamplePlan() {
	var plan autoscale.Plan = nightly{}
	for _, hour := range []int{22, 3, 8} {
		var want int
		plan, want = plan.Next(autoscale.Load{Now: time.Date(2025, 1, 1, hour, 0, 0, 0, time.UTC)})
		fmt.Println(want, plan)
	}
	// Output:
	// 5 {false}
	// 1 {true}
	// 5 {true}
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
