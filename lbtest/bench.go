package lbtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
)

// usual is how fast the backends of a kit have answered so far.
const usual = 10 * time.Millisecond

// bench is where a policy is tried: on backends with loads, with a clock and a source of draws that
// are the same for each law.
type bench struct {
	Traits
	policy   lb.Policy
	requests []lb.PickInfo // that Info makes; nobody writes to them
	draws    *rand.PCG
	now      time.Time
	asked    int // infos so far
}

// different is how many different requests there are. No distribution is judged by more picks.
const different = 4096

// requests are what Info makes, or plain ones.
func (t Traits) requests() []lb.PickInfo {
	infos, info := make([]lb.PickInfo, different), t.Info
	if info == nil {
		info = plain
	}
	for i := range infos {
		infos[i] = info(i)
	}
	return infos
}

func newBench(policy lb.Policy, traits Traits, requests []lb.PickInfo) *bench {
	return &bench{Traits: traits, policy: policy, requests: requests, draws: rand.NewPCG(1, 2), now: time.Unix(1_700_000_000, 0)}
}

// below returns a number from 0 to n-1.
func (b *bench) below(n int) int { return int(b.draws.Uint64() % uint64(n)) }

// fleet is some backends as one snapshot has them.
type fleet struct {
	backends []*lb.Backend
	loads    []*live.Load
}

// fleet returns idle backends of the given weights that have answered before.
func (b *bench) fleet(weights ...int) fleet {
	var f fleet
	for i, w := range weights {
		f = b.join(f, i, w)
		f.loads[i].Set(b.now, 0, usual, 0)
	}
	return f
}

// join returns a fleet with one backend more, which nobody has met.
func (b *bench) join(f fleet, i, weight int) fleet {
	load := new(live.Load)
	be := b.made(i, weight, load)
	return fleet{append(slices.Clip(f.backends), be), append(slices.Clip(f.loads), load)}
}

func (b *bench) made(i, weight int, load *live.Load) *lb.Backend {
	id := fmt.Sprintf("backend-%03d", i)
	spec := lb.Spec{ID: id, URL: "http://" + id, Weight: weight}
	if b.Labels != nil {
		spec.Labels = b.Labels(i)
	}
	be, err := lb.NewBackend(spec, load)
	if err != nil {
		panic(err)
	}
	return be
}

// again returns the fleet as another snapshot has it: other pointers, with the same loads.
func (b *bench) again(f fleet) fleet {
	next := fleet{make([]*lb.Backend, len(f.backends)), f.loads}
	for i, be := range f.backends {
		next.backends[i] = b.made(i, be.Weight(), f.loads[i])
	}
	return next
}

// set returns what a balancer would give the policy while those in out are not eligible.
func (f fleet) set(previous lb.Picker, out ...int) lb.Set {
	s := lb.Set{Previous: previous}
	for i, be := range f.backends {
		if slices.Contains(out, i) {
			s.Others = append(s.Others, be)
			continue
		}
		s.Eligible = append(s.Eligible, lb.Candidate{Backend: be, Weight: float64(be.Weight())})
	}
	return s
}

// index returns which of the fleet's backends be is, or -1.
func (f fleet) index(be *lb.Backend) int { return slices.Index(f.backends, be) }

// build makes a picker. One that is nil refuses everything.
func (b *bench) build(s lb.Set) lb.Picker {
	if p := b.policy(s); p != nil {
		return p
	}
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return nil })
}

// info returns what a balancer would say of the next request. Time goes on.
func (b *bench) info() lb.PickInfo {
	b.asked++
	b.now = b.now.Add(100 * time.Microsecond)
	return b.about(b.asked)
}

// about returns what a balancer would say of the i-th request.
func (b *bench) about(i int) lb.PickInfo { return b.filled(i, b.draws.Uint64()) }

// filled is about for a draw of the caller's. It may be called concurrently.
func (b *bench) filled(i int, draw uint64) lb.PickInfo {
	info := b.requests[i%different]
	info.Now, info.Rand = b.now, draw
	return info
}

// plain is the i-th request of those that differ in address and path only.
func plain(i int) lb.PickInfo {
	return lb.PickInfo{
		ClientIP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
		Request:  &http.Request{Method: http.MethodGet, Host: "shop", URL: &url.URL{Path: fmt.Sprint("/", i)}, Header: make(http.Header)},
	}
}

// pick asks for a backend of f that is not out.
func (b *bench) pick(p lb.Picker, f fleet, out ...int) (int, error) {
	return b.picked(p.Pick(b.info()), f, out...)
}

// picked says which of f's backends be is, and what is wrong with that.
func (b *bench) picked(be *lb.Backend, f fleet, out ...int) (int, error) {
	if be == nil {
		return -1, b.refused()
	}
	i := f.index(be)
	if i < 0 {
		if slices.ContainsFunc(f.backends, func(other *lb.Backend) bool { return other.ID() == be.ID() }) {
			return -1, fmt.Errorf("picked %s as an earlier set had it, not as this one has", be.ID())
		}
		return -1, fmt.Errorf("picked %s, which is not in the set", be.ID())
	}
	if slices.Contains(out, i) {
		return i, fmt.Errorf("picked %s, which is not eligible now", be.ID())
	}
	return i, nil
}

func (b *bench) refused() error {
	if b.Refuses {
		return nil
	}
	return fmt.Errorf("picked nil, which refuses the request, although backends are left")
}

// counts picks n times and says how often each of f's backends was met.
func (b *bench) counts(p lb.Picker, n int, f fleet, out ...int) ([]float64, error) {
	got := make([]float64, len(f.backends))
	for range n {
		i, err := b.pick(p, f, out...)
		if err != nil {
			return got, err
		}
		if i >= 0 {
			got[i]++
		}
	}
	return got, nil
}

// serve lets a backend answer a request at once, and tells the picker if that learns.
func (b *bench) serve(p lb.Picker, f fleet, i int, o lb.Outcome) {
	if o == lb.Success {
		f.loads[i].Answered(b.now, usual)
	}
	tell(p, lb.Result{Request: b.requests[i].Request, Backend: f.backends[i], Status: http.StatusOK, Latency: usual, Outcome: o})
}

// tell gives a result to a picker that learns.
func tell(p lb.Picker, res lb.Result) {
	if learner, ok := p.(interface{ Attempted(lb.Result) }); ok {
		learner.Attempted(res)
	}
}
