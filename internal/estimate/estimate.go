// Package estimate says how long a backend's requests take, as a backend itself sees it.
package estimate

import (
	"math"
	"time"
)

const (
	kept   = 48 // requests that are remembered
	wanted = 7  // requests that an estimate is made of, if there are as many
)

// Latencies estimates how long a request takes that finds so many in flight: the median of those
// that have ended and found about as many, as in Prequal (Wydrowski, Kleinberg, Rumble and Archer,
// 2024). It remembers the last 48, however old they are: who is avoided by all would run out of
// young ones, and whatever stands in for them makes a slow backend look fast again.
//
// The zero value has seen nothing. One goroutine uses it at a time.
type Latencies struct {
	ring [kept]sample
	n    int // samples in ring
	next int // where the next goes
}

// sample is one request that has ended.
type sample struct {
	inFlight int64 // that it found
	latency  time.Duration
}

// Add notes that a request which found inFlight others took latency.
func (l *Latencies) Add(inFlight int64, latency time.Duration) {
	l.ring[l.next] = sample{inFlight, max(1, latency)}
	l.next = (l.next + 1) % kept
	l.n = min(l.n+1, kept)
}

// At estimates the latency of a request that finds inFlight others: the median of the at least seven
// samples whose numbers are nearest, all of the farthest distance included. If all of these found
// fewer, it grows in proportion to inFlight+1: with more work than was ever seen, each gets less of
// the machine. It is zero if nothing has ended yet.
func (l *Latencies) At(inFlight int64) time.Duration {
	if l.n == 0 {
		return 0
	}
	within, most := l.reach(inFlight), int64(0)
	var near [kept]time.Duration
	count := 0
	for _, s := range l.ring[:l.n] {
		if distance(s.inFlight, inFlight) > within {
			continue
		}
		most = max(most, s.inFlight)
		at := count
		for ; at > 0 && near[at-1] > s.latency; at-- {
			near[at] = near[at-1]
		}
		near[at] = s.latency
		count++
	}
	median := near[(count-1)/2]
	if most >= inFlight {
		return median
	}
	scaled := float64(median) * float64(inFlight+1) / float64(most+1)
	return time.Duration(min(scaled, math.MaxInt64/2))
}

// reach returns the distance within which there are enough samples.
func (l *Latencies) reach(inFlight int64) int64 {
	var least [wanted]int64
	count := 0
	for _, s := range l.ring[:l.n] {
		d := distance(s.inFlight, inFlight)
		at := count
		if count == wanted {
			if d >= least[wanted-1] {
				continue
			}
			at--
		} else {
			count++
		}
		for ; at > 0 && least[at-1] > d; at-- {
			least[at] = least[at-1]
		}
		least[at] = d
	}
	return least[count-1]
}

func distance(a, b int64) int64 {
	if a > b {
		return a - b
	}
	return b - a
}
