package picker

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// RendezvousConfig configures Rendezvous. The zero value hashes clients' addresses.
type RendezvousConfig struct {
	// Key is what requests are hashed by. Nil stands for ClientKey without a secret.
	Key Key
}

// Rendezvous hashes by rendezvous (Thaler and Ravishankar, 1998), with weights: every key ranks all
// backends, and its request goes to the highest that is eligible and was not tried before. So a
// backend that leaves, or refuses, moves only its own keys, which spread over the others by weight;
// one that joins takes its share of keys from all alike; and one whose weight grows only gains. The
// ranks depend on IDs and weights alone: every process picks the same.
//
// The score is u for equal weights, else -w/ln(u), where u is uniform in (0, 1) and drawn from
// the key and the backend's ID.
//
// A request without the key has no place to return to, and goes to any backend with a chance in
// proportion to its weight. Hashing bounds nobody's load, see BoundedLoad and Secret. A pick looks
// at every backend: best up to some tens of them; beyond, Maglev costs the same for any number.
func Rendezvous(cfg RendezvousConfig) lb.Policy {
	key := cfg.Key.orClient()
	return func(set lb.Set) lb.Picker { return newRendezvous(set, key) }
}

// orClient returns k, or what stands in for nil.
func (k Key) orClient() Key {
	if k == nil {
		return ClientKey(Secret{})
	}
	return k
}

type rendezvous struct {
	members []lb.Candidate
	seeds   []uint64 // hashes of the members' IDs
	equal   bool     // all weights are
	key     Key
}

func newRendezvous(set lb.Set, key Key) *rendezvous {
	r := &rendezvous{members: set.Eligible, seeds: make([]uint64, len(set.Eligible)), key: key}
	for i, c := range r.members {
		r.seeds[i] = xxhash.Sum64String(c.ID())
	}
	r.equal = !slices.ContainsFunc(r.members, func(c lb.Candidate) bool { return c.Weight != r.members[0].Weight })
	return r
}

func (r *rendezvous) Pick(info lb.PickInfo) *lb.Backend {
	key, ok := r.key(info)
	return r.choose(key, ok, &info, limit{})
}

func (r *rendezvous) pickWithin(info lb.PickInfo, l limit) *lb.Backend {
	key, ok := r.key(info)
	return r.choose(key, ok, &info, l)
}

// choose picks for a key, if there is one.
func (r *rendezvous) choose(key uint64, ok bool, info *lb.PickInfo, l limit) *lb.Backend {
	if !ok {
		key = info.Rand
	}
	return r.top(key, info, l)
}

// top returns the highest of a key that was not tried and that the limit admits. Mostly that is
// the highest of all: only if it is not, they are all asked.
func (r *rendezvous) top(key uint64, info *lb.PickInfo, l limit) *lb.Backend {
	if r.equal {
		best := &r.members[highest(r.seeds, key)]
		if !info.Tried(best.Backend) && l.admits(best) {
			return best.Backend
		}
	}
	var best *lb.Backend
	high := -1.0
	for i := range r.members {
		c := &r.members[i]
		score := float64(mix(key^r.seeds[i]) >> 12)
		if !r.equal {
			u := (score + 0.5) / (1 << 52)
			if c.Weight < high*(1-u)*surely {
				continue // since -ln(u) >= 1-u, which spares most of the logarithms
			}
			// The largest of -w/ln(u) is each with a chance proportional to its w. For equal
			// weights u itself has the same order.
			score = -c.Weight / math.Log(u)
		}
		if score > high && !info.Tried(c.Backend) && l.admits(c) {
			best, high = c.Backend, score
		}
	}
	return best
}

// surely is one, less what rounding could do.
const surely = 1 - 1e-9

// block is how many seeds are compared at a time.
const block = 1 << 12

// highest returns which seed has the highest score with a key, the first of those that tie.
func highest(seeds []uint64, key uint64) int {
	best, top := highestOf(seeds[:min(block, len(seeds))], key)
	for from := block; from < len(seeds); from += block {
		if i, score := highestOf(seeds[from:min(from+block, len(seeds))], key); score > top {
			best, top = from+i, score
		}
	}
	return best
}

// highestOf is highest for at most a block of seeds, with the score. The place takes the bits below
// the score, the first the largest, so that the largest number tells both and there is no branch to
// be foreseen.
func highestOf(seeds []uint64, key uint64) (int, uint64) {
	high, place := uint64(0), uint64(block-1)
	for _, s := range seeds {
		high = max(high, mix(key^s)&^(block-1)|place)
		place--
	}
	return block - 1 - int(high%block), high >> 12
}
