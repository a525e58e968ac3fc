package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/autoscale"
)

// most is the bound of all fleets here.
const most = 8

// news is what an instance tells the test, and wish what the test wants of it.
type news struct {
	Name  string
	Pool  []string
	Stats Stats
}

type wish struct{ Want int }

// TestMain is an instance in a process of its own if the environment says so.
func TestMain(m *testing.M) {
	if at := os.Getenv("LB_AUTOSCALE_INSTANCE"); at != "" {
		if err := instance(at, os.Getenv("LB_AUTOSCALE_REDIS"), os.Getenv("LB_AUTOSCALE_NAME")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var secret = []byte("a secret of thirty-two bytes....")

// instance runs a Scaler until it is killed, or until whoever has started it is gone.
func instance(at, url, name string) error {
	leader, err := New(Config{URL: url, Secret: secret, Validity: time.Second})
	if err != nil {
		return err
	}
	defer leader.Close()
	var want atomic.Int64
	pool := lb.Must(lb.NewPool(lb.Spec{ID: "c0", URL: "http://10.0.0.1"}))
	plan := autoscale.PlanFunc(func(l autoscale.Load) int {
		if n := int(want.Load()); n > 0 {
			return n
		}
		return l.Backends
	})
	scaler, err := autoscale.New(autoscale.Config{
		Pool: pool, Provider: machines{at: at, name: name}, Leader: leader, Plan: autoscale.Largest(plan),
		Interval: 200 * time.Millisecond, Max: most, LaunchTimeout: 2 * time.Second, DrainTimeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- scaler.Run(ctx) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		n, w := news{Name: name, Stats: leader.Stats()}, wish{}
		for i := range pool.Snapshot().Len() {
			n.Pool = append(n.Pool, pool.Snapshot().At(i).ID())
		}
		if err := post(ctx, at+"/news", n, &w); err != nil || w.Want < 0 {
			cancel()
			return errors.Join(err, <-ended)
		}
		want.Store(int64(w.Want))
	}
}

// machines is a provider that asks the test.
type machines struct{ at, name string }

func (m machines) Launch(ctx context.Context) (spec lb.Spec, err error) {
	return spec, post(ctx, m.at+"/launch", m.name, &spec)
}

func (m machines) Terminate(ctx context.Context, id string) error {
	return post(ctx, m.at+"/terminate", id, new(string))
}

// post asks the test.
func post(ctx context.Context, url string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
