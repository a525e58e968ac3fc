package picker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/go-loadbalancer/lb"
)

// overprovision is how much more than its share of the load a tier is taken to bear. It is
// Envoy's factor.
const overprovision = 1.4

// PriorityConfig says which backends come first.
type PriorityConfig struct {
	// Inner picks within a tier. It is required.
	Inner lb.Policy
	// Tier says which tier a backend is in, the lowest first. It must say the same of the same
	// backend at all times, and is called when the set of backends changes and, if the inner
	// picker learns, for each result. Nil reads the label "priority": a whole number; without it
	// a backend is in tier 0, and with one that is no number it comes after all others.
	Tier func(*lb.Backend) int
	// Overprovision is how many times its share of the load a tier can bear: a tier passes
	// requests on to the next only when fewer than 1/Overprovision of its backends are well. Zero
	// means 1.4, which keeps all while 72 % are; the least is 1.
	Overprovision float64
}

// Priority sends requests to the first tier of backends as long as enough of it are well, and
// the more to the tiers behind it the fewer are: a second data centre, machines that are dearer.
// It is an error if a field is wrong.
//
//	policy, err := picker.Priority(picker.PriorityConfig{Inner: picker.PowerOfTwo})
//
// A tier's health is the share of its backends that are eligible and fit, times Overprovision, at
// most 1. Each tier gets as much of the traffic as its health says, as long as there is some
// left; if all of them together have less than 1, each in proportion to its health (Envoy's
// priority levels). So with 71 % of the first tier well it keeps 99 % of the requests, with 50 %
// it keeps 70 %. If no tier has a backend that is fit, each gets as much as it has backends that
// may be tried, which lb.Config.PanicThreshold decides. Backends are counted, whatever their weight.
//
// A request that has tried all of its tier goes to the next one, after the last to the first. There
// is one inner picker for each tier. A pick costs the logarithm of the number of tiers, besides
// the inner picker's.
func Priority(cfg PriorityConfig) (lb.Policy, error) {
	var errs []error
	if cfg.Inner == nil {
		errs = append(errs, errors.New("picker: PriorityConfig.Inner is nil; try picker.PowerOfTwo"))
	}
	if cfg.Overprovision == 0 {
		cfg.Overprovision = overprovision
	}
	if !(cfg.Overprovision >= 1) || math.IsInf(cfg.Overprovision, 1) {
		errs = append(errs, fmt.Errorf("picker: PriorityConfig.Overprovision is %v; give 1 or more, or 0 for %v", cfg.Overprovision, overprovision))
	}
	if cfg.Tier == nil {
		cfg.Tier = labelled
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func(set lb.Set) lb.Picker { return newPriority(set, cfg) }, nil
}

// labelled reads a tier from a label.
func labelled(b *lb.Backend) int {
	label := b.Label("priority")
	if label == "" {
		return 0
	}
	n, err := strconv.Atoi(label)
	if err != nil {
		return math.MaxInt
	}
	return n
}

// priority draws a tier and picks from it, or from the next that has somebody.
type priority struct {
	*groups[int]
	tiers   []*group // those with eligible backends, the first first
	chances chances  // over tiers
}

func newPriority(set lb.Set, cfg PriorityConfig) *priority {
	var old *groups[int]
	if p, ok := set.Previous.(*priority); ok {
		old = p.groups
	}
	known, fit, eligible := make(map[int]float64), make(map[int]float64), make(map[int]float64)
	for _, c := range set.Eligible {
		tier := cfg.Tier(c.Backend)
		known[tier]++
		eligible[tier]++
		if c.Facts().Fit() {
			fit[tier]++
		}
	}
	for _, b := range set.Others {
		known[cfg.Tier(b)]++
	}
	tierOf := func(b *lb.Backend) (int, bool) { return cfg.Tier(b), true }
	p := &priority{groups: divide(set, old, cfg.Inner, tierOf)}
	var healths, counts []float64
	for _, tier := range slices.Sorted(maps.Keys(eligible)) {
		p.tiers = append(p.tiers, p.parts[tier])
		healths = append(healths, fit[tier]/known[tier])
		counts = append(counts, eligible[tier])
	}
	shares := levels(healths, cfg.Overprovision)
	if shares == nil {
		shares = counts
	}
	p.chances = newChances(shares)
	return p
}

// levels returns the share of the traffic that each tier gets, or nil if none has any health.
func levels(healths []float64, factor float64) []float64 {
	total := 0.0
	for _, h := range healths {
		total += min(1, h*factor)
	}
	if total == 0 {
		return nil
	}
	total = min(1, total)
	shares, left := make([]float64, len(healths)), 1.0
	for i, h := range healths {
		shares[i] = min(left, min(1, h*factor)/total)
		left -= shares[i]
	}
	return shares
}

// draw returns the index of the tier that a request begins with, and what its picker gets: its
// draws have nothing to do with this one.
func (p *priority) draw(info lb.PickInfo) (int, lb.PickInfo) {
	d := draws(info.Rand)
	first := p.chances.at(d.unit())
	info.Rand = d.next()
	return first, info
}

func (p *priority) Pick(info lb.PickInfo) *lb.Backend {
	first, info := p.draw(info)
	for i := range p.tiers {
		if b := p.tiers[(first+i)%len(p.tiers)].pick(info); b != nil {
			return b
		}
	}
	return p.tiers[first].again(info)
}

// Attempted tells the picker of the tier that the result's backend is in.
func (p *priority) Attempted(res lb.Result) { p.attempted(res) }
