package picker

import (
	"math"
	"net/http"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// HashClient sends each client address to the same backend, by PickInfo.ClientIP. An IPv4
// address is the same client if it is written as IPv6.
//
// This and the following policies hash by rendezvous (Thaler and Ravishankar, 1998), with
// weights: every key ranks all backends, and its request goes to the highest that is eligible and
// was not tried before. So a backend that leaves, or refuses, moves only its own keys, which
// spread over the others by weight; one that joins takes its share of keys from all alike; and one
// whose weight grows only gains. The ranks depend on IDs and weights alone: every process picks
// the same.
//
// A request without the key has no place to return to, and goes to any backend with a chance in
// proportion to its weight. Clients choose their keys, and can all choose the same: hashing bounds
// nobody's load. A pick looks at every backend.
func HashClient(set lb.Set) lb.Picker {
	return newRendezvous(set, func(info lb.PickInfo) (uint64, bool) {
		addr := info.ClientIP.As16()
		return xxhash.Sum64(addr[:]), info.ClientIP.IsValid()
	})
}

// HashHeader sends requests with the same value of a header to the same backend, as HashClient
// does with addresses. The first line counts; an empty one is none. The header Host is the
// request's.
func HashHeader(name string) lb.Policy {
	name = http.CanonicalHeaderKey(name)
	return byText(func(r *http.Request) string {
		if name == "Host" {
			return r.Host
		}
		return first(r.Header[name])
	})
}

// HashCookie sends requests with the same value of a cookie to the same backend, as HashClient
// does with addresses. Names of cookies are told apart by case. The first of that name counts;
// an empty one is none, and so is one behind 256 others.
func HashCookie(name string) lb.Policy {
	return byText(func(r *http.Request) string { return cookie(r.Header["Cookie"], name) })
}

// byText hashes by what key returns of a request, "" for none.
func byText(key func(*http.Request) string) lb.Policy {
	return func(set lb.Set) lb.Picker {
		return newRendezvous(set, func(info lb.PickInfo) (uint64, bool) {
			if info.Request == nil {
				return 0, false
			}
			text := key(info.Request)
			return xxhash.Sum64String(text), text != ""
		})
	}
}

type rendezvous struct {
	members []lb.Candidate
	seeds   []uint64 // hashes of the members' IDs
	equal   bool     // all weights are
	key     func(lb.PickInfo) (uint64, bool)
}

func newRendezvous(set lb.Set, key func(lb.PickInfo) (uint64, bool)) *rendezvous {
	r := &rendezvous{members: set.Eligible, seeds: make([]uint64, len(set.Eligible)), key: key}
	for i, c := range r.members {
		r.seeds[i] = xxhash.Sum64String(c.ID())
	}
	r.equal = !slices.ContainsFunc(r.members, func(c lb.Candidate) bool { return c.Weight != r.members[0].Weight })
	return r
}

func (r *rendezvous) Pick(info lb.PickInfo) *lb.Backend {
	key, ok := r.key(info)
	if !ok {
		key = info.Rand
	}
	var best *lb.Backend
	high := -1.0
	for i := range r.members {
		score := float64(mix(key^r.seeds[i]) >> 12)
		if !r.equal {
			// With u uniform in (0, 1), the largest of -w/ln(u) is each with a chance
			// proportional to its w. For equal weights u itself has the same order.
			score = -r.members[i].Weight / math.Log((score+0.5)/(1<<52))
		}
		if score > high && !info.Tried(r.members[i].Backend) {
			best, high = r.members[i].Backend, score
		}
	}
	return best
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
