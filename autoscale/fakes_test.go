package autoscale

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// cloud is a provider without servers. Its backends are l1, l2, ...
type cloud struct {
	t    *testing.T
	pool *lb.DynamicPool // to see that what is terminated has left it

	takes    time.Duration                // what a launch takes
	faulty   func(n int) (lb.Spec, error) // what becomes of launch n; nil: all is well
	stubborn error                        // what Terminate returns

	mu      sync.Mutex
	n       int
	running []string
	ended   []string // in this order
}

func (c *cloud) Launch(ctx context.Context) (lb.Spec, error) {
	c.mu.Lock()
	c.n++
	n := c.n
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return lb.Spec{}, ctx.Err()
	case <-time.After(c.takes):
	}
	spec, err := lb.Spec{ID: fmt.Sprintf("l%d", n), URL: fmt.Sprintf("http://10.1.0.%d", n%250)}, error(nil)
	if c.faulty != nil {
		spec, err = c.faulty(n)
	}
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = append(c.running, spec.ID)
	}
	return spec, err
}

func (c *cloud) Terminate(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		c.t.Errorf("%s is terminated with a context that is done: %v", id, err)
	}
	if strings.HasPrefix(id, "l") && c.pool.Snapshot().Find(id) != nil {
		c.t.Errorf("%s is terminated while it is in the pool", id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.running, id)
	if i < 0 {
		c.t.Errorf("%s is terminated and was not running", id)
		return nil
	}
	c.running = slices.Delete(c.running, i, i+1)
	c.ended = append(c.ended, id)
	return c.stubborn
}

func (c *cloud) state() (running, ended string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.running, " "), strings.Join(c.ended, " ")
}

// events collects what a scaler tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// String lists them, such as "up l1 1-2, down l1 2-1".
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, ev := range e.all {
		all = append(all, fmt.Sprintf("%v %s %d-%d", ev.Kind, ev.Backend, ev.From, ev.To))
	}
	return strings.Join(all, ", ")
}

// set is a scaler under test with all that is around it.
type set struct {
	*Scaler
	pool   *lb.DynamicPool
	cloud  *cloud
	events *events
	stop   func()
}

// begin runs a scaler over n configured backends, until stop or the end of the test.
func begin(t *testing.T, n int, cfg Config, c *cloud) *set {
	t.Helper()
	specs := make([]lb.Spec, n)
	for i := range specs {
		specs[i] = lb.Spec{ID: fmt.Sprintf("c%d", i), URL: fmt.Sprintf("http://10.0.0.%d", 1+i)}
	}
	x := &set{pool: lb.Must(lb.NewPool(specs...)), cloud: c, events: new(events)}
	c.t, c.pool = t, x.pool
	cfg.Pool, cfg.Provider, cfg.OnEvent = x.pool, c, x.events.add
	x.Scaler = lb.Must(New(cfg))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	x.stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	time.Sleep(time.Second) // so that the test acts within the intervals
	return x
}

// answer counts requests that were answered, and fail such that were not.
func (x *set) answer(n int) {
	b := lb.Must(lb.NewBackend(lb.Spec{URL: "http://10.0.0.1"}, nil))
	for range n {
		x.Observer().RequestStart(context.Background(), nil)
		x.Observer().Request(lb.Summary{Backend: b, Status: 200})
	}
}

func (x *set) fail(n int) {
	for range n {
		x.Observer().RequestStart(context.Background(), nil)
		x.Observer().Request(lb.Summary{Status: 502, Reason: "dial"})
	}
}

// interval lets one go by.
func (x *set) interval() {
	time.Sleep(15 * time.Second)
	synctest.Wait()
}
