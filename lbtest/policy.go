package lbtest

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"weak"

	"github.com/go-loadbalancer/lb"
)

// TestPolicy tries a policy as a balancer would use it, with sets of many sizes, in many orders,
// over changes of the set, and by many goroutines, and returns an error that lists every law that
// it breaks, or nil. Laws for all policies:
//
//   - Every pick is one of the set's eligible backends, as the set has it; also just after another
//     set. It is nil only if all were tried, unless the traits say otherwise.
//   - A pick is a function of the set, the loads, the picks before and the [lb.PickInfo]: the same
//     policy, asked the same, picks the same.
//   - A predecessor of any other kind, a request without any header, and backends that were all
//     tried are no reason to panic. The slice Others is left as it was.
//   - A pick does not allocate, unless the traits say otherwise.
//   - Picks, Attempted and the building of a successor go on at the same time. Run the test with
//     -race, which finds what is not safe.
//   - No picker keeps its predecessors, nor their backends, alive.
//
// Traits have more. It takes some tens of milliseconds for a policy that picks in less than a
// microsecond. Policies that choose by a property of backends or requests need Labels and Info.
//
// The clock that comes with picks is the kit's own, and the policy's draws should be
// [lb.PickInfo].Rand, so a policy that passes once passes always.
func TestPolicy(policy lb.Policy, traits Traits) error {
	if policy == nil {
		return fmt.Errorf("lbtest: the policy is nil")
	}
	laws := []law[*bench]{
		{"picks are from the set", (*bench).membership},
		{"picks are from the present set", (*bench).churn},
		{"a pick is a function", (*bench).function},
		{"predecessors of any kind are accepted", (*bench).predecessors},
		{"a request may say nothing", (*bench).poverty},
		{"backends may all have been tried", (*bench).exhaustion},
		{"picks do not allocate", (*bench).thrift},
		{"picks are concurrent", (*bench).concurrency},
		{"no picker keeps its predecessors", (*bench).oblivion},
	}
	laws = append(laws, traits.laws()...)
	requests := traits.requests()
	return judge(func() *bench { return newBench(policy, traits, requests) }, laws)
}

// laws are the promises that are made.
func (t Traits) laws() (laws []law[*bench]) {
	add := func(promised bool, more ...law[*bench]) {
		if promised {
			laws = append(laws, more...)
		}
	}
	add(t.AvoidsTried, law[*bench]{"who was tried gives way", (*bench).politeness})
	add(t.Shares != AnyShares,
		law[*bench]{"shares are as promised", (*bench).shares},
		law[*bench]{"shares are kept with one down", (*bench).oneDown},
		law[*bench]{"shares are kept under churn", (*bench).sharesUnderChurn},
		law[*bench]{"a share follows the effective weight", (*bench).slowStart})
	add(t.Shares != AnyShares || t.Loads != Blind,
		law[*bench]{"a pick that comes to nothing leaves no trace", (*bench).noTrace})
	add(t.Within > 0, law[*bench]{"shares are exact", (*bench).exactness})
	add(t.Loads != Blind,
		law[*bench]{"the busier of two gives way", (*bench).ofTwo},
		law[*bench]{"order does not matter", (*bench).anyOrder},
		law[*bench]{"an idle newcomer is served", (*bench).newcomer},
		law[*bench]{"who has become idle is served", (*bench).drained})
	add(t.Loads == Lightest, law[*bench]{"nobody has less to do", (*bench).lightest})
	add(t.Keyed,
		law[*bench]{"a key has one backend", (*bench).stickiness},
		law[*bench]{"a backend that is down moves its own keys only", (*bench).markedDown},
		law[*bench]{"who joins or leaves moves few keys", (*bench).membershipMoves})
	return laws
}

// weightsOf returns n weights that differ.
func weightsOf(n int) []int {
	ws := make([]int, n)
	for i := range ws {
		ws[i] = 1 + i%4
	}
	return ws
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

func (b *bench) membership() error {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 16, 40} {
		for _, f := range []fleet{b.fleet(ones(n)...), b.fleet(weightsOf(n)...)} {
			set := f.set(nil)
			p := b.build(set)
			for range 60 {
				if _, err := b.pick(p, f); err != nil {
					return fmt.Errorf("of %d: %w", n, err)
				}
			}
		}
	}
	return nil
}

// some returns which of n backends are out this time: not all of them.
func (b *bench) some(n int) (out []int) {
	for i := range n {
		if b.below(3) == 0 && len(out) < n-1 {
			out = append(out, i)
		}
	}
	return out
}

func (b *bench) churn() error {
	const n = 6
	var p lb.Picker
	f := b.fleet(weightsOf(n)...)
	for range 100 {
		f = b.again(f)
		out := b.some(n)
		set := f.set(p, out...)
		others := slices.Clone(set.Others)
		p = b.build(set)
		for range 1 + b.below(12) {
			i, err := b.pick(p, f, out...)
			if err != nil {
				return err
			}
			if i >= 0 {
				b.serve(p, f, i, lb.Success)
			}
		}
		if !slices.Equal(others, set.Others) {
			return fmt.Errorf("the slice Others was changed, which is not the policy's")
		}
	}
	return nil
}

func (b *bench) function() error {
	other := newBench(b.policy, b.Traits, b.requests)
	f, g := b.fleet(3, 2, 1, 5), other.fleet(3, 2, 1, 5)
	var p, q lb.Picker
	for k := range 400 {
		if k%50 == 0 {
			out := []int{k / 50 % 4}
			p, q = b.build(f.set(p, out...)), other.build(g.set(q, out...))
		}
		i, j := f.index(p.Pick(b.info())), g.index(q.Pick(other.info()))
		if i != j {
			return fmt.Errorf("pick %d was backend %d, then %d for the same: clock and draw come with PickInfo, and there is no other source", k, i, j)
		}
	}
	return nil
}

// foreign is a picker of a kind that no policy knows.
type foreign struct{ lb.Picker }

func (b *bench) predecessors() error {
	f := b.fleet(1, 2, 3)
	own := b.build(f.set(nil))
	for _, previous := range []lb.Picker{
		lb.PickFunc(func(lb.PickInfo) *lb.Backend { return nil }), &foreign{}, foreign{own}, own, b.build(b.fleet(ones(9)...).set(nil)),
	} {
		p := b.build(f.set(previous))
		for range 20 {
			if _, err := b.pick(p, f); err != nil {
				return fmt.Errorf("after a %T: %w", previous, err)
			}
		}
	}
	return nil
}

func (b *bench) poverty() error {
	f := b.fleet(1, 2, 3)
	p := b.build(f.set(nil))
	for i := range uint64(20) {
		poor := lb.PickInfo{Request: &http.Request{URL: new(url.URL)}, Now: b.now, Rand: i}
		if _, err := b.picked(p.Pick(poor), f); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) exhaustion() error {
	f := b.fleet(1, 2, 3)
	p := b.build(f.set(nil))
	for range 50 {
		info := b.info()
		for n := range f.backends {
			i, err := b.picked(p.Pick(info), f)
			if err != nil {
				return fmt.Errorf("after %d were tried: %w", n, err)
			}
			if i < 0 {
				i = n
			}
			info = info.WithTried(f.backends[i])
		}
		if be := p.Pick(info.WithTried(f.backends...)); be != nil && f.index(be) < 0 {
			return fmt.Errorf("picked %s, which is not in the set", be.ID())
		}
	}
	return nil
}

func (b *bench) politeness() error {
	for _, n := range []int{2, 3, 5} {
		f := b.fleet(ones(n)...)
		p, again := b.build(f.set(nil)), 0.0
		for k := range 600 {
			tried := k % n
			i, err := b.picked(p.Pick(b.info().WithTried(f.backends[tried])), f)
			if err != nil {
				return err
			}
			if i == tried {
				again++
			}
		}
		if again > chance(600, b.Explores) {
			return fmt.Errorf("of %d: %v of 600 picks were the one that was tried before", n, again)
		}
	}
	return nil
}

func (b *bench) thrift() error {
	if b.Allocates {
		return nil
	}
	f := b.fleet(weightsOf(5)...)
	p, info := b.build(f.set(nil)), b.info()
	for what, info := range map[string]lb.PickInfo{"first": info, "second": info.WithTried(f.backends[0])} {
		if n := allocations(func() { info.Rand++; p.Pick(info) }); n > 0 {
			return fmt.Errorf("%v allocations in the pick for a %s attempt", n, what)
		}
	}
	return nil
}

func (b *bench) concurrency() error {
	f := b.fleet(1, 2, 3, 1)
	p := b.build(f.set(nil))
	return together(5, func(g int) error {
		if g == 0 { // like a balancer, one at a time
			next := p
			for k := range 30 {
				next = b.build(f.set(next, k%4))
				next.Pick(b.filled(k, uint64(k)))
			}
			return nil
		}
		for k := range 200 {
			be := p.Pick(b.filled(k, uint64(k*g)*0x9e3779b97f4a7c15))
			i, err := b.picked(be, f)
			if err != nil {
				return err
			}
			if i >= 0 {
				f.loads[i].Enter(0)
				b.serve(p, f, i, lb.Outcome(k%3))
				f.loads[i].Leave()
			}
		}
		return nil
	})
}

func (b *bench) oblivion() error {
	const generations = 1000
	f := b.fleet(1, 2, 3)
	p, first := b.generation(f, nil)
	for range generations {
		p, _ = b.generation(f, p)
	}
	for range 3 {
		runtime.GC()
	}
	defer runtime.KeepAlive(p)
	for _, w := range first {
		if w.Value() != nil {
			return fmt.Errorf("after %d more sets the first one's backends are kept alive: copy what is needed of Set.Previous, and capture neither it nor the Set", generations)
		}
	}
	return nil
}

// generation builds the successor of p over backends that nobody else has, and watches them.
func (b *bench) generation(f fleet, p lb.Picker) (lb.Picker, []weak.Pointer[lb.Backend]) {
	f = b.again(f)
	watched := make([]weak.Pointer[lb.Backend], len(f.backends))
	for i, be := range f.backends {
		watched[i] = weak.Make(be)
	}
	p = b.build(f.set(p))
	for range 3 {
		if i := f.index(p.Pick(b.info())); i >= 0 {
			b.serve(p, f, i, lb.Success)
		}
	}
	return p, watched
}
