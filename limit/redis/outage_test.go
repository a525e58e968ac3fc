package redis

import (
	"testing"
	"time"
)

// Whoever knows all of this, and sends bursts to all instances at once, with pauses of any length,
// through a network that is slow and loses answers, gets no more than the overshoot, and a burst
// for each time that an instance took the losses for an outage.
func TestBurstsFromEverywhere(t *testing.T) {
	for seed := range uint64(60) {
		f := newFleet(seed, 1, per(1, 1))
		n := []int{1, 2, 5, 16}[f.r.IntN(4)]
		rate := []float64{1, 10, 60, 300}[f.r.IntN(4)]
		burst := int(rate*[]float64{0.2, 1, 4}[f.r.IntN(3)]) + 1
		f = newFleet(seed, n, per(rate, burst))
		slow := []time.Duration{time.Millisecond, 10 * time.Millisecond, 40 * time.Millisecond, 200 * time.Millisecond}[f.r.IntN(4)]
		lost := []float64{0, 0.05, 0.5}[f.r.IntN(3)] // of answers, or of questions
		f.latency = func(time.Duration) (there, back time.Duration, ok bool) {
			return f.upTo(slow), f.upTo(slow), f.r.Float64() >= lost
		}
		now := time.Duration(0)
		for range 60 {
			some := 1 + f.r.IntN(2*burst+2)
			first, spread := f.r.IntN(n), 1+f.r.IntN(n)
			gap := f.upTo(20*time.Millisecond) / time.Duration(some)
			for i := range min(3000, some*spread) {
				f.at(now+time.Duration(i/spread)*gap, func(now time.Duration) { f.request((first+i%spread)%n, now) })
			}
			now += seconds(f.r.ExpFloat64() * []float64{0.05, 0.3, 1}[f.r.IntN(3)] * float64(burst) / rate)
		}
		f.run()
		if over, most := f.most(), f.terms.overshoot()+float64(f.outages)*f.terms.burst; over > most {
			t.Errorf("seed %d: %d instances, rate %v, burst %d, latency %v, %v lost, %d outages: %.1f above the limit, want at most %.1f",
				seed, n, rate, burst, slow, lost, f.outages, over, most)
		}
	}
}

// While Redis is away each instance gives its share, all of it and no more; and when it is back, so
// is the limit of all together. The outage costs a burst at most.
func TestRedisGoesAndComes(t *testing.T) {
	const gone, back, end = 20 * time.Second, 50 * time.Second, 90 * time.Second
	for seed := range uint64(24) {
		n, rate := 1+int(seed%8), []float64{2, 20, 200}[seed%3]
		f := newFleet(seed, n, per(rate, 0))
		hung := seed%2 == 0 // else it refuses
		f.latency = func(now time.Duration) (there, back_ time.Duration, ok bool) {
			if now < gone || now >= back {
				return f.upTo(time.Millisecond), f.upTo(time.Millisecond), true
			}
			if hung {
				return back - now, 0, true // answers in the end
			}
			return 0, 0, false
		}
		even := make([]float64, n)
		for i := range even {
			even[i] = 1
		}
		f.load(0, end, min(40*rate, 1200), even...)
		f.run()
		if over, most := f.most(), f.terms.overshoot()+f.terms.burst; over > most {
			t.Errorf("seed %d: %d instances, rate %v: %.1f above the limit, want at most %.1f", seed, n, rate, over, most)
		}
		for what, phase := range map[string][2]time.Duration{
			"before": {5 * time.Second, gone}, "away": {gone + 2*time.Second, back}, "after": {back + 2*time.Second, end},
		} {
			want := rate * (phase[1] - phase[0]).Seconds()
			if got := float64(f.between(phase[0], phase[1])); got < 0.95*want-2 || got > 1.05*want+f.terms.over {
				t.Errorf("seed %d: %d instances, rate %v, %s: %v passed, want %v", seed, n, rate, what, got, want)
			}
		}
	}
}

// At one of many instances, a client gets its share while Redis is away, and all when it is back.
func TestTheShareIsAShare(t *testing.T) {
	f := newFleet(1, 5, per(50, 0))
	f.latency = func(now time.Duration) (there, back time.Duration, ok bool) {
		return 0, time.Millisecond, now < 10*time.Second || now >= 40*time.Second
	}
	f.load(0, 60*time.Second, 200, 1, 0, 0, 0, 0)
	f.run()
	for at, want := range map[time.Duration]float64{0: 50, 30 * time.Second: 10, 50 * time.Second: 50} {
		if got := float64(f.between(at, at+10*time.Second)) / 10; got < 0.95*want-1 || got > 1.05*want+11 {
			t.Errorf("from %v on: %v per second, want %v", at, got, want)
		}
	}
}

// Who does little while Redis is away finds his bucket full when it is back.
func TestAnOutageIsForgiven(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		f := newFleet(uint64(n), n, per(20, 0))
		f.latency = func(now time.Duration) (there, back time.Duration, ok bool) {
			return 0, time.Millisecond, now < 10*time.Second || now >= 10*time.Minute
		}
		even := make([]float64, n)
		for i := range even {
			even[i] = 1
		}
		f.load(9*time.Second, 10*time.Minute, 10, even...)
		f.load(10*time.Minute, 10*time.Minute+5*time.Second, 20, even...)
		f.run()
		came, passed := 0, f.between(10*time.Minute, time.Hour)
		for _, at := range f.came {
			if at >= 10*time.Minute {
				came++
			}
		}
		if passed < came-2 {
			t.Errorf("%d instances: %d of %d requests passed after an outage", n, passed, came)
		}
	}
}

// A Redis that is always slow costs no rate, neither in the one direction nor in the other.
func TestASlowRedisIsNoOutage(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		f := newFleet(uint64(n), n, per(20, 0))
		f.latency = func(time.Duration) (there, back time.Duration, ok bool) {
			return 100*time.Millisecond + f.upTo(100*time.Millisecond), f.upTo(200 * time.Millisecond), true
		}
		even := make([]float64, n)
		for i := range even {
			even[i] = 1
		}
		f.load(0, 5*time.Minute, 60, even...)
		f.run()
		if got, want := float64(f.between(20*time.Second, 5*time.Minute)), 20*280.; got < 0.9*want || got > 1.02*want {
			t.Errorf("%d instances: %v passed, want %v", n, got, want)
		}
	}
}

// Redis that loses everything gives each client one burst more, once.
func TestRedisForgets(t *testing.T) {
	for seed := range uint64(50) {
		f := newFleet(seed, 3, per(20, 0))
		f.load(0, 60*time.Second, 60, 1, 5, 1)
		f.at(30*time.Second, func(time.Duration) { f.bucket = bucket{} })
		f.run()
		over, before := f.most(), f.terms.overshoot()
		if over > before+f.terms.burst {
			t.Errorf("seed %d: %.1f above the limit, want at most %.1f", seed, over, before+f.terms.burst)
		}
	}
}

// What stands in Redis and lies far ahead delays a client for as long as the fleet could have
// overdrawn, and no longer.
func TestAHugeTimeDoesNotLast(t *testing.T) {
	f := newFleet(1, 4, per(10, 0))
	f.load(0, 40*time.Second, 30, 1, 1, 1, 1)
	f.at(10*time.Second, func(time.Duration) { f.bucket.full = 1e300 })
	f.run()
	if long := seconds(f.terms.over / f.terms.rate); f.between(10*time.Second+long, 40*time.Second) < int(0.95*f.terms.rate*(30-long.Seconds()))-2 {
		t.Errorf("%d passed after it", f.between(10*time.Second+long, 40*time.Second))
	}
}

// Two instances with nine tenths and one tenth of a client's requests: the small one is not starved,
// and the large one has the rest.
func TestNoInstanceStarves(t *testing.T) {
	for seed := range uint64(20) {
		for _, rate := range []float64{5, 50, 500} {
			f := newFleet(seed, 2, per(rate, 0))
			f.load(0, 60*time.Second, 2*rate, 9, 1)
			f.run()
			small := float64(f.by[1]) / float64(f.asked[1])
			large := float64(f.by[0]) / float64(f.asked[0])
			if small < 0.5 || large < 0.4 {
				t.Errorf("seed %d, rate %v: of its requests passed %.2f at the large instance and %.2f at the small", seed, rate, large, small)
			}
		}
	}
}

// Coming back after the wait is right, wherever the client was before.
func TestTheWaitIsTrue(t *testing.T) {
	for seed := range uint64(200) {
		f := newFleet(seed, 1, per(1, 1))
		rate := []float64{0.1, 0.7, 3, 20, 200}[f.r.IntN(5)]
		n := []int{1, 2, 8, 30}[f.r.IntN(4)]
		f = newFleet(seed, n, per(rate, int(rate)+1))
		away := f.r.IntN(4) == 0
		f.latency = func(time.Duration) (there, back time.Duration, ok bool) {
			return f.upTo(time.Millisecond), f.upTo(time.Millisecond), !away
		}
		for at := range int(3 * f.terms.burst) {
			f.at(time.Duration(at)*time.Millisecond, func(now time.Duration) { f.request(f.r.IntN(n), now) })
		}
		var again func(now time.Duration)
		refusals, wrong, came := 0, 0, 0
		again = func(now time.Duration) {
			wait, ok := f.request(0, now)
			if came++; came > 1000 {
				return
			}
			if ok {
				f.at(now+f.upTo(100*time.Millisecond), again)
				return
			}
			if refusals++; refusals > 20 {
				return
			}
			whole := (wait + time.Second - 1) / time.Second * time.Second
			f.at(now+max(whole, time.Second), func(now time.Duration) {
				if _, ok := f.request(0, now); !ok {
					wrong++
				}
				f.at(now+time.Millisecond, again)
			})
		}
		f.at(time.Duration(4*f.terms.burst)*time.Millisecond, again)
		f.run()
		if wrong > min(1, n-1) { // what others have not told yet cannot be known
			t.Errorf("seed %d: rate %v, %d instances, away %v: refused again after the wait, %d times of %d", seed, rate, n, away, wrong, refusals)
		}
	}
}
