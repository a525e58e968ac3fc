package main

import (
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// changeRows are what operators do.
func changeRows() []row {
	return []row{
		{id: "F17", title: "changes under load", run: changes,
			inject: "500/s through a program that embeds the library; 100 times in 10 s it removes, adds, weights or drains a backend",
			accept: "no request fails, none reaches a backend after its removal, shares are within 2 % of the weights afterwards"},
		{id: "F18", title: "graceful shutdown", run: shutdown, flags: []string{"-shutdown-timeout=4s", "-header-timeout=5s"},
			inject: "200/s, every twentieth takes 2 s, a WebSocket and an event stream; SIGTERM, and clients turn to a second instance when /ready says so",
			accept: "no request fails that was accepted; tunnel and stream end, and the process with code 0, within 5 s"},
	}
}

// program is the front of a process that embeds the library.
func (s *stage) program() (*front, error) {
	addr, err := s.h.freeAddr()
	if err != nil {
		return nil, err
	}
	words := []string{"program", addr}
	for _, b := range s.backends {
		words = append(words, b.id+"=http://"+b.addr)
	}
	p, err := s.h.role(words...)
	if err != nil {
		return nil, err
	}
	f := &front{process: p, addr: addr}
	s.atEnd(p.kill)
	return f, s.settle(f)
}

// order has a program change its pool.
func (f *front) order(format string, args ...any) error {
	var t told
	if err := f.ask(&t, format, args...); err != nil {
		return err
	}
	if t.Error != "" {
		return fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), t.Error)
	}
	return nil
}

func changes(s *stage) (*outcome, error) {
	if err := s.addBackends(4, keep); err != nil {
		return nil, err
	}
	f, err := s.program()
	if err != nil {
		return nil, err
	}
	rate, n := 500.0, 100
	if s.h.short {
		rate, n = 200, 30
	}
	late := 0
	o, _, err := s.measure(f.addr, rate, time.Duration(n+2)*100*time.Millisecond, func(p *play) error {
		for i := range n / 4 * 4 {
			if err := p.at(time.Duration(i) * 100 * time.Millisecond); err != nil {
				return err
			}
			if err := s.change(f, i, &late); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	off, err := s.shares(f)
	o.count("failed GETs", o.badGets, 0)
	o.count("failed POSTs", o.badPosts, 0)
	o.count(twice, o.twice, 0)
	o.count("requests that reached a removed backend", late, 0)
	o.laws = append(o.laws, law{what: "farthest share from its weight", got: off, most: 2, unit: "%"})
	o.note("%s", o.causes())
	return o, err
}

// change is the i-th one: each four remove a backend, add it again, weight another and drain one.
func (s *stage) change(f *front, i int, late *int) error {
	b := s.backends[i/4%len(s.backends)]
	other := s.backends[(i/4+1)%len(s.backends)]
	switch i % 4 {
	case 0:
		if err := f.order("remove %s", b.id); err != nil {
			return err
		}
		before, err := b.tell("")
		if err != nil {
			return err
		}
		time.Sleep(60 * time.Millisecond) // whoever comes late comes now
		after, err := b.tell("")
		*late += int(after.Requests - before.Requests)
		return err
	case 1:
		return f.order("add %s http://%s 2", b.id, b.addr)
	case 2:
		return f.order("weight %s %d", other.id, 1+i%7)
	}
	if err := f.order("drain %s", other.id); err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond)
	return f.order("undrain %s", other.id)
}

// shares gives the backends weights, and returns by how many percent of all requests the share of
// one is off at most.
func (s *stage) shares(f *front) (off float64, err error) {
	sum := 0
	for i, b := range s.backends {
		sum += i + 1
		if err := f.order("weight %s %d", b.id, i+1); err != nil {
			return 0, err
		}
	}
	if err := s.settle(f); err != nil {
		return 0, err
	}
	l, err := s.during(f.addr, 500, s.pick(4*time.Second, time.Second), nothing)
	got := map[string]int{}
	for _, shot := range l.shots {
		got[shot.backend]++
	}
	for i, b := range s.backends {
		want := 100 * float64(i+1) / float64(sum)
		off = max(off, math.Abs(want-100*float64(got[b.id])/float64(max(1, len(l.shots)))))
	}
	return off, err
}

// grace is the -shutdown-timeout of F18.
const grace = 4 * time.Second

// shutdown has clients move from one instance to another that takes over.
func shutdown(s *stage) (*outcome, error) {
	old, err := s.crowd()
	if err != nil {
		return nil, err
	}
	next, err := s.startDemo()
	if err != nil {
		return nil, err
	}
	tunnel, stream := stay(old.addr, "tunnel"), stay(old.addr, "events")
	var moved atomic.Bool
	l := &load{rate: 200, length: s.pick(9*time.Second, 4500*time.Millisecond), fallback: next.addr}
	l.aim = func(i int) (addr, path string) {
		if addr = old.addr; moved.Load() {
			addr = next.addr
		}
		if i%20 == 0 {
			path = "wait?for=2s"
		}
		return addr, path
	}
	ended := make(chan time.Duration, 1)
	if _, err := s.beside(l, func(p *play) error { return s.replace(p, old, &moved, ended) }); err != nil {
		return nil, err
	}
	o, err := s.tally(l)
	if err != nil {
		return nil, err
	}
	took := <-ended
	o.count("failed GETs", o.badGets, 0)
	o.count("failed POSTs", o.badPosts, 0)
	o.count(twice, o.twice, 0)
	o.within("the process ended after", took, grace+time.Second)
	o.count("its exit code", old.code, 0)
	o.judgeStay("the tunnel", tunnel)
	o.judgeStay("the stream", stream)
	o.note("%d requests were refused before anything was sent, and went to the second instance; %s", l.refused.Load(), o.causes())
	return o, nil
}

// replace ends an instance, and has clients move as soon as it says that it is not ready.
func (s *stage) replace(p *play, old *front, moved *atomic.Bool, ended chan<- time.Duration) error {
	if err := p.at(s.pick(2*time.Second, time.Second)); err != nil {
		return err
	}
	go func() {
		took, _ := old.terminate(grace + 4*time.Second)
		ended <- took
	}()
	for !moved.Load() {
		status, _, _, err := fetch(p.ctx, "http://"+old.admin+"/ready")
		moved.Store(err != nil || status != http.StatusOK)
		if err := p.at(p.now() + 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
