package picker

import (
	"fmt"

	"github.com/go-loadbalancer/lb"
)

// ringPoints is what libketama has: 40 hashes of four points each.
const ringPoints = 160

// RingConfig configures Ring. The zero value hashes clients' addresses onto a ring on which each
// backend has 160 points for each unit of its weight.
type RingConfig struct {
	// Key is what requests are hashed by. Nil stands for ClientKey without a secret.
	Key Key
	// Points is how many points a backend has on the ring for each unit of its weight, at most
	// 65536. Zero means 160. The shares of backends with v points each have a standard deviation
	// of 1/sqrt(v): 8 of a hundred for 160 points, 3 for 1000. With weights of about 100, 2 are
	// enough. A point takes about 16 bytes. All balancers that are to pick the same need the same.
	Points int
}

// Ring hashes by a ring (Karger et al., 1997), as libketama does: backends have many points on a
// circle, and a key belongs to the backend of the first point at or behind it, or the next that is
// eligible and was not tried before. A backend has points in proportion to its weight, whatever the
// others have. So one that is marked down, refuses or leaves for good moves its own keys only,
// which go to the owners of the next points; one that joins takes keys from all; and one whose
// weight grows only gains. The points depend on IDs and weights alone: every process picks the
// same, though not the same as other software.
//
// Shares are less even than Maglev's and Rendezvous's, by RingConfig.Points. Take it where backends
// leave and join often and are too many for Rendezvous: of the three only it moves none but the
// keys of who has left at a cost, in picks, that does not grow with the backends.
//
// The ring is made from all backends, eligible or not, and made anew when one joins or leaves the
// pool or a weight changes, in time proportional to the points. There are at most 2^20 points
// in all: beyond that all have half, or a quarter, and so on, but one at least.
//
// A request without the key goes to any backend with a chance in proportion to its weight, and
// looks at every backend. Hashing bounds nobody's load, see BoundedLoad and Secret.
func Ring(cfg RingConfig) (lb.Policy, error) {
	points, key := cfg.Points, cfg.Key.orClient()
	switch {
	case points == 0:
		points = ringPoints
	case points < 0:
		return nil, fmt.Errorf("picker: RingConfig.Points %d is negative; zero means %d", points, ringPoints)
	case points > 1<<16:
		return nil, fmt.Errorf("picker: RingConfig.Points %d is more than %d", points, 1<<16)
	}
	return func(set lb.Set) lb.Picker { return newRing(set, points, key) }, nil
}

type ring struct {
	members []lb.Candidate // as the circle numbers them; without a backend where one is not eligible
	circle  *circle
	key     Key
	rest    *rendezvous // over those that are eligible
}

func newRing(set lb.Set, points int, key Key) *ring {
	g := &ring{key: key}
	old, ok := set.Previous.(*ring)
	if !ok || old.circle.perWeight != points {
		old = &ring{circle: new(circle)}
	}
	var r *roster
	r, g.members = enrol(set, old.circle.roster)
	g.circle = old.circle
	if !r.same(old.circle.roster) {
		g.circle = newCircle(r, points)
	}
	g.rest = newRendezvous(set, key)
	return g
}

func (g *ring) Pick(info lb.PickInfo) *lb.Backend {
	key, ok := g.key(info)
	return g.choose(key, ok, &info, limit{})
}

func (g *ring) pickWithin(info lb.PickInfo, l limit) *lb.Backend {
	key, ok := g.key(info)
	return g.choose(key, ok, &info, l)
}

// choose walks round the circle from a key on.
func (g *ring) choose(key uint64, ok bool, info *lb.PickInfo, l limit) *lb.Backend {
	if !ok {
		return g.rest.top(info.Rand, info, l)
	}
	points := g.circle.points
	at := g.circle.from(mix(key))
	for range strides {
		if at == len(points) {
			at = 0
		}
		c := &g.members[points[at].owner]
		if c.Backend != nil && !info.Tried(c.Backend) && l.admits(c) {
			return c.Backend
		}
		at++
	}
	return g.rest.top(key, info, l)
}
