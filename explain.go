package lb

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

// Explain returns what the picker thinks of each eligible backend for a first attempt at r, its
// first choice first, or nil if no backend is eligible or the picker does not explain itself: see
// [Picker]. It does not look at sessions, limits and breakers, which have a say in where r goes.
// R is only read, and must not be nil.
//
// It is for people who ask. It counts as no request: it takes no turn and no place, and observers
// hear of it only as much as of [Balancer.Status]. It costs what the picker's explanation does, at
// least time in the number of backends.
func (b *Balancer) Explain(r *http.Request) []Score {
	now := time.Now()
	v := b.view.Load()
	if !b.fresh(v, now) {
		v = b.await(now)
	}
	p, ok := v.picker.(interface{ Explain(PickInfo) []Score })
	if !ok {
		return nil
	}
	peer := clientip.Peer(r)
	return p.Explain(PickInfo{
		Request:  r,
		ClientIP: b.trusted.Client(peer, r.Header),
		Trusted:  b.trusted.Trust(peer),
		Now:      now,
		Rand:     rand.Uint64(),
	})
}
