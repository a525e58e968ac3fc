package picker

import (
	"fmt"

	"github.com/go-loadbalancer/lb"
)

// explained is how many places in a key's order a hashing picker tells. To find each is a pick.
const explained = 8

// Explain scores the first eight backends of the key's order by their places in it, and leaves out
// those that were tried. Without a key it is the draw's order.
func (r *rendezvous) Explain(info lb.PickInfo) []lb.Score { return order(r, r.key, info) }

// Explain scores the first eight backends that the key's walk through the table meets by their
// places in it, and leaves out those that were tried. Without a key it is the draw's order.
func (m *maglev) Explain(info lb.PickInfo) []lb.Score { return order(m, m.key, info) }

// Explain scores the first eight backends that the key's walk round the ring meets by their places
// in it, and leaves out those that were tried. Without a key it is the draw's order.
func (g *ring) Explain(info lb.PickInfo) []lb.Score { return order(g, g.key, info) }

// order picks until nobody is left or enough has been said.
func order(p lb.Picker, key Key, info lb.PickInfo) []lb.Score {
	why := "choice %d of the request's key"
	if _, ok := key(info); !ok {
		why = "choice %d of the draw, for the request has no key"
	}
	var scores []lb.Score
	for place := range explained {
		b := p.Pick(info)
		if b == nil {
			break
		}
		scores = append(scores, lb.Score{Backend: b, Score: float64(place), Why: fmt.Sprintf(why, place+1)})
		info = info.WithTried(b)
	}
	return scores
}

// Explain scores first whom the bound leaves the request to, then what inner says of the others, or
// nobody else if inner does not explain itself.
func (b *bounded) Explain(info lb.PickInfo) []lb.Score {
	choice := b.Pick(info)
	if choice == nil {
		return nil
	}
	p, ok := b.inner.(interface {
		Explain(lb.PickInfo) []lb.Score
	})
	scores := []lb.Score{{Backend: choice, Score: 0, Why: fmt.Sprintf("%d in flight, below its bound", choice.InFlight())}}
	if !ok {
		return scores
	}
	l := b.measure(&info)
	for _, s := range p.Explain(info) {
		switch {
		case s.Backend == choice:
			scores[0].Why += ", " + s.Why
		case b.below(s.Backend, l):
			scores = append(scores, lb.Score{Backend: s.Backend, Score: float64(len(scores)), Why: s.Why})
		default:
			scores = append(scores, lb.Score{Backend: s.Backend, Score: float64(len(scores)), Why: s.Why + ", but at its bound"})
		}
	}
	return scores
}
