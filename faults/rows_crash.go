package main

import (
	"errors"
	"sync"
	"time"
)

const (
	rate = 100 // requests a second, where a row says nothing else
	keep = time.Minute
)

// crashRows are the faults in which backends die.
func crashRows() []row {
	return []row{
		{id: "F1", title: "one of three backends dies", compare: true, run: killOne,
			inject: "kill -9 one backend, start it again after 3 s",
			accept: "no GET fails, POSTs at most those in flight, none twice, all within 300 ms; ejected after 3 failures; back within 2 s"},
		{id: "F24", title: "rolling restart", compare: true, run: rolling,
			inject: "kill -9 one backend after the other, each down for 1.2 s",
			accept: "no GET fails, at most one POST for each restart, none twice, all within 300 ms"},
		{id: "F12", title: "all backends are down", compare: true, run: outage,
			inject: "kill -9 all, start them again after 2 s",
			accept: "at most 25 more fail than were due meanwhile; answers again within 500 ms"},
		{id: "F12w", title: "all backends are down, requests wait", run: outageWaiting, needs: []string{"-wait-for-backend=2s"},
			inject: "as F12",
			accept: "at most 100 of 900 fail; answers again within 500 ms"},
		{id: "F12b", title: "a long outage of all", run: longOutage, bound: 3 * time.Minute,
			inject: "all backends reset every request for 60 s",
			accept: "attempts, as backends count them, at most 1.2 × requests + 10"},
		{id: "F12c", title: "a long outage of all, without breakers", run: longOutage, bound: 3 * time.Minute, flags: []string{"-breaker=false"},
			inject: "as F12b; nothing but the retry budget bounds the attempts",
			accept: "attempts, as backends count them, at most 1.2 × requests + 10"},
		{id: "F13", title: "thundering herd on recovery", run: herd,
			inject: "500/s; kill -9 all, one comes back after 2 s with room for 50, the others 2 s later",
			accept: "at most 1 % of 503 for want of room afterwards; attempts at most 1.2 × requests + 10"},
	}
}

// crowd starts three backends and the proxy under test.
func (s *stage) crowd() (*front, error) {
	if err := s.addBackends(3, keep); err != nil {
		return nil, err
	}
	return s.front()
}

func killOne(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	down, up := s.pick(2*time.Second, time.Second), s.pick(5*time.Second, 2200*time.Millisecond)
	b, failures := s.backends[0], 0
	var killed, back time.Duration
	o, l, err := s.measure(f.addr, rate, s.pick(8*time.Second, 4*time.Second), func(p *play) error {
		if err := p.at(down); err != nil {
			return err
		}
		killed = p.now()
		b.kill()
		if err := errors.Join(p.at(up), b.countErrors(f, &failures)); err != nil {
			return err
		}
		err := b.restart()
		back = p.now()
		return err
	})
	if err != nil {
		return nil, err
	}
	o.detected = lastBad(l.shots, killed, back)
	o.recovered = firstAnswer(l.shots, back, b.id)
	o.count("failed GETs", o.badGets, 0)
	o.count("failed POSTs", o.badPosts, max(1, inFlight(l.shots, killed)))
	o.count(twice, o.twice, 0)
	o.within("slowest", o.slowest, 300*time.Millisecond)
	if f.admin != "" {
		o.timedCount("failed attempts at the dead backend", failures, 3)
		o.within("back after", positive(o.recovered), 2*time.Second)
	}
	return o, nil
}

// countErrors notes how many attempts at the backend have failed, as the demo says.
func (b *backend) countErrors(f *front, n *int) error {
	if f.admin == "" {
		return nil
	}
	st, err := f.status(b.s.ctx)
	_, *n = st.of(b.id)
	return err
}

// positive is d, or an hour for what never happened.
func positive(d time.Duration) time.Duration {
	if d < 0 {
		return time.Hour
	}
	return d
}

// inFlight counts the POSTs that were under way at a moment, give or take what a signal needs.
func inFlight(shots []shot, at time.Duration) (n int) {
	for _, s := range shots {
		if s.post && s.at <= at+5*time.Millisecond && s.ended() >= at-5*time.Millisecond {
			n++
		}
	}
	return n
}

func rolling(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	gap, down := s.pick(2500*time.Millisecond, 1200*time.Millisecond), s.pick(1200*time.Millisecond, 600*time.Millisecond)
	var killed time.Duration
	o, l, err := s.measure(f.addr, rate, gap*time.Duration(len(s.backends))+gap/2, func(p *play) error {
		for i, b := range s.backends {
			start := gap*time.Duration(i) + gap/2
			if err := p.at(start); err != nil {
				return err
			}
			killed = p.now()
			b.kill()
			if err := errors.Join(p.at(start+down), b.restart()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.detected = lastBad(l.shots, killed, killed+down)
	o.count("failed GETs", o.badGets, 0)
	o.count("failed POSTs", o.badPosts, len(s.backends))
	o.count(twice, o.twice, 0)
	o.within("slowest", o.slowest, 300*time.Millisecond)
	return o, nil
}

// blackout loads a proxy while all backends are down, and says when that was.
func (s *stage) blackout(f *front, rate float64, length, down time.Duration) (l *load, killed, back time.Duration, err error) {
	l, err = s.during(f.addr, rate, length, func(p *play) error {
		if err := p.at(length / 4); err != nil {
			return err
		}
		killed = p.now()
		for _, b := range s.backends {
			b.kill()
		}
		if err := p.at(length/4 + down); err != nil {
			return err
		}
		err := s.restartAll(s.backends)
		back = p.now()
		return err
	})
	return l, killed, back, err
}

// restartAll starts backends again, at the same time.
func (s *stage) restartAll(all []*backend) error {
	errs := make([]error, len(all))
	var started sync.WaitGroup
	for i, b := range all {
		started.Go(func() { errs[i] = b.restart() })
	}
	started.Wait()
	return errors.Join(errs...)
}

func outage(s *stage) (*outcome, error) {
	o, down, err := s.blackedOut()
	if err != nil {
		return nil, err
	}
	o.count("failed", o.badGets+o.badPosts, int(rate*down.Seconds())+25)
	return o, nil
}

func outageWaiting(s *stage) (*outcome, error) {
	o, down, err := s.blackedOut()
	if err != nil {
		return nil, err
	}
	o.count("failed", o.badGets+o.badPosts, int(rate*down.Seconds())/2)
	return o, nil
}

func (s *stage) blackedOut() (o *outcome, down time.Duration, err error) {
	f, err := s.crowd()
	if err != nil {
		return nil, 0, err
	}
	l, killed, back, err := s.blackout(f, rate, s.pick(9*time.Second, 4*time.Second), s.pick(2*time.Second, time.Second))
	if err != nil {
		return nil, 0, err
	}
	if o, err = s.tally(l); err != nil {
		return nil, 0, err
	}
	o.recovered = max(lastBad(l.shots, back, l.length), positive(firstAnswer(l.shots, back, "")))
	o.count(twice, o.twice, 0)
	o.within("answers again after", o.recovered, 500*time.Millisecond)
	slowest := time.Duration(0)
	for _, s := range l.shots {
		if s.err != nil && s.at > killed && s.ended() < back {
			slowest = max(slowest, s.took)
		}
	}
	if f.admin != "" && len(s.row.needs) == 0 {
		o.within("slowest refusal", slowest, 50*time.Millisecond)
	}
	o.note("down for %s: %s", (back - killed).Round(time.Millisecond), o.causes())
	return o, back - killed, nil
}

func longOutage(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	before, err := s.tellAll("reset=true")
	if err != nil {
		return nil, err
	}
	l, err := s.during(f.addr, rate, s.pick(time.Minute, 3*time.Second), nothing)
	if err != nil {
		return nil, err
	}
	after, err := s.tellAll("reset=false")
	if err != nil {
		return nil, err
	}
	o, err := s.tally(l)
	if err != nil {
		return nil, err
	}
	attempts := after.Requests - before.Requests
	o.count("attempts", int(attempts), len(l.shots)*12/10+10)
	o.note("%d attempts for %d requests: %s", attempts, len(l.shots), o.causes())
	return o, nil
}

// tellAll tells all backends, and returns what they have seen together.
func (s *stage) tellAll(words string) (sum counts, err error) {
	for _, b := range s.backends {
		c, err := b.tell(words)
		if err != nil {
			return sum, err
		}
		sum.Requests += c.Requests
		sum.Refused += c.Refused
		sum.Peak = max(sum.Peak, c.Peak)
	}
	return sum, nil
}

func herd(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	const rate = 500
	begin, down := s.pick(2*time.Second, 500*time.Millisecond), s.pick(2*time.Second, time.Second)
	var back time.Duration
	var early counts
	l, err := s.during(f.addr, rate, s.pick(10*time.Second, 4*time.Second), func(p *play) error {
		if err := p.at(begin); err != nil {
			return err
		}
		for _, b := range s.backends {
			b.kill()
		}
		first := s.backends[0]
		if err := errors.Join(p.at(begin+down), first.restart()); err != nil {
			return err
		}
		back = p.now()
		if _, err := first.tell("work=50ms capacity=50"); err != nil {
			return err
		}
		if err := p.at(begin + 2*down); err != nil {
			return err
		}
		if early, err = first.tell(""); err != nil {
			return err
		}
		return s.restartAll(s.backends[1:])
	})
	if err != nil {
		return nil, err
	}
	return s.judgeHerd(f, l, back, early)
}

func (s *stage) judgeHerd(f *front, l *load, back time.Duration, early counts) (*outcome, error) {
	o, err := s.tally(l)
	if err != nil {
		return nil, err
	}
	seen, err := s.backends[0].tell("")
	if err != nil {
		return nil, err
	}
	st, err := f.status(s.ctx)
	if err != nil {
		return nil, err
	}
	after, failed := 0, 0
	for _, shot := range l.shots {
		if shot.at > back+500*time.Millisecond {
			if after++; shot.err != nil {
				failed++
			}
		}
	}
	o.recovered = max(lastBad(l.shots, back, l.length), positive(firstAnswer(l.shots, back, "")))
	o.percent("503 for want of room, of the requests since", int(seen.Refused), after, 1)
	o.percent("failed later than 500 ms after", failed, after, 1)
	o.count("attempts", st.attempts(), len(l.shots)*12/10+10)
	o.note("alone, the first one back served %d and refused %d, at most %d at once", early.Requests-early.Refused, early.Refused, early.Peak)
	o.note("%s", o.causes())
	return o, nil
}
