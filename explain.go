package lb

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/internal/live"
)

// Explanation says where a request went, or would go, and why. It shows backends by ID, and nothing of
// the request or its session.
type Explanation struct {
	// Bound is the ID of the backend that the request's session is bound to, "" if there is none.
	Bound string
	// Waited is how long the request stood in the queue or waited for a backend.
	Waited time.Duration
	// Backends are all of the pool when the last choice was made: first those that could be picked,
	// the picker's first choice first, then the others, by ID.
	Backends []Standing
	// Attempts are the tries that have ended, in the order in which they did.
	Attempts []Result
}

// Standing is how one backend stood when a choice was made.
type Standing struct {
	Backend  *Backend
	Eligible bool // it could be picked
	// Why is one word for why it could not: draining, down, ejected, suspect, resting, tripped (its breaker is
	// open), full (as many in flight as MaxInFlight), tried (by this request), or region (the picker
	// prefers others for this request, such as those of a region or a zone). Of an eligible one it is
	// slow-start if it has less than its weight, what it would be left out for if enough others were
	// fit (see Config.PanicThreshold), or "".
	Why    string
	Weight float64 // that it is picked with; 0 if it is not eligible
	Scored bool    // the picker explains itself: see Picker
	Score  float64 // the lowest is the first choice; pickers cannot be compared
	Detail string  // what the picker says of the score, one short line
}

// Explain says where r would go. It looks at the session's key, but asks no store; nothing is known of
// how attempts would end. Where a picker draws, another draw may have another end. R is only read, and
// must not be nil.
//
// It is for people who ask. It counts as no request: it takes no turn and no place, and observers
// hear of it only as much as of [Balancer.Status]. It costs what the picker's explanation does, at
// least time in the number of backends. What a real request met is in [Summary], for observers that
// ask for it, and in the header Lb-Explain for peers in Config.ExplainTo.
func (b *Balancer) Explain(r *http.Request) Explanation {
	now := time.Now()
	v := b.look(now)
	bound := ""
	if b.cfg.SessionKey != nil {
		_, bound = b.cfg.SessionKey.Read(r)
	}
	peer := clientip.Peer(r)
	return Explanation{Bound: bound, Backends: v.standings(bound, PickInfo{
		Request:  r,
		ClientIP: b.trusted.Client(peer, r.Header),
		Trusted:  b.trusted.Trust(peer),
		Now:      now,
		Rand:     rand.Uint64(),
	})}
}

// standings says how each backend stands with a request whose session is bound to one, or to "".
func (v *view) standings(bound string, info PickInfo) []Standing {
	var scores []Score
	if p, ok := v.picker.(interface{ Explain(PickInfo) []Score }); ok {
		scores = p.Explain(info)
	}
	rank := make(map[*live.Load]int, len(scores))
	for i, s := range scores {
		rank[s.Backend.load] = i
	}
	all := make([]Standing, 0, v.snap.Len())
	for _, be := range v.snap.backends {
		e := v.entry(be.load, -1)
		s := Standing{Backend: e.backend, Eligible: e.eligible, Why: e.why(info)}
		i, scored := rank[be.load]
		switch {
		case be.ID() == bound && v.welcome(e.backend.facts, Draining) && s.Why == "draining":
			s.Eligible = true
		case s.Why == "tried", s.Why == "full":
			s.Eligible = false
		case s.Eligible && len(scores) > 0 && !scored:
			s.Eligible, s.Why = false, "region"
		}
		if s.Eligible {
			s.Weight = e.weight
		}
		if s.Eligible && scored {
			s.Scored, s.Score, s.Detail = true, scores[i].Score, scores[i].Why
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Standing) int {
		if a.Scored && b.Scored {
			return cmp.Compare(rank[a.Backend.load], rank[b.Backend.load])
		}
		return cmp.Compare(b.class(), a.class())
	})
	return all
}

// class puts those with a score before other eligible ones, and these before the rest.
func (s Standing) class() int {
	switch {
	case s.Scored:
		return 2
	case s.Eligible:
		return 1
	}
	return 0
}

// why is one word for what keeps a request off a backend, or keeps its share small.
func (e *entry) why(info PickInfo) string {
	f, limit := e.backend.facts, int64(e.backend.spec.MaxInFlight)
	switch {
	case info.Tried(e.backend):
		return "tried"
	case f.Has(Draining):
		return "draining"
	case f.Has(Down):
		return "down"
	case f.Has(Ejected):
		return "ejected"
	case f.Has(Suspect):
		return "suspect"
	case f.Has(Resting):
		return "resting"
	case !e.eligible:
		return "tripped"
	case limit > 0 && e.backend.InFlight() >= limit:
		return "full"
	case !e.since.IsZero():
		return "slow-start"
	}
	return ""
}
