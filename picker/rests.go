package picker

import (
	"math/bits"

	"github.com/go-loadbalancer/lb"
)

// rests shares out the spare turns of a cycle, by what is missing to each member: less than a
// turn per cycle. It is the static stride scheduler of gRPC (weightedroundrobin/scheduler.go):
// turns are offered to one claimant after the other, and each takes as large a part of the offers
// as its rest is of the largest. gRPC does so with whole weights, where one heavy backend among
// many light ones leaves nearly all offers untaken, and its own turns come too seldom by dozens.
// Rests are of one size whatever the weights are, and the offers per pick are at most the
// backends per turn of the cycle, which is a half.
type rests struct {
	claims []claim
	offers *turn
}

// claim takes an offer of round g if the low half of rate x g + phase is within rate of its end.
type claim struct {
	*lb.Backend
	rate, phase uint64 // of 2^32
	member      int
}

// half is one turn in a claim's arithmetic.
const half = 1 << 32

// newRests returns the claims of those members to which something is missing. Neighbours with
// equal rests, as backends often are, stand apart: so no long row of offers is left untaken.
func newRests(members []lb.Candidate, rest []float64) *rests {
	largest, n := 0.0, len(members)
	for _, x := range rest {
		largest = max(largest, x)
	}
	apart := coprime(n)
	r := &rests{offers: new(turn), claims: make([]claim, 0, n)}
	for p, i := 0, 0; p < n; p, i = p+1, (i+apart)%n {
		if rest[i] == 0 {
			continue
		}
		r.claims = append(r.claims, claim{
			Backend: members[i].Backend,
			rate:    max(1, uint64(rest[i]/largest*half)),
			phase:   uint64(len(r.claims)) * 0x9e3779b97f4a7c15 >> 32, // the golden ratio spreads them evenly
			member:  i,
		})
	}
	return r
}

// over returns the same claims and offers for members that are alike.
func (r *rests) over(members []lb.Candidate) *rests {
	next := &rests{claims: make([]claim, len(r.claims)), offers: r.offers}
	for i, c := range r.claims {
		c.Backend = members[c.member].Backend
		next.claims[i] = c
	}
	return next
}

// next returns who takes the next offer. The one with the largest rest takes all that it gets.
func (r *rests) next() *lb.Backend {
	n := uint64(len(r.claims))
	var c *claim
	for range 2 * len(r.claims) { // once round is enough, but for other picks
		offer := r.offers.Add(1) - 1
		c = &r.claims[offer%n]
		if (c.rate*(offer/n)+c.phase)%half+c.rate >= half {
			break
		}
	}
	return c.Backend
}

// debts adds to what each member is owed what it is behind with spare turns.
func (r *rests) debts(debt []float64, share []float64) {
	n := uint64(len(r.claims))
	offers, taken := r.offers.Load(), 0.0
	for i, c := range r.claims {
		rounds := offers / n
		if uint64(i) < offers%n {
			rounds++
		}
		hi, lo := bits.Mul64(c.rate, rounds)
		lo, over := bits.Add64(lo, c.phase, 0)
		got := float64((hi+over)<<32 | lo>>32)
		debt[c.member] -= got
		taken += got
	}
	for _, c := range r.claims {
		debt[c.member] += taken * share[c.member]
	}
}

// share returns each member's share of the spare turns.
func (r *rests) share(members int) []float64 {
	share, total := make([]float64, members), 0.0
	for _, c := range r.claims {
		total += float64(c.rate)
	}
	for _, c := range r.claims {
		share[c.member] = float64(c.rate) / total
	}
	return share
}

// coprime returns a number without a common divisor with n, about n over the golden ratio, so that
// its multiples modulo n are far from those before.
func coprime(n int) int {
	q := max(1, int(0.618*float64(n)))
	for gcd(q, n) != 1 { // 1 at the latest when q is n+1
		q++
	}
	return q
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
