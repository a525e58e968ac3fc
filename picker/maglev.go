package picker

import (
	"fmt"
	"math/bits"

	"github.com/go-loadbalancer/lb"
)

const (
	// maglevSize is the smaller of the two sizes in the paper.
	maglevSize = 65537
	// largest bounds the slots of a Maglev table: 67 MB of them.
	largest = 1 << 24
)

// MaglevConfig configures Maglev. The zero value hashes clients' addresses into a table of 65537
// slots.
type MaglevConfig struct {
	// Key is what requests are hashed by. Nil stands for ClientKey without a secret.
	Key Key
	// Size is the number of slots in the table, a prime of at most 2^24. Zero means 65537. It
	// should be more than a hundred times the number of backends: then their shares differ by
	// less than one in a hundred, and few keys move when one leaves, see Maglev. All balancers
	// that are to pick the same need the same size. A slot takes four bytes.
	Size int
}

// Maglev looks the backend up in a table, as Google's Maglev does (Eisenbud et al., NSDI 2016): a
// pick costs the same for any number of backends. Each backend has as many slots as its weight
// says, rounded up or down; so of equal weights, all have the same number but for one. Whose share
// is less than a slot may have none, and then serves only what others refuse. The table depends on
// IDs and weights alone: every process picks the same.
//
// The table is made from all backends, eligible or not. So one that is marked down, is stopped by
// its breaker, or was tried before, moves its own keys only: each of them walks on through the
// table to slots of others, by a way of its own, so they spread over the others by weight; and when
// it is back, so are they. Only a backend that joins or leaves the pool, or a weight that
// changes, makes a new table. In it some keys of the others move, too: with 65537 slots and 1000
// backends, 0.6 of a hundred when one leaves and 3.3 when fifty do; with 655373 slots 0.3 and 0.9.
// Where that matters more than the cost of a pick, take Rendezvous or Ring. While a backend is
// warming up, its weight grows by steps, each of which makes a table.
//
// A backend that is not eligible has the weight that it had when it last was, or its configured
// one to a balancer that has not seen it eligible.
//
// A request without the key goes to any backend with a chance in proportion to its weight, and
// looks at every backend. Hashing bounds nobody's load, see BoundedLoad and Secret. To make a table
// takes time in its size times the logarithm of that, some milliseconds for 65537 slots.
func Maglev(cfg MaglevConfig) (lb.Policy, error) {
	size, key := cfg.Size, cfg.Key.orClient()
	switch {
	case size == 0:
		size = maglevSize
	case size > largest:
		return nil, fmt.Errorf("picker: MaglevConfig.Size %d is more than %d", size, largest)
	case !prime(size):
		return nil, fmt.Errorf("picker: MaglevConfig.Size %d is not prime; the nearest primes are %s", size, primesAround(size))
	}
	return func(set lb.Set) lb.Picker { return newMaglev(set, size, key) }, nil
}

type maglev struct {
	members []lb.Candidate // as the table numbers them; without a backend where one is not eligible
	table   *slots
	key     Key
	rest    *rendezvous // over those that are eligible
}

func newMaglev(set lb.Set, size int, key Key) *maglev {
	m := &maglev{key: key}
	old, ok := set.Previous.(*maglev)
	if !ok || len(old.table.owners) != size {
		old = &maglev{table: new(slots)}
	}
	var r *roster
	r, m.members = enrol(set, old.table.roster)
	m.table = old.table
	if !r.same(old.table.roster) {
		m.table = &slots{roster: r, owners: fill(r, size)}
	}
	m.rest = newRendezvous(set, key)
	return m
}

func (m *maglev) Pick(info lb.PickInfo) *lb.Backend {
	key, ok := m.key(info)
	return m.choose(key, ok, &info, limit{})
}

func (m *maglev) pickWithin(info lb.PickInfo, l limit) *lb.Backend {
	key, ok := m.key(info)
	return m.choose(key, ok, &info, l)
}

// choose looks in the key's slot, then walks through the table. As the number of slots is prime, a
// walk with any stride meets them all.
func (m *maglev) choose(key uint64, ok bool, info *lb.PickInfo, l limit) *lb.Backend {
	if !ok {
		return m.rest.top(info.Rand, info, l)
	}
	mixed, size := mix(key), uint64(len(m.table.owners))
	slot, low := bits.Mul64(mixed, size)
	stride := uint64(0) // drawn when it is needed
	for range strides {
		c := &m.members[m.table.owners[slot]]
		if c.Backend != nil && !info.Tried(c.Backend) && l.admits(c) {
			return c.Backend
		}
		if stride == 0 {
			stride, _ = bits.Mul64(mix(low), size-1)
			stride++
		}
		if slot += stride; slot >= size {
			slot -= size
		}
	}
	return m.rest.top(key, info, l)
}
