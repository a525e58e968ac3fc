package autoscale

import (
	"math"
	"time"
)

// span is what one interval saw.
type span struct {
	end    time.Time
	length time.Duration
	begun  int64   // requests
	flight float64 // mean number of them in flight
	load   float64 // what the plan makes of both
	unfit  int     // backends

	answered, failed int64
}

// spans are those of a window, oldest first.
type spans []span

// add returns the spans with one more and without those before the window.
func (s spans) add(l Load, load float64, window time.Duration) spans {
	for len(s) > 0 && l.Now.Sub(s[0].end) >= window {
		s = s[1:]
	}
	next := make(spans, len(s), len(s)+1)
	copy(next, s)
	return append(next, span{
		end: l.Now, length: l.Interval, begun: l.Begun, flight: l.Concurrency, load: load,
		unfit: l.Backends - l.Starting - l.Fit, answered: l.Requests, failed: l.Failed,
	})
}

// means are a window's.
type means struct {
	rate   float64 // requests begun per second
	flight float64 // in flight
	load   float64 // what the plan makes of both
}

// mean averages over the window that ends now. A span that began before it counts in part.
func (s spans) mean(now time.Time, window time.Duration) (m means) {
	var begun, busy, load, whole float64
	for i := len(s) - 1; i >= 0; i-- {
		within := min(s[i].length, window-now.Sub(s[i].end))
		if within <= 0 {
			break
		}
		begun += float64(s[i].begun) * float64(within) / float64(s[i].length)
		busy += s[i].flight * within.Seconds()
		load += s[i].load * within.Seconds()
		whole += within.Seconds()
	}
	if whole == 0 {
		return m
	}
	return means{rate: begun / whole, flight: busy / whole, load: load / whole}
}

// troubled reports whether a low load proves nothing, as Load.troubled does for one interval, in
// which with few requests a single failure would.
func (s spans) troubled() bool {
	var all Load
	for i := range s {
		all.Requests += s[i].answered
		all.Failed += s[i].failed
	}
	return all.troubled()
}

// unfit returns how many backends were unfit throughout.
func (s spans) unfit() int {
	least := s[0].unfit
	for i := range s {
		least = min(least, s[i].unfit)
	}
	return least
}

// peak is the most that was needed at a time and after it.
type peak struct {
	at   time.Time
	need float64
}

// peaks are the maxima of a window, falling: only what no later one exceeds can be its top.
type peaks []peak

func (p peaks) add(now time.Time, need float64, window time.Duration) peaks {
	for len(p) > 0 && now.Sub(p[0].at) >= window {
		p = p[1:]
	}
	for len(p) > 0 && p[len(p)-1].need <= need {
		p = p[:len(p)-1]
	}
	next := make(peaks, len(p), len(p)+1)
	copy(next, p)
	return append(next, peak{at: now, need: need})
}

// top is the largest.
func (p peaks) top() float64 { return p[0].need }

// decay is the weight that an exponential mean with this time constant keeps over a time.
func decay(over, constant time.Duration) float64 {
	return math.Exp(-over.Seconds() / constant.Seconds())
}
