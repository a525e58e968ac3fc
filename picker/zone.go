package picker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/go-loadbalancer/lb"
)

const (
	// fewest is how many backends it takes to tell zones apart. It is Envoy's minimum.
	fewest = 6
	// enough is the share of backends that have to be well to tell zones apart. It is Envoy's
	// panic threshold.
	enough = 0.5
)

// ZoneAwareConfig says where the balancers are.
type ZoneAwareConfig struct {
	// Inner picks within a zone. It is required.
	Inner lb.Policy
	// Local is the zone that this balancer is in. It is required.
	Local string
	// Fleet is how much of the traffic comes in at the balancers of each zone, in any unit: the
	// number of balancers there, if they are alike. It must be the same for all of them, and
	// have something for Local. Nil takes it to be the same in every zone that a backend is in,
	// eligible or not, and in Local.
	Fleet map[string]float64
	// Zone says which zone a backend is in. It must say the same of the same backend at all
	// times, and is called when the set of backends changes and, if the inner picker learns, for
	// each result. Nil reads the label "zone"; those without one are in a zone of their own.
	Zone func(*lb.Backend) string
	// MinBackends is how many backends have to be eligible for zones to be told apart. Zero
	// means 6.
	MinBackends int
	// MinFit is the share of the backends that have to be eligible and fit for zones to be told
	// apart, from 0 to 1. Zero means 0.5.
	MinFit float64
}

// ZoneAware keeps requests in the zone of the balancer as far as it can without giving any
// backend more than the others: what crosses zones costs money and time. It is an error if a field
// is wrong.
//
//	policy, err := picker.ZoneAware(picker.ZoneAwareConfig{Local: "eu-1a", Inner: picker.PowerOfTwo})
//
// The formula is Envoy's. A zone has a share of the traffic, by Fleet, and one of the capacity, by
// the weights of its eligible backends. If Local has no less of the capacity than of the traffic,
// all requests stay. Else as many stay as the one is of the other, and the rest goes to the zones
// that have more capacity than traffic, in proportion to how much more. When all balancers do
// so, each zone gets exactly its share of the capacity. With 40, 40 and 20 % of the balancers and
// 25, 50 and 25 % of the backends in three zones, those in the first keep 62.5 % and send twice as
// much to the second zone as to the third.
//
// Zones are not told apart while too few backends are eligible or well, as MinBackends and MinFit
// say. Then, and for a request that has tried all of its zone, the inner policy picks from all. It
// has one picker for each zone and one for all. A pick costs the logarithm of the number of zones,
// besides the inner picker's.
func ZoneAware(cfg ZoneAwareConfig) (lb.Policy, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Zone == nil {
		cfg.Zone = func(b *lb.Backend) string { return b.Label("zone") }
	}
	if cfg.MinBackends == 0 {
		cfg.MinBackends = fewest
	}
	if cfg.MinFit == 0 {
		cfg.MinFit = enough
	}
	cfg.Fleet = maps.Clone(cfg.Fleet)
	return func(set lb.Set) lb.Picker { return newZones(set, cfg) }, nil
}

func (cfg ZoneAwareConfig) check() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("picker: ZoneAwareConfig."+format, args...))
	}
	if cfg.Inner == nil {
		fault("Inner is nil; try picker.PowerOfTwo")
	}
	if cfg.Local == "" {
		fault(`Local is ""; say which zone this balancer is in`)
	}
	total := 0.0
	for _, zone := range slices.Sorted(maps.Keys(cfg.Fleet)) {
		share := cfg.Fleet[zone]
		if !(share >= 0) {
			fault("Fleet[%q] is %v; give 0 or more", zone, share)
		}
		total += share
	}
	if math.IsInf(total, 1) {
		fault("Fleet adds up to %v; give the numbers of balancers", total)
	}
	if cfg.Fleet != nil && cfg.Fleet[cfg.Local] == 0 {
		fault("Fleet has nothing for Local, %q, where this balancer is; give its share, or no Fleet", cfg.Local)
	}
	if cfg.MinBackends < 0 {
		fault("MinBackends is %d; give 1 or more, or 0 for %d", cfg.MinBackends, fewest)
	}
	if !(cfg.MinFit >= 0 && cfg.MinFit <= 1) {
		fault("MinFit is %v; give a share from 0 to 1, or 0 for %v", cfg.MinFit, enough)
	}
	return errors.Join(errs...)
}

// zones draws a zone and picks from it, else from all.
type zones struct {
	*groups[string]
	order   []*group // by zone
	chances chances  // over order; nil while zones are not told apart
}

func newZones(set lb.Set, cfg ZoneAwareConfig) *zones {
	var old *groups[string]
	if z, ok := set.Previous.(*zones); ok {
		old = z.groups
	}
	zoneOf := func(b *lb.Backend) (string, bool) { return cfg.Zone(b), true }
	z := &zones{groups: divide(set, old, cfg.Inner, zoneOf)}
	if cfg.worthwhile(set) {
		z.plan(set, cfg)
	}
	z.cover(set, old, cfg.Inner)
	return z
}

// worthwhile reports whether there are enough backends to tell zones apart.
func (cfg ZoneAwareConfig) worthwhile(set lb.Set) bool {
	fit := 0
	for _, c := range set.Eligible {
		if c.Facts().Fit() {
			fit++
		}
	}
	return len(set.Eligible) >= cfg.MinBackends && float64(fit) >= cfg.MinFit*float64(len(set.Eligible)+len(set.Others))
}

// plan decides how much goes to which zone.
func (z *zones) plan(set lb.Set, cfg ZoneAwareConfig) {
	capacities, traffic := make(map[string]float64), map[string]float64{cfg.Local: 1}
	for _, c := range set.Eligible {
		capacities[cfg.Zone(c.Backend)] += c.Weight
		traffic[cfg.Zone(c.Backend)] = 1
	}
	for _, b := range set.Others {
		traffic[cfg.Zone(b)] = 1
	}
	if cfg.Fleet != nil {
		clear(traffic)
		maps.Copy(traffic, cfg.Fleet)
		for zone := range capacities {
			traffic[zone] += 0 // one without balancers is a zone
		}
	}
	names := slices.Sorted(maps.Keys(traffic))
	fleet, capacity := make([]float64, len(names)), make([]float64, len(names))
	for i, zone := range names {
		fleet[i], capacity[i] = traffic[zone], capacities[zone]
		z.order = append(z.order, z.parts[zone])
	}
	z.chances = newChances(crossing(slices.Index(names, cfg.Local), fleet, capacity))
}

// crossing returns the share of its requests that a balancer in zone local sends to each zone,
// of zones that have so much of the traffic and of the capacity.
func crossing(local int, fleet, capacity []float64) []float64 {
	traffic, room := normal(fleet), normal(capacity)
	shares := make([]float64, len(fleet))
	shares[local] = min(1, room[local]/traffic[local])
	total, residual := 0.0, make([]float64, len(fleet))
	for i := range residual {
		residual[i] = max(0, room[i]-traffic[i])
		total += residual[i]
	}
	for i, r := range residual {
		if i != local && shares[local] < 1 && r > 0 {
			shares[i] = (1 - shares[local]) * r / total
		}
	}
	return shares
}

// normal returns what part of their sum each is.
func normal(xs []float64) []float64 {
	total := 0.0
	for _, x := range xs {
		total += x
	}
	parts := make([]float64, len(xs))
	for i, x := range xs {
		parts[i] = x / total
	}
	return parts
}

// draw returns the index of the zone that a request goes to, and what its picker gets: its draws
// have nothing to do with this one.
func (z *zones) draw(info lb.PickInfo) (int, lb.PickInfo) {
	d := draws(info.Rand)
	at := z.chances.at(d.unit())
	info.Rand = d.next()
	return at, info
}

func (z *zones) Pick(info lb.PickInfo) *lb.Backend {
	if z.chances == nil {
		return z.all.again(info)
	}
	at, info := z.draw(info)
	if b := z.order[at].pick(info); b != nil {
		return b
	}
	return z.all.again(info)
}

// Attempted tells the pickers of the result's zone and of all.
func (z *zones) Attempted(res lb.Result) { z.attempted(res) }
