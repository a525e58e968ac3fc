package picker

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Explain scores each backend by its place in the pool of answers; those without one come after. With
// fewer than eight backends the score is the requests in flight for the weight, with what failures add.
func (q *prequal) Explain(info lb.PickInfo) []lb.Score {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.members) < pooled {
		return explain(q.members, info, func(i int, _ lb.Candidate) (float64, string) { return q.explainFew(i, info.Now) })
	}
	q.ageLocked(info.Now.UnixNano())
	pool := slices.Clone(q.pool)
	theta := q.recent.theta
	slices.SortStableFunc(pool, func(a, b probe) int {
		switch {
		case a.before(&b, theta):
			return -1
		case b.before(&a, theta):
			return 1
		}
		return 0
	})
	return explain(q.members, info, func(i int, _ lb.Candidate) (float64, string) {
		at := slices.IndexFunc(pool, func(a probe) bool { return a.peer == q.peerOf[i] })
		if at < 0 {
			return float64(len(pool)), "no answer of it is in the pool"
		}
		return float64(at), pool[at].why(theta)
	})
}

// why says what puts a probe in its place.
func (a *probe) why(theta float64) string {
	state := "cold"
	if a.inFlight > theta {
		state = "hot"
	}
	if a.failing {
		state = "failing"
	}
	return fmt.Sprintf("%s with %g in flight where %g is much, %v to answer",
		state, a.inFlight, theta, time.Duration(a.latency).Round(time.Microsecond))
}

func (q *prequal) explainFew(i int, now time.Time) (float64, string) {
	said := now.UnixNano()-q.peerOf[i].answered <= int64(q.cfg.MaxAge)
	who := "seen here"
	if said {
		who = "as it says"
	}
	cost := q.costOf(i, said, now)
	return cost, fmt.Sprintf("one more would be %g in flight for its weight, %s", cost, who)
}

// Explain scores each backend by its share, the largest first.
func (w *weightedByLoad) Explain(info lb.PickInfo) []lb.Score {
	l := w.layout.Load()
	return explain(w.members, info, func(i int, c lb.Candidate) (float64, string) {
		share := float64(l.ends[i]) / (1 << 64)
		if i > 0 {
			share = float64(l.ends[i]-l.ends[i-1]) / (1 << 64)
		}
		who := "a mean weight"
		if weight := w.reporters[c.ID()].believed(&w.cfg, l.made); weight > 0 {
			who = fmt.Sprintf("a weight of %.4g", weight)
		}
		return -share, fmt.Sprintf("%.1f%% of all requests, by %s", 100*share, who)
	})
}
