package limit

import (
	"math"
	"time"
)

// gradient is a limit that follows latency. It is a value: next returns what becomes of it.
//
// The limit settles where requests take half as long again as without queueing. A backend that serves
// c requests at a time makes them take n/c times as long when n are in flight (Little, 1961: what is
// in flight is throughput times latency, and the throughput no longer grows), so that is where n is
// one and a half times c. Four more are allowed, because a small backend queues by chance: with one
// place, a limit of two would refuse one in seven when it is half busy. Netflix's Gradient2 has the
// same four, Envoy's gradient the square root by which the limit grows.
//
// Latencies are base-two logarithms of nanoseconds. Their mean is that of a typical request: of an
// outlier, it feels only the digits.
type gradient struct {
	min, max float64
	limit    float64
	base     float64 // latency without queueing; 0: unknown
	now      float64 // latency in the last window
	ref      point   // where the limit began to fall, or had fallen to
	same     int     // windows that fell short of ref's promise, in a row

	whole float64 // limit before the look that is under way; 0: there is none
	until int     // windows in use until the next look
	every int     // windows in use between the last two
	sure  bool    // the last found nothing new, or none was needed
}

// point is a latency and how many were in flight then.
type point struct{ inFlight, latency float64 }

// window is what came of the requests that ended since the last change of the limit had an effect.
type window struct {
	latency  float64 // mean
	inFlight float64 // mean
	refused  bool    // one or more were
}

const (
	patience    = 1.5      // times the latency without queueing that requests may take
	chance      = 4        // requests that the limit leaves to chance
	least       = 0.5      // of the limit that is left after a step down
	fell        = 0.6      // of what was in flight that makes a difference
	news        = 0.5      // in logarithms: a third less
	seldom      = 100      // windows in use between two looks, at most
	often       = 32       // the same, after the base was known without one
	looking     = 0.6      // of the limit during a look; less than 1/patience, or the base would grow with the limit
	lookingHard = 0.3      // the same, while nothing is sure
	up, down    = 0.2, 0.3 // share of a new latency that base takes over
)

// next returns the gradient after a window.
func (g gradient) next(w window) gradient {
	g.now = w.latency
	used := w.refused || w.inFlight >= g.limit/2
	switch {
	case g.whole > 0:
		return g.seen(w)
	case used && g.until <= 0 && g.base > 0:
		return g.learn(w, used).look()
	}
	g = g.learn(w, used)
	room := math.Exp2(g.allowed() - w.latency) // above one: requests take less than they may
	switch {
	case room < 1:
		g.limit *= max(room, least)
	case used:
		g.limit += math.Sqrt(g.limit) * min(1, (room-1)/(patience-1))
	}
	if g.until--; !used {
		g.every, g.until, g.sure = often, often, true
	}
	return g.bounded()
}

func (g gradient) bounded() gradient {
	g.limit = min(max(g.limit, g.min), g.max)
	return g
}

// look lets so few in for one window that nobody waits if the limit is right. Without it, a backend
// that was never seen but with too much to do would be taken for one that is well. While the limit is
// not used, the base is known without looking.
func (g gradient) look() gradient {
	g.whole = g.limit
	share := looking
	if !g.sure {
		share = lookingHard
	}
	g.limit = (g.limit - chance) * share
	return g.bounded()
}

// seen ends a look. If it found news, the next is soon; else the time to it doubles.
func (g gradient) seen(w window) gradient {
	d := w.latency - g.base
	g.every, g.sure = min(2*g.every, seldom), true
	switch {
	case d < -news:
		g.base, g.every = w.latency, 1
		g.sure = false
	case d < 0:
		g.base += d / 2
	default:
		g.base += up * d
	}
	g.limit, g.whole, g.until = g.whole, 0, g.every
	return g
}

// allowed is the latency that requests may have at the present limit. At what is left to chance or below it, they
// may have any.
func (g gradient) allowed() float64 {
	if g.limit <= chance+0.5 {
		return g.base + 64
	}
	return g.base + math.Log2(patience*g.limit/(g.limit-chance))
}

// learn moves the base. What a backend that is not fully used takes is the base; of one that is, it
// is only known that the base is less.
func (g gradient) learn(w window, used bool) gradient {
	d := w.latency - g.base
	switch {
	case g.base == 0 || d < -1:
		g.base = w.latency
	case d < 0:
		g.base += down * d
	case !used:
		g.base += up * d
	default:
		return g.doubt(w)
	}
	g.ref, g.same = point{}, 0
	return g
}

// doubt asks whether requests wait at all. If they do, fewer in flight take less, in proportion: the
// throughput is what it was. If they take as long as before, then that is what they take now, and
// the base is a thing of the past.
func (g gradient) doubt(w window) gradient {
	if w.latency <= g.base+math.Log2(patience) {
		g.ref, g.same = point{}, 0
		return g
	}
	if w.inFlight > fell*g.ref.inFlight {
		g.ref = point{max(g.ref.inFlight, w.inFlight), max(g.ref.latency, w.latency)} // a line takes time to grow
		g.same = 0
		return g
	}
	promised := g.ref.latency - math.Log2(g.ref.inFlight/w.inFlight)
	if w.latency < (promised+g.ref.latency)/2 {
		g.ref, g.same = point{w.inFlight, w.latency}, 0
		return g
	}
	if g.same++; g.same == 2 {
		g.base, g.ref, g.same = w.latency, point{}, 0
	}
	return g
}

// bounds of a window.
const (
	windowLeast = 100 * time.Millisecond // long
	windowMost  = time.Second            // after which few answers have to do
	manyAnswers = 100
	fewAnswers  = 20
	young       = 8 // times what requests take, in which nothing is believed: those that take long have not ended
)

// enough reports whether so many answers in so long are a window.
func (g gradient) enough(answers int, long time.Duration) bool {
	if long < windowLeast || float64(long) < math.Exp2(g.now) {
		return false
	}
	return answers >= manyAnswers || answers >= fewAnswers && long >= windowMost
}

// settling is how long after a change of the limit answers begin to tell of it: those who are before
// them in line have to leave.
func (g gradient) settling() time.Duration { return time.Duration(1.5 * math.Exp2(g.now)) }
