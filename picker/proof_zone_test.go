package picker

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// zoned returns n backends of each zone, sorted by ID.
func zoned(counts ...int) (bs []*lb.Backend) {
	for z, n := range counts {
		for i := range n {
			zone := string(rune('a' + z))
			bs = append(bs, lbtest.Backend(lb.Spec{ID: fmt.Sprintf("%s%04d", zone, i), Labels: map[string]string{"zone": zone}}))
		}
	}
	return bs
}

// zoner makes the policy of a balancer.
type zoner func(ZoneAwareConfig) lb.Policy

func zoneAware(cfg ZoneAwareConfig) lb.Policy { return lb.Must(ZoneAware(cfg)) }

// byZone returns how many of n picks were in each zone, as shares.
func byZone(p lb.Picker, n int, s source) map[string]float64 {
	got := make(map[string]float64)
	for range n {
		got[p.Pick(lb.PickInfo{Rand: s.Uint64()}).Label("zone")] += 1 / float64(n)
	}
	return got
}

// unmix is the inverse of mix, and firstDraw the PickInfo.Rand whose first draw.unit is x.
func unmix(x uint64) uint64 {
	x = unshift(x, 31) * inverseOf(0x94d049bb133111eb)
	x = unshift(x, 27) * inverseOf(0xbf58476d1ce4e5b9)
	return unshift(x, 30)
}

func unshift(x uint64, by int) uint64 {
	y := x
	for range 64 / by {
		y = x ^ y>>by
	}
	return y
}

func inverseOf(odd uint64) uint64 { // Newton's iteration doubles the bits that are right
	x := odd
	for range 5 {
		x *= 2 - odd*x
	}
	return x
}

func firstDraw(x float64) uint64 {
	const step uint64 = 0x9e3779b97f4a7c15
	return unmix(uint64(x*(1<<53))<<11) - step
}

func TestFirstDraw(t *testing.T) {
	for _, x := range []float64{0, 0.5, 0.625, 1 - 1.0/(1<<53)} {
		d := draws(firstDraw(x))
		if got := d.unit(); got != x {
			t.Errorf("%v, want %v", got, x)
		}
	}
}

// checkGolden: Envoy's own example, by drawing and on the borders between zones.
func checkGolden(z zoner) error {
	cfg := ZoneAwareConfig{Local: "a", Fleet: map[string]float64{"a": 40, "b": 40, "c": 20}, Inner: Random}
	p := z(cfg)(lbtest.Set(zoned(25, 50, 25)...))
	var errs []error
	got := byZone(p, 200_000, seeded(1))
	for zone, want := range map[string]float64{"a": 0.625, "b": 0.25, "c": 0.125} {
		if math.Abs(got[zone]-want) > 0.005 {
			errs = append(errs, fmt.Errorf("zone %s gets %.4f, want %.4f", zone, got[zone], want))
		}
	}
	for _, c := range []struct {
		x    float64
		want string
	}{{0, "a"}, {0.625 - 1.0/(1<<53), "a"}, {0.625, "b"}, {0.875 - 1.0/(1<<53), "b"}, {0.875, "c"}, {1 - 1.0/(1<<53), "c"}} {
		if got := p.Pick(lb.PickInfo{Rand: firstDraw(c.x)}).Label("zone"); got != c.want {
			errs = append(errs, fmt.Errorf("draw %v goes to zone %s, want %s", c.x, got, c.want))
		}
	}
	return errors.Join(errs...)
}

// checkEmptyHome: without a backend in its zone a balancer sends nothing to where there is no
// room, whatever it draws.
func checkEmptyHome(z zoner) error {
	cfg := ZoneAwareConfig{Local: "a", Fleet: map[string]float64{"a": 1, "b": 2, "c": 1}, Inner: Random}
	p := z(cfg)(lbtest.Set(zoned(0, 2, 8)...))
	for _, x := range []float64{0, 1.0 / (1 << 53), 0.3, 1 - 1.0/(1<<53)} {
		if got := p.Pick(lb.PickInfo{Rand: firstDraw(x)}).Label("zone"); got != "c" {
			return fmt.Errorf("draw %v goes to zone %s", x, got)
		}
	}
	return nil
}

// strict is a planted defect: a draw on the border belongs to the zone before it.
type strict struct{ *zones }

func (z strict) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	x := d.unit() * z.chances[len(z.chances)-1]
	at := sort.Search(len(z.chances)-1, func(i int) bool { return x <= z.chances[i] })
	info.Rand = d.next()
	if b := z.order[at].pick(info); b != nil {
		return b
	}
	return z.all.members[0] // in zone b
}

func strictly(cfg ZoneAwareConfig) lb.Policy {
	return func(set lb.Set) lb.Picker { return strict{lb.Must(ZoneAware(cfg))(set).(*zones)} }
}

// misplaced is a planted defect: the residual of a zone is given to the one after it.
func misplaced(cfg ZoneAwareConfig) lb.Policy {
	return func(set lb.Set) lb.Picker {
		z := lb.Must(ZoneAware(cfg))(set).(*zones)
		z.order = append(z.order[:1:1], append(z.order[2:], z.order[1])...)
		return z
	}
}

// unasked is a planted defect: nobody asks how many balancers there are elsewhere.
func unasked(cfg ZoneAwareConfig) lb.Policy {
	cfg.Fleet = nil
	return zoneAware(cfg)
}

func TestProofZonesFollowTheGoldenVector(t *testing.T) {
	if err := errors.Join(checkGolden(zoneAware), checkEmptyHome(zoneAware)); err != nil {
		t.Error(err)
	}
	for name, mutant := range map[string]zoner{"strictly": strictly, "misplaced": misplaced, "unasked": unasked} {
		if checkGolden(mutant) == nil {
			t.Errorf("the check passes for %s", name)
		}
	}
	if checkEmptyHome(strictly) == nil {
		t.Error("a zone without backends is not noticed")
	}
}

// checkBalance: when all balancers do so, each zone gets exactly its share of the capacity, and no
// more crosses than has to.
func checkBalance(crossing func(local int, fleet, capacity []float64) []float64, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 3))
	for range 2000 {
		n := 1 + rng.IntN(8)
		fleet, capacity := make([]float64, n), make([]float64, n)
		for i := range n {
			fleet[i], capacity[i] = float64(rng.IntN(20)), float64(rng.IntN(20))
		}
		fleet[rng.IntN(n)]++
		capacity[rng.IntN(n)]++
		traffic, room := normal(fleet), normal(capacity)
		got, crossed, must := make([]float64, n), 0.0, 0.0
		for local := range n {
			must += max(0, traffic[local]-room[local])
			if fleet[local] == 0 {
				continue
			}
			for i, share := range crossing(local, fleet, capacity) {
				got[i] += traffic[local] * share
				if i != local {
					crossed += traffic[local] * share
				}
			}
		}
		for i := range got {
			if math.Abs(got[i]-room[i]) > 1e-12 {
				return fmt.Errorf("fleet %v, capacity %v: zone %d gets %v, want %v", fleet, capacity, i, got[i], room[i])
			}
		}
		if math.Abs(crossed-must) > 1e-12 {
			return fmt.Errorf("fleet %v, capacity %v: %v crosses, want %v", fleet, capacity, crossed, must)
		}
	}
	return nil
}

func TestProofZonesAreBalancedTogether(t *testing.T) {
	for _, seed := range seeds() {
		if err := checkBalance(crossing, seed); err != nil {
			t.Error(err)
		}
		regardless := func(_ int, _, capacity []float64) []float64 { return normal(capacity) }
		if checkBalance(regardless, seed) == nil {
			t.Error("the check passes though all crosses")
		}
		home := func(local int, fleet, _ []float64) []float64 {
			shares := make([]float64, len(fleet))
			shares[local] = 1
			return shares
		}
		if checkBalance(home, seed) == nil {
			t.Error("the check passes though nothing crosses")
		}
	}
}
