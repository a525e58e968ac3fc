package picker

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// table returns the table of a policy over backends that are all eligible.
func table(size int, bs []*lb.Backend) *slots {
	return lb.Must(Maglev(MaglevConfig{Size: size, Key: drawn}))(lbtest.Set(bs...)).(*maglev).table
}

func tableSizes() []int {
	if full() {
		return []int{65537, 655373}
	}
	return []int{65537}
}

// countsOf returns how many slots each backend has.
func countsOf(s *slots) []int {
	counts := make([]int, len(s.ids))
	for _, i := range s.owners {
		counts[i]++
	}
	return counts
}

// dealt returns an error unless each backend has its share, rounded up or down.
func dealt(counts []int, weights []float64, size int) error {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	for i, n := range counts {
		share := float64(size) * weights[i] / total
		if float64(n) < math.Floor(share) || float64(n) > math.Ceil(share) {
			return fmt.Errorf("backend %d of %d has %d slots of %d, its share is %.3f", i, len(counts), n, size, share)
		}
	}
	return nil
}

func TestSlotsAreDealtOut(t *testing.T) {
	for _, size := range append([]int{2, 3, 257}, tableSizes()...) {
		for _, ws := range [][]int{{1}, {1, 1}, {1, 1_000_000}, ones(100), mixed(100), ones(1000), mixed(1000), append(ones(100), 1000)} {
			for _, seed := range seedsOfTier() {
				s := table(size, fleet(seed, ws...))
				if err := dealt(countsOf(s), s.weights, size); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		}
	}
	if counts := countsOf(table(257, fleet(1, 1, 1_000_000))); counts[0] != 1 {
		t.Errorf("the light one has %d slots, want the one that is left over", counts[0])
	}
	if dealt([]int{3, 1}, []float64{1, 1}, 4) == nil || dealt([]int{0, 4}, []float64{1, 2}, 4) == nil {
		t.Error("an uneven deal passes")
	}
}

// changed returns which share of a table's slots has another owner in the next, and which share of
// them was not of those gone.
func changed(before, after *slots, gone map[string]bool) (all, extra float64) {
	for slot, i := range before.owners {
		was, is := before.ids[i], after.ids[after.owners[slot]]
		if was == is {
			continue
		}
		all++
		if !gone[was] {
			extra++
		}
	}
	n := float64(len(before.owners))
	return all / n, extra / n
}

// The paper has a plot of it, Fig. 12, and no figures.
func TestANewTableMovesFewKeys(t *testing.T) {
	for _, c := range []struct {
		size, n, k int
		most       float64
	}{
		{65537, 100, 1, 0.018},
		{65537, 1000, 1, 0.008},
		{65537, 1000, 10, 0.038},
		{65537, 1000, 50, 0.09},
		{655373, 1000, 1, 0.005},
		{655373, 1000, 10, 0.018},
		{655373, 1000, 50, 0.062},
	} {
		if !slices.Contains(tableSizes(), c.size) {
			continue
		}
		for _, seed := range seedsOfTier() {
			bs, gone := fleet(seed, ones(c.n)...), make(map[string]bool)
			for b := range chosen(bs, c.k, seed) {
				gone[b.ID()] = true
			}
			left := slices.DeleteFunc(slices.Clone(bs), func(b *lb.Backend) bool { return gone[b.ID()] })
			all, extra := changed(table(c.size, bs), table(c.size, left), gone)
			t.Logf("%d slots, %d of %d gone: %.2f %% changed, %.2f %% of survivors", c.size, c.k, c.n, 100*all, 100*extra)
			if all > c.most {
				t.Errorf("seed %d: with %d of %d gone %.4f of %d slots changed", seed, c.k, c.n, all, c.size)
			}
		}
	}
}

// A table is made anew when somebody joins or leaves or has another weight, and only then.
func TestTablesAreShared(t *testing.T) {
	bs := fleet(1, 1, 2, 3, 4)
	maglevs, rings := lb.Must(Maglev(MaglevConfig{Size: 1009})), lb.Must(Ring(RingConfig{}))
	tableOf := func(p lb.Picker) any {
		if m, ok := p.(*maglev); ok {
			return m.table
		}
		return p.(*ring).circle
	}
	for name, policy := range map[string]lb.Policy{"Maglev": maglevs, "Ring": rings} {
		first := policy(parted(bs, nil, nil))
		down := policy(parted(bs, map[*lb.Backend]bool{bs[1]: true, bs[2]: true}, first))
		up := policy(parted(bs, nil, down))
		if tableOf(down) != tableOf(first) || tableOf(up) != tableOf(first) {
			t.Errorf("%s: a new table, though nobody has left", name)
		}
		warm := parted(bs, nil, up)
		warm.Eligible[3].Weight = 0.5
		warming := policy(warm)
		if tableOf(warming) == tableOf(first) || tableOf(policy(parted(bs[:3], nil, up))) == tableOf(first) {
			t.Errorf("%s: the old table, though something changed", name)
		}
		// It goes down before it is warm, and keeps the little that it had.
		if tableOf(policy(parted(bs, map[*lb.Backend]bool{bs[3]: true}, warming))) != tableOf(warming) {
			t.Errorf("%s: keys of others moved when one went down that was warming up", name)
		}
		if tableOf(policy(parted(bs, map[*lb.Backend]bool{bs[3]: true}, nil))) == tableOf(warming) {
			t.Errorf("%s: a new process knows what it cannot", name)
		}
	}
	otherSize, otherPoints := lb.Must(Maglev(MaglevConfig{Size: 257})), lb.Must(Ring(RingConfig{Points: 3}))
	if n := len(otherSize(parted(bs, nil, maglevs(parted(bs, nil, nil)))).(*maglev).table.owners); n != 257 {
		t.Errorf("%d slots, want 257", n)
	}
	if n := len(otherPoints(parted(bs, nil, rings(parted(bs, nil, nil)))).(*ring).circle.points); n != 30 {
		t.Errorf("%d points, want 30", n)
	}
}

// However few are left, they share what the others had by weight.
func TestKeysOfThoseDownAreSharedByWeight(t *testing.T) {
	for name, policy := range consistent() {
		if name == "Ring" || name == "MaglevTiny" {
			continue // their shares are not exact enough for the test
		}
		for _, up := range []int{3, 150} {
			bs, down, shares := fleet(1, mixed(300)...), make(map[*lb.Backend]bool), make(map[string]float64)
			for i, b := range bs {
				if down[b] = i%(len(bs)/up) != 0; !down[b] {
					shares[b.ID()] = float64(b.Weight())
				}
			}
			got := picks(policy(parted(bs, down, nil)), 20_000, seeded(5))
			t.Run(fmt.Sprint(name, up), func(t *testing.T) { fits(t, got, shares) })
		}
	}
}

func TestRequestsWithoutAKeyGoByWeight(t *testing.T) {
	none := func(lb.PickInfo) (uint64, bool) { return 5, false }
	shares := map[string]float64{id(0): 3, id(1): 2, id(2): 1}
	for name, policy := range map[string]lb.Policy{
		"Maglev":     beside(lb.Must(Maglev(MaglevConfig{Key: none, Size: 13}))),
		"Ring":       beside(lb.Must(Ring(RingConfig{Key: none, Points: 1}))),
		"Rendezvous": Rendezvous(RendezvousConfig{Key: none}),
		"Bounded":    lb.Must(BoundedLoad(2, Rendezvous(RendezvousConfig{Key: none}))),
	} {
		got := picks(policy(lbtest.Set(named(3, 2, 1)...)), 20_000, seeded(1))
		t.Run(name, func(t *testing.T) { fits(t, got, shares) })
	}
}

// Whoever was tried leaves its keys to the key's next backend, and all tried means none.
func TestTheNextOfAKeyIsTheSameHoweverTheFirstIsGone(t *testing.T) {
	for name, policy := range consistent() {
		bs := fleet(1, mixed(20)...)
		p, d := policy(lbtest.Set(bs...)), draws(3)
		for range 300 {
			info := lb.PickInfo{Rand: d.next()}
			for tried := []*lb.Backend{}; len(tried) < len(bs); {
				down := make(map[*lb.Backend]bool)
				for _, b := range tried {
					down[b] = true
				}
				retry := p.Pick(info.WithTried(tried...))
				if len(tried) < 3 && policy(parted(bs, down, p)).Pick(info) != retry {
					t.Fatalf("%s: a retry goes elsewhere than a request would with %d down", name, len(tried))
				}
				if retry == nil || down[retry] {
					t.Fatalf("%s: picked %v with %d tried", name, retry, len(tried))
				}
				tried = append(tried, retry)
			}
			if b := p.Pick(info.WithTried(bs...)); b != nil {
				t.Fatalf("%s: picked %s again", name, b.ID())
			}
		}
	}
}

func TestMaglevNamesTheNearestPrimes(t *testing.T) {
	for size, want := range map[int]string{
		65536: "65521 and 65537", -1: "are 2", 1: "are 2", 4: "3 and 5", 655372: "655357 and 655373", 1<<24 + 43: "more than 16777216",
	} {
		policy, err := Maglev(MaglevConfig{Size: size})
		if policy != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprint(size)) {
			t.Errorf("size %d: %v, want %q", size, err, want)
		}
	}
	for _, size := range []int{0, 2, 3, 65537, 655373, 16777213} {
		if _, err := Maglev(MaglevConfig{Size: size}); err != nil {
			t.Error(err)
		}
	}
}

// Other processes, and other versions of this one, must agree: these values must never change.
func TestTablesAreTheSameForEver(t *testing.T) {
	for name, c := range map[string]struct {
		policy lb.Policy
		want   string
	}{
		"Maglev":  {lb.Must(Maglev(MaglevConfig{Key: HeaderKey("X-Tenant", Secret{})})), "acaaedaaacaabaeeacacadcc"},
		"Ring":    {lb.Must(Ring(RingConfig{Key: HeaderKey("X-Tenant", Secret{})})), "cdaeabcebbecbeaeaabccbab"},
		"secret":  {Rendezvous(RendezvousConfig{Key: HeaderKey("X-Tenant", sequence())}), "dcdabcacbaaadbacabcaeacc"},
		"bounded": {lb.Must(BoundedLoad(1.25, lb.Must(Maglev(MaglevConfig{Key: HeaderKey("X-Tenant", Secret{})})))), "acaaedaaacaabaeeacacadcc"},
	} {
		got := ""
		for _, home := range homes(c.policy(lbtest.Set(named(3, 1, 2, 1, 1)...)), 24) {
			got += home[:1]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
