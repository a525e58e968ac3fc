package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// settings are what the flags say.
type settings struct {
	rounds int
	slice  time.Duration
	seed   uint64
	cpu    int // the proxies' processor; negative means the last one

	floor    bool   // what no proxy can be below takes part, too
	profiles string // the folder for profiles; empty: none are made
}

// overhead is about what a slice takes beside its load: connecting, asking, ending.
const overhead = 100 * time.Millisecond

// warm is how long each slice loads a proxy before it is measured: connections to backends that
// have been closed in the meantime are made anew, and caches are filled.
func (s settings) warm() time.Duration { return max(s.slice/4, 50*time.Millisecond) }

// idleRounds is how often idle connections are counted: that does not vary much.
func (s settings) idleRounds() int { return min(s.rounds, 3) }

// bench is one run.
type bench struct {
	settings
	proxyCPUs, loadCPUs []int    // nil: not pinned
	backend             *process // all backends
	backends            []string
	own                 []int  // this process and that of the backends
	dir                 string // for the files of foreign proxies
	foreign             []string
	random              *rand.Rand
	progress            io.Writer
}

// proxies returns who takes part in a scenario, the standard proxy first.
func (b *bench) proxies(s scenario) []string {
	others := s.proxies
	if others == nil {
		others = slices.Concat([]string{kindBare}, b.foreign)
	}
	if b.floor {
		others = slices.Concat(others, s.floors())
	}
	return slices.Concat([]string{kindStandard}, others)
}

// estimate returns about how long the scenarios will take.
func (b *bench) estimate(all []scenario) (total time.Duration) {
	for _, s := range all {
		turns := time.Duration(b.rounds * len(b.proxies(s)))
		each := b.warm() + b.slice + overhead
		switch {
		case s.way == onlyIdle:
			turns, each = time.Duration(b.idleRounds()*len(b.proxies(s))), 3*time.Second
		case s.latency:
			turns *= 2
		}
		total += turns*each + time.Second
	}
	return total
}

func (b *bench) start(ctx context.Context, name string) (*process, error) {
	if slices.Contains(b.foreign, name) {
		return b.startForeign(ctx, name)
	}
	role := "proxy " + name
	for _, addr := range b.backends {
		role += " " + addr
	}
	return startRole(b.proxyCPUs, role, b.profiles)
}

// scenario measures one kind of load. All proxies are alive the whole time, and the rounds are
// interleaved: in each, every proxy has one slice, in random order. So what else happens on the
// machine hits all of them, and each value has a partner of about the same moment.
func (b *bench) scenario(ctx context.Context, s scenario) (*results, error) {
	if s.way == onlyIdle {
		return b.idle(ctx, s)
	}
	out := newResults(s, b.proxies(s))
	alive := map[string]*process{}
	defer func() {
		for _, p := range alive {
			p.stop()
		}
	}()
	for _, name := range out.order {
		if p, err := b.start(ctx, name); err != nil {
			b.failed(out, name, err)
		} else {
			alive[name] = p
		}
	}
	err := b.take(ctx, out, phase{"throughput", b.rounds, func(t turn) error {
		return b.closedSlice(ctx, out, alive[t.proxy], t)
	}})
	if err != nil || !s.latency {
		return out, err
	}
	if out.rate = out.median(kindStandard, rate) / 2; out.rate == 0 {
		return out, nil // and its failures have been counted
	}
	return out, b.take(ctx, out, phase{"latency", b.rounds, func(t turn) error {
		return b.openSlice(ctx, out, alive[t.proxy], t)
	}})
}

// failed tells and counts that a proxy's turn came to nothing.
func (b *bench) failed(out *results, name string, err error) {
	fmt.Fprintf(b.progress, "%s: %s: %v\n", out.scenario.name, name, err)
	out.count(name, tally{failures: 1, first: err})
}

// phase is a part of a scenario: rounds in which every proxy has a turn.
type phase struct {
	name   string
	rounds int
	slice  func(turn) error
}

// turn is one proxy's part of one round.
type turn struct {
	proxy string
	round int
}

// take goes through a phase, in a new order in each round. A turn that fails leaves no value; it
// counts as a failure, and the others go on.
func (b *bench) take(ctx context.Context, out *results, p phase) error {
	order := slices.Clone(out.order)
	for round := range p.rounds {
		fmt.Fprintf(b.progress, "%s: %s, round %d of %d\n", out.scenario.name, p.name, round+1, p.rounds)
		b.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, name := range order {
			err := p.slice(turn{name, round})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				b.failed(out, name, err)
			}
		}
	}
	return nil
}

// during makes warm clients for the time of one slice. They lose their connections half a minute
// after the slice ought to be over.
func (b *bench) during(ctx context.Context, s scenario, addr string, slice func(clients []client) error) (tally, error) {
	ctx, cancel := context.WithTimeout(ctx, b.warm()+b.slice+30*time.Second)
	defer cancel()
	clients := s.dial(ctx, addr, s.clients)
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	warming := closedLoop(clients, b.warm())
	return warming, slice(clients)
}

// watch begins to watch what others take of the processors and returns what ends that: the share
// that they took of the proxies' processor or of the load's, whichever is greater.
func (b *bench) watch(p *process) func() float64 {
	began := time.Now()
	strangers := func() (atProxy, atLoad time.Duration) {
		proxy, _ := cpuTime(p.pids)
		load, _ := cpuTime(b.own)
		return coreTime(b.proxyCPUs) - proxy, coreTime(b.loadCPUs) - load
	}
	proxy, load := strangers()
	return func() float64 {
		proxyNow, loadNow := strangers()
		took := time.Since(began).Seconds()
		share := max((proxyNow-proxy).Seconds()/took, (loadNow-load).Seconds()/took/float64(max(1, len(b.loadCPUs))))
		return min(max(share, 0), 1) // ticks are coarse
	}
}

var errAbsent = errors.New("it did not start")

// closedSlice measures what requests cost when as many as there are clients are under way.
func (b *bench) closedSlice(ctx context.Context, out *results, p *process, t turn) error {
	if p == nil {
		return errAbsent
	}
	warming, err := b.during(ctx, out.scenario, p.addr(out.scenario), func(clients []client) error {
		from, err := p.read("figures")
		if err != nil {
			return err
		}
		dialled, err := b.backend.ask("figures")
		if err != nil {
			return err
		}
		share := b.watch(p)
		done := closedLoop(clients, b.slice)
		taken := share()
		now, err := b.backend.ask("figures")
		if err != nil {
			return err
		}
		to, err := p.read("figures")
		if err != nil {
			return err
		}
		out.count(t.proxy, done)
		if done.requests == 0 {
			return p.silent(done.first)
		}
		out.cost(t, from, to, done)
		if out.scenario.way != overSocket {
			out.set(t, reused, max(0, 1-float64(now.Conns-dialled.Conns)/float64(done.requests)))
		}
		if b.proxyCPUs != nil {
			out.disturbed(t, taken)
		}
		return nil
	})
	out.count(t.proxy, warming)
	return err
}

// openSlice measures latencies at the scenario's fixed rate.
func (b *bench) openSlice(ctx context.Context, out *results, p *process, t turn) error {
	if p == nil {
		return errAbsent
	}
	warming, err := b.during(ctx, out.scenario, p.addr(out.scenario), func(clients []client) error {
		share := b.watch(p)
		seen, done := openLoop(clients, out.rate, b.slice)
		if b.proxyCPUs != nil {
			out.disturbed(t, share())
		}
		out.count(t.proxy, done)
		if len(seen) == 0 {
			return p.silent(done.first)
		}
		for metric, p := range map[string]float64{p50: 50, p99: 99, p999: 99.9} {
			out.set(t, metric, float64(percentile(seen, p))/float64(time.Millisecond))
		}
		return nil
	})
	out.count(t.proxy, warming)
	return err
}

// idle measures the memory that an idle client connection takes of a proxy: each round in a
// fresh process, as memory that was used once would hide it.
func (b *bench) idle(ctx context.Context, s scenario) (*results, error) {
	s.clients = min(s.clients, fileLimit()/2-200)
	if s.clients <= 0 {
		return nil, fmt.Errorf("%s: too few files may be open; raise the limit (ulimit -n)", s.name)
	}
	out := newResults(s, b.proxies(s))
	return out, b.take(ctx, out, phase{fmt.Sprint(s.clients, " connections"), b.idleRounds(), func(t turn) error {
		p, err := b.start(ctx, t.proxy)
		if err != nil {
			return err
		}
		defer p.stop()
		return b.idleSlice(ctx, out, p, t)
	}})
}

func (b *bench) idleSlice(ctx context.Context, out *results, p *process, t turn) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	const atOnce = 64
	clients := out.scenario.dial(ctx, p.addrs[0], out.scenario.clients+atOnce)
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	out.count(t.proxy, closedLoop(clients[:atOnce], b.warm())) // makes what is made once
	from, err := p.read("settle")
	if err != nil {
		return err
	}
	for group := range slices.Chunk(clients[atOnce:], atOnce) {
		out.count(t.proxy, closedLoop(group, 0))
	}
	to, err := p.read("settle")
	if err != nil {
		return err
	}
	out.set(t, idle, float64(to.now-from.now)/1024/float64(out.scenario.clients))
	out.set(t, peak, float64(to.peak)/(1<<20))
	return nil
}
