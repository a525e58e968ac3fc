package picker

import (
	"math"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

const (
	// hopeless is the error rate above which a backend comes after all others.
	hopeless = 0.5
	// unheard stands in for the latency of a backend that has failed, and never answered.
	unheard = float64(time.Hour)
)

// probe is an answer in the pool.
type probe struct {
	peer    *peer
	owner   *prequal    // that backend is in the set of; others have to look for the peer in theirs
	backend *lb.Backend // as the owner has it

	inFlight float64 // by weight; grows with each pick
	latency  float64 // by weight, with what failures add
	said     float64 // the latency in nanoseconds, by weight
	failing  bool
	at       int64 // when it came, in Unix nanoseconds
	left     int   // picks that it is good for
}

// before reports whether a is to be picked before b: hot or cold first, then by requests in flight if
// both are hot, and by latency if they are cold.
func (a *probe) before(b *probe, theta float64) bool {
	hot := a.inFlight > theta
	switch {
	case a.failing != b.failing:
		return b.failing
	case hot != (b.inFlight > theta):
		return !hot
	case hot && a.inFlight != b.inFlight:
		return a.inFlight < b.inFlight
	case a.latency != b.latency:
		return a.latency < b.latency
	}
	return a.inFlight < b.inFlight
}

// penalise makes the probe as dear as the backend's error rate says. Who fails is no faster than the
// others, however fast it fails.
func (a *probe) penalise(errorRate, typical float64) {
	a.failing, a.latency = errorRate > hopeless, a.said
	if errorRate < forgiven {
		return
	}
	if a.said == 0 {
		a.latency = unheard
	}
	a.latency = max(a.latency, typical) * shunned(errorRate)
}

// addLocked puts an answer into the pool, in the place of the backend's last one or of the oldest.
func (p *Prequal) addLocked(e *peer, r lb.Report, errorRate float64, now time.Time) {
	a := probe{peer: e, inFlight: float64(r.InFlight) * e.scale, said: float64(r.Latency) * e.scale, at: now.UnixNano()}
	p.recent.add(a.inFlight, p.cfg.Quantile)
	switch {
	case p.typical == 0:
		p.typical = a.said
	case a.said > 0:
		p.typical += (a.said - p.typical) / 64
	}
	if p.size == 0 {
		return
	}
	a.penalise(errorRate, p.typical)
	a.left = math.MaxInt
	if p.reuse < maxPicks {
		a.left = int(p.reuse + p.draws.unit()) // rounded at random so that the mean is kept
	}
	for i := range p.pool {
		if p.pool[i].peer == e {
			p.dropLocked(i)
			break
		}
	}
	if len(p.pool) >= p.size {
		p.dropLocked(0)
	}
	p.pool = append(p.pool, a)
}

// maxPicks is more than any probe sees before it is too old.
const maxPicks = 1 << 30

// dropLocked takes a probe out of the pool.
func (p *Prequal) dropLocked(i int) { p.pool = slices.Delete(p.pool, i, i+1) }

// ageLocked drops what is too old.
func (p *Prequal) ageLocked(now int64) {
	for len(p.pool) > 0 && now-p.pool[0].at > int64(p.cfg.MaxAge) {
		p.dropLocked(0)
	}
}

// thinLocked removes probes after a pick, the oldest and the worst by turns: without the latter, the
// bad ones would stay while the good ones are used up.
func (p *Prequal) thinLocked() {
	for range p.removes.take() {
		if len(p.pool) == 0 {
			return
		}
		i := 0
		if p.worst {
			for j := range p.pool {
				if p.pool[i].before(&p.pool[j], p.recent.theta) {
					i = j
				}
			}
		}
		p.worst = !p.worst
		p.dropLocked(i)
	}
}

// recent are the requests in flight of the latest answers.
type recent struct {
	ring   [128]float64
	sorted [128]float64 // the same
	n      int          // answers in both
	next   int          // where in ring the next goes
	theta  float64      // the quantile; zero without answers
}

// add takes an answer in, and finds the quantile anew: the answer at rank q (n-1), rounded down, so
// that for no q below 1 the highest is not above it.
func (r *recent) add(inFlight, q float64) {
	if r.n == len(r.ring) {
		i, _ := slices.BinarySearch(r.sorted[:r.n], r.ring[r.next])
		copy(r.sorted[i:], r.sorted[i+1:])
		r.n--
	}
	i, _ := slices.BinarySearch(r.sorted[:r.n], inFlight)
	copy(r.sorted[i+1:r.n+1], r.sorted[i:r.n])
	r.sorted[i], r.ring[r.next] = inFlight, inFlight
	r.n++
	r.next = (r.next + 1) % len(r.ring)
	r.theta = r.sorted[int(q*float64(r.n-1))]
}

// rate says how often something is due that is due so many times for each pick, also if that is no
// whole number. It counts in parts of 2^-32, so that nothing is lost.
type rate struct{ each, owed uint64 }

func newRate(perPick float64) rate { return rate{each: uint64(math.Round(perPick * (1 << 32)))} }

// take returns how many are due with this pick.
func (r *rate) take() int {
	r.owed += r.each
	due := r.owed >> 32
	r.owed &= 1<<32 - 1
	return int(due)
}
