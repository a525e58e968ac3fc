package pickers

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	orca "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest"
	_ "google.golang.org/grpc/balancer/ringhash"
	_ "google.golang.org/grpc/balancer/roundrobin"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
)

// channel is a client connection of grpc-go's whose subchannels are all up as soon as they are
// wanted. News of that wait in a queue, because balancers must not hear of it while they ask.
type channel struct {
	balancer.ClientConn
	mu     sync.Mutex
	picker balancer.Picker
	news   []func()
}

func (c *channel) NewSubConn(_ []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	return &subchannel{channel: c, heard: o.StateListener}, nil
}

func (c *channel) RemoveSubConn(balancer.SubConn)                       {}
func (c *channel) UpdateAddresses(balancer.SubConn, []resolver.Address) {}
func (c *channel) ResolveNow(resolver.ResolveNowOptions)                {}
func (c *channel) Target() string                                       { return "service" }
func (c *channel) MetricsRecorder() stats.MetricsRecorder               { return unmeasured{} }

func (c *channel) UpdateState(s balancer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.picker = s.Picker
}

func (c *channel) current() balancer.Picker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.picker
}

func (c *channel) later(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news = append(c.news, f)
}

// tell delivers the news until there are none.
func (c *channel) tell() {
	for {
		c.mu.Lock()
		news := c.news
		c.news = nil
		c.mu.Unlock()
		if len(news) == 0 {
			return
		}
		for _, f := range news {
			f()
		}
	}
}

type subchannel struct {
	balancer.SubConn
	channel *channel
	heard   func(balancer.SubConnState)
}

func (s *subchannel) UpdateAddresses([]resolver.Address) {}
func (s *subchannel) Shutdown()                          {}
func (s *subchannel) Connect() {
	s.channel.later(func() {
		s.heard(balancer.SubConnState{ConnectivityState: connectivity.Connecting})
		s.heard(balancer.SubConnState{ConnectivityState: connectivity.Ready})
	})
}

func (s *subchannel) RegisterHealthListener(f func(balancer.SubConnState)) {
	s.channel.later(func() { f(balancer.SubConnState{ConnectivityState: connectivity.Ready}) })
}

// unmeasured drops grpc-go's own metrics.
type unmeasured struct{ stats.MetricsRecorder }

func (unmeasured) RecordInt64Count(*stats.Int64CountHandle, int64, ...string)             {}
func (unmeasured) RecordFloat64Count(*stats.Float64CountHandle, float64, ...string)       {}
func (unmeasured) RecordInt64Histo(*stats.Int64HistoHandle, int64, ...string)             {}
func (unmeasured) RecordFloat64Histo(*stats.Float64HistoHandle, float64, ...string)       {}
func (unmeasured) RecordInt64Gauge(*stats.Int64GaugeHandle, int64, ...string)             {}
func (unmeasured) RecordInt64UpDownCount(*stats.Int64UpDownCountHandle, int64, ...string) {}

func grpcs() []contender {
	var all []contender
	for _, p := range []struct{ name, policy, config string }{
		{"RoundRobin", "round_robin", `{}`},
		{"LeastRequest", "least_request_experimental", `{"choiceCount": 2}`},
		{"RingHash", "ring_hash_experimental", `{"requestHashHeader": "x-key"}`},
		{"WeightedUnknown", "weighted_round_robin", `{"blackoutPeriod": "0s"}`},
		{"Weighted", "weighted_round_robin", `{"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}`},
	} {
		all = append(all, contender{"grpc/" + p.name, func(b testing.TB, n int) func() {
			c := connected(b, p.policy, p.config, n)
			if p.name == "Weighted" {
				report(b, c.current(), n)
			}
			chooser, info := c.current(), balancer.PickInfo{FullMethodName: "/service/Method", Ctx: keyed("some-tenant-or-other")}
			return func() {
				result, err := chooser.Pick(info)
				if err != nil {
					b.Error(err)
					return
				}
				if result.Done != nil {
					result.Done(balancer.DoneInfo{})
				}
			}
		}})
	}
	return all
}

func keyed(key string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "x-key", key)
}

// connected builds a balancer over n subchannels that are all up.
func connected(b testing.TB, policy, config string, n int) *channel {
	b.Helper()
	builder, c := balancer.Get(policy), new(channel)
	chooser := builder.Build(c, balancer.BuildOptions{})
	b.Cleanup(chooser.Close)
	state := balancer.ClientConnState{}
	if parser, ok := builder.(balancer.ConfigParser); ok {
		cfg, err := parser.ParseConfig(json.RawMessage(config))
		if err != nil {
			b.Fatal(err)
		}
		state.BalancerConfig = cfg
	}
	for i := range n {
		addr := resolver.Address{Addr: fmt.Sprintf("192.0.2.1:%d", i)}
		state.ResolverState.Endpoints = append(state.ResolverState.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	if err := chooser.UpdateClientConnState(state); err != nil {
		b.Fatal(err)
	}
	for range 1000 { // the ring connects to those that are picked
		c.tell()
		_, err := c.current().Pick(balancer.PickInfo{Ctx: keyed("some-tenant-or-other")})
		if err == nil {
			return c
		}
		time.Sleep(time.Millisecond) // real time: it does so in a goroutine of its own
	}
	b.Fatal("no subchannel comes up")
	return nil
}

// report tells a weighted picker the backends' weights, as they would with their answers, and waits
// until it has taken them up.
func report(b testing.TB, p balancer.Picker, n int) {
	b.Helper()
	for i := range n { // without weights it takes turns: each is picked once
		result, err := p.Pick(balancer.PickInfo{Ctx: context.Background()})
		if err != nil {
			b.Fatal(err)
		}
		result.Done(balancer.DoneInfo{ServerLoad: &orca.OrcaLoadReport{RpsFractional: 100, ApplicationUtilization: 1 / float64(weight(i))}})
	}
	time.Sleep(300 * time.Millisecond) // real time: there is no other way to see its timer pass
}
