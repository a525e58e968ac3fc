package lbtest_test

import (
	"container/heap"
	"hash/fnv"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// mix spreads a draw: draw k of a pick is mix(Rand+k).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func pathHash(info lb.PickInfo) uint64 {
	h := fnv.New64a()
	h.Write([]byte(info.Request.URL.Path))
	return mix(h.Sum64())
}

func picking(members []lb.Candidate, choose func(lb.PickInfo, []lb.Candidate) int) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend { return members[choose(info, members)].Backend })
}

// pure makes a policy of a function of the draw.
func pure(choose func(lb.PickInfo, []lb.Candidate) int) lb.Policy {
	return func(set lb.Set) lb.Picker { return picking(set.Eligible, choose) }
}

func lessLoaded(members []lb.Candidate, i, j int) int {
	if members[j].InFlight() < members[i].InFlight() {
		return j
	}
	return i
}

// bestList is Caddy's random_choose: a better one is appended to the list of the best, which is
// not cleared, and a random one of the list is picked.
func bestList(info lb.PickInfo, members []lb.Candidate) int {
	n := uint64(len(members))
	i := int(mix(info.Rand) % n)
	j := (i + 1 + int(mix(info.Rand+1)%max(n-1, 1))) % int(n)
	drawn := []int{min(i, j), max(i, j)}
	var best [2]int
	found := 0
	least := int64(-1)
	for _, k := range drawn {
		if load := members[k].InFlight(); least < 0 || load <= least {
			least, best[found] = load, k
			found++
		}
	}
	return best[mix(info.Rand+2)%uint64(found)]
}

// twoWithReplacement is httplb's, Skipper's and grpc-go's: both draws may be the same.
func twoWithReplacement(info lb.PickInfo, members []lb.Candidate) int {
	n := uint64(len(members))
	return lessLoaded(members, int(mix(info.Rand)%n), int(mix(info.Rand+1)%n))
}

// neighbours is Traefik's p2c: on a collision it takes the next, so neighbours meet more often.
func neighbours(info lb.PickInfo, members []lb.Candidate) int {
	n := uint64(len(members))
	i, j := int(mix(info.Rand)%n), int(mix(info.Rand+1)%n)
	if i == j {
		j = (i + 1) % int(n)
	}
	return lessLoaded(members, i, j)
}

func uniform(info lb.PickInfo, members []lb.Candidate) int {
	return int(mix(info.Rand) % uint64(len(members)))
}

// slots is Caddy's weighted_round_robin: slots count who is down, and are folded over who is up.
func slots(set lb.Set) lb.Picker {
	all := slices.Clone(set.Others)
	for _, c := range set.Eligible {
		all = append(all, c.Backend)
	}
	slices.SortFunc(all, func(a, b *lb.Backend) int { return strings.Compare(a.ID(), b.ID()) })
	total := uint64(0)
	for _, b := range all {
		total += uint64(b.Weight())
	}
	var turn atomic.Uint64
	members := set.Eligible
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		at := turn.Add(1) % total
		for i, b := range all {
			if w := uint64(b.Weight()); at >= w {
				at -= w
				continue
			}
			return members[i%len(members)].Backend
		}
		return nil
	})
}

// pile is httplb's heap of loads, which fixes the root only.
type pile struct {
	mu      sync.Mutex
	members []lb.Candidate
}

func (p *pile) Len() int           { return len(p.members) }
func (p *pile) Swap(i, j int)      { p.members[i], p.members[j] = p.members[j], p.members[i] }
func (p *pile) Push(any)           {}
func (p *pile) Pop() any           { return nil }
func (p *pile) Less(i, j int) bool { return p.load(i) < p.load(j) }
func (p *pile) load(i int) float64 { return float64(p.members[i].InFlight()) / p.members[i].Weight }
func (p *pile) Pick(lb.PickInfo) *lb.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	heap.Fix(p, 0) // the root's request has been counted since
	return p.members[0].Backend
}

func heaped(set lb.Set) lb.Picker {
	p, known := new(pile), make(map[string]bool)
	old, ok := set.Previous.(*pile)
	if ok {
		old.mu.Lock()
		defer old.mu.Unlock()
		for _, c := range old.members {
			known[c.ID()] = true
		}
	}
	var newcomers []lb.Candidate
	for _, c := range set.Eligible {
		if ok && !known[c.ID()] {
			newcomers = append(newcomers, c)
			continue
		}
		p.members = append(p.members, c)
	}
	heap.Init(p)
	p.members = append(p.members, newcomers...) // and are not sifted up
	return p
}

// tally counts requests by itself: Pick counts in, Attempted counts out those that it is told to.
type tally struct {
	mu      sync.Mutex
	members []lb.Candidate
	counts  map[string]int
	counted func(lb.Result) bool
}

func tallying(counted func(lb.Result) bool) lb.Policy {
	return func(set lb.Set) lb.Picker {
		t := &tally{members: set.Eligible, counts: make(map[string]int), counted: counted}
		if old, ok := set.Previous.(*tally); ok {
			old.mu.Lock()
			defer old.mu.Unlock()
			for _, c := range t.members {
				t.counts[c.ID()] = old.counts[c.ID()]
			}
		}
		return t
	}
}

func (t *tally) Pick(lb.PickInfo) *lb.Backend {
	t.mu.Lock()
	defer t.mu.Unlock()
	best := t.members[0]
	for _, c := range t.members {
		if t.counts[c.ID()] < t.counts[best.ID()] {
			best = c
		}
	}
	t.counts[best.ID()]++
	return best.Backend
}

func (t *tally) Attempted(r lb.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted(r) {
		t.counts[r.Backend.ID()]--
	}
}

func modulo(info lb.PickInfo, members []lb.Candidate) int {
	return int(pathHash(info) % uint64(len(members)))
}

// seeded hashes with a seed of each process, or rather each build.
func seeded(set lb.Set) lb.Picker {
	seed := maphash.MakeSeed()
	return picking(set.Eligible, func(info lb.PickInfo, members []lb.Candidate) int {
		return highest(maphash.String(seed, info.Request.URL.Path), members)
	})
}

// highest is rendezvous hashing of IDs.
func highest(key uint64, members []lb.Candidate) (best int) {
	high := uint64(0)
	for i, c := range members {
		h := fnv.New64a()
		h.Write([]byte(c.ID()))
		if score := mix(key ^ mix(h.Sum64())); score >= high {
			best, high = i, score
		}
	}
	return best
}

// reluctant is a table that is rebuilt over the eligible in the order in which it happens to find
// them, with one point for each: who leaves gives all to one neighbour, whose own go on.
func reluctant(info lb.PickInfo, members []lb.Candidate) int {
	return highest(pathHash(info)^uint64(len(members)), members)
}

// capturing keeps the whole set, and with it its predecessor.
func capturing(set lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend { return set.Eligible[uniform(info, set.Eligible)].Backend })
}

// faithful keeps the members that it began with.
type faithful struct{ lb.Picker }

func firstOnly(set lb.Set) lb.Picker {
	if old, ok := set.Previous.(faithful); ok {
		return old
	}
	return faithful{picking(set.Eligible, uniform)}
}

// byID is faithful to pointers, though not to who is gone.
type byID struct {
	lb.Picker
	known map[string]*lb.Backend
}

func remembering(set lb.Set) lb.Picker {
	known := make(map[string]*lb.Backend)
	if old, ok := set.Previous.(byID); ok {
		known = old.known
	}
	members := make([]*lb.Backend, len(set.Eligible))
	for i, c := range set.Eligible {
		if known[c.ID()] == nil {
			known[c.ID()] = c.Backend
		}
		members[i] = known[c.ID()]
	}
	return byID{lb.PickFunc(func(info lb.PickInfo) *lb.Backend { return members[info.Rand%uint64(len(members))] }), known}
}

// turns begins anew with each set.
func turns(set lb.Set) lb.Picker {
	var turn atomic.Int64
	turn.Store(-1)
	return picking(set.Eligible, func(_ lb.PickInfo, m []lb.Candidate) int { return int(turn.Add(1)) % len(m) })
}

// configured divides by the configured weight, also while a backend is warming up.
func configured(info lb.PickInfo, members []lb.Candidate) int {
	total := 0
	for _, c := range members {
		total += c.Backend.Weight()
	}
	at := int(mix(info.Rand) % uint64(total))
	for i, c := range members {
		if at -= c.Backend.Weight(); at < 0 {
			return i
		}
	}
	return 0
}

func trusting(set lb.Set) lb.Picker {
	if set.Previous != nil {
		_ = set.Previous.(faithful)
	}
	return faithful{picking(set.Eligible, uniform)}
}

func meddling(set lb.Set) lb.Picker {
	slices.Reverse(set.Others)
	return picking(set.Eligible, uniform)
}

func forgetful(set lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		if info.Rand%10 == 0 {
			return nil
		}
		return set.Eligible[0].Backend
	})
}

var (
	hashed = lbtest.Traits{Shares: lbtest.Equal, Keyed: true}
	two    = lbtest.Traits{Shares: lbtest.Fair, Loads: lbtest.Lighter}
)

// Each defect, most of them shipped by somebody, gets the complaint that names it.
func TestPolicyMutants(t *testing.T) {
	start := time.Now()
	for name, c := range map[string]struct {
		policy    lb.Policy
		traits    lbtest.Traits
		complaint string
	}{
		"none":                          {nil, lbtest.Traits{}, "the policy is nil"},
		"Caddy's list of the best":      {pure(bestList), two, "the busier of two gives way: with [9 1] in flight"},
		"draws with replacement":        {pure(twoWithReplacement), two, "the busier of two gives way: with [1 9] in flight"},
		"Traefik's neighbours":          {pure(neighbours), two, "order does not matter: with [1 3 9 27] in flight, what each gets depends on where it stands"},
		"looks at nothing":              {pure(uniform), two, "order does not matter"},
		"Caddy's slots":                 {slots, lbtest.Traits{Shares: lbtest.Proportional}, "shares are kept with one down: weights"},
		"a heap that only sifts down":   {heaped, lbtest.Traits{Loads: lbtest.Lightest}, "an idle newcomer is served: one that has nothing to do got 0 of 400 picks"},
		"a heap, looked at closely":     {heaped, lbtest.Traits{Loads: lbtest.Lightest}, "nobody has less to do: pick"},
		"failures are never counted":    {tallying(func(r lb.Result) bool { return r.Outcome != lb.Neutral }), lbtest.Traits{Loads: lbtest.Lighter}, "who has become idle is served: number 1, whose requests have all ended (neutral)"},
		"counts what was only picked":   {tallying(func(lb.Result) bool { return true }), lbtest.Traits{Loads: lbtest.Lighter}, "a pick that comes to nothing leaves no trace"},
		"modulo":                        {pure(modulo), hashed, "a backend that is down moves its own keys only: with number 0 of 5 down"},
		"modulo, joining":               {pure(modulo), hashed, "who joins or leaves moves few keys: number 0 of 5"},
		"a table for each size":         {pure(reluctant), hashed, "a backend that is down moves its own keys only"},
		"a seed of its own":             {seeded, hashed, "a key has one backend: key"},
		"the draw decides":              {pure(uniform), hashed, "a key has one backend: key"},
		"the whole set is kept":         {capturing, lbtest.Traits{}, "no picker keeps its predecessors"},
		"who has left is picked":        {firstOnly, lbtest.Traits{}, "picks are from the present set: picked backend-"},
		"old pointers are picked":       {remembering, lbtest.Traits{}, "as an earlier set had it"},
		"it begins anew":                {turns, lbtest.Traits{Shares: lbtest.Equal}, "shares are kept under churn"},
		"it begins anew, exactly":       {turns, lbtest.Traits{Shares: lbtest.Equal, Within: 1}, "shares are exact"},
		"by chance, not exact":          {pure(uniform), lbtest.Traits{Within: 2}, "shares are exact: weights ["},
		"weights are ignored":           {pure(uniform), lbtest.Traits{Shares: lbtest.Proportional}, "shares are as promised: weights [3 2 1]"},
		"configured weights":            {pure(configured), lbtest.Traits{Shares: lbtest.Proportional}, "a share follows the effective weight: the first of four at 0.1"},
		"one is never picked":           {pure(func(i lb.PickInfo, m []lb.Candidate) int { return uniform(i, m[min(1, len(m)-1):]) }), lbtest.Traits{Shares: lbtest.Equal}, "shares are as promised: weights [1 1]"},
		"tried again":                   {pure(uniform), lbtest.Traits{AvoidsTried: true}, "who was tried gives way: of 2"},
		"it allocates":                  {pure(func(_ lb.PickInfo, m []lb.Candidate) int { return len(strings.Repeat("x", len(m))) - 1 }), lbtest.Traits{}, "picks do not allocate: 1 allocations"},
		"a generator of its own":        {pure(func(_ lb.PickInfo, m []lb.Candidate) int { return rand.IntN(len(m)) }), lbtest.Traits{}, "a pick is a function"},
		"a clock of its own":            {pure(func(_ lb.PickInfo, m []lb.Candidate) int { return int(time.Since(start)/100) % len(m) }), lbtest.Traits{}, "a pick is a function"},
		"predecessors of its own kind":  {trusting, lbtest.Traits{}, "predecessors of any kind are accepted: panics"},
		"others are reordered":          {meddling, lbtest.Traits{}, "the slice Others was changed"},
		"a header is taken for granted": {pure(func(i lb.PickInfo, m []lb.Candidate) int { return len(i.Request.Header["X"][0]) }), lbtest.Traits{}, "a request may say nothing: panics"},
		"it refuses at times":           {forgetful, lbtest.Traits{}, "picks are from the set: of 1: picked nil"},
		"nil":                           {func(lb.Set) lb.Picker { return nil }, lbtest.Traits{}, "picked nil"},
	} {
		t.Run(name, func(t *testing.T) { complains(t, lbtest.TestPolicy(c.policy, c.traits), c.complaint) })
	}
}

// complains expects an error that says so.
func complains(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no complaint, want %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("no complaint of %q, but\n%v", want, err)
	}
}

// What the traits exempt is not complained of.
func TestTraitsExempt(t *testing.T) {
	for name, c := range map[string]struct {
		policy lb.Policy
		traits lbtest.Traits
	}{
		"refuses":   {func(lb.Set) lb.Picker { return nil }, lbtest.Traits{Refuses: true}},
		"allocates": {pure(func(_ lb.PickInfo, m []lb.Candidate) int { return len(strings.Repeat("x", len(m))) - 1 }), lbtest.Traits{Allocates: true}},
	} {
		if err := lbtest.TestPolicy(c.policy, c.traits); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
