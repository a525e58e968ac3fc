package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// hangRows are the faults in which backends are there and slow, or half dead.
func hangRows() []row {
	rows := []row{
		{id: "F2", title: "a backend hangs", compare: true, run: hang,
			inject: "SIGSTOP one backend for 4 s; it still accepts connections",
			accept: "no GET fails, at most 14 POSTs, none twice, at most 58 requests take longer than 1 s; no goroutines left"},
		{id: "F6", title: "a backend dribbles", run: dribbling, flags: []string{"-retries=0"},
			inject: "heads and bodies that come late, byte by byte, or never",
			accept: "504 at the header timeout ± 100 ms; what makes progress arrives whole; what stops is cut visibly"},
	}
	const fades = "a plain 500 is no failure that ejects; policies that go by the error rate avoid a backend until that has faded, and then ask again"
	slow := map[string]string{"power-of-two": "power-of-two compares requests in flight, and those are mostly none at this rate; nothing ejects for latency"}
	failing := map[string]string{"power-of-two": "a plain 500 is no failure that ejects, and power-of-two compares requests in flight only", "peak-ewma": fades, "adaptive": fades}
	for _, policy := range []string{"power-of-two", "peak-ewma", "adaptive"} {
		rows = append(rows,
			row{id: "F28-" + policy, title: "a backend is ten times slower, " + policy, flags: []string{"-policy=" + policy}, why: slow[policy], run: slowOne,
				inject: "one of three backends works for 50 ms instead of 5",
				accept: "its share is at most a tenth later than 1 s after, or it is ejected within 10 s; never more than half are"},
			row{id: "F28e-" + policy, title: "a backend fails a twentieth, " + policy, flags: []string{"-policy=" + policy}, why: failing[policy], run: failingOne,
				inject: "one of three backends answers 5 % with a 500",
				accept: "its share is at most a tenth, or it is ejected within 10 s; never more than half are"})
	}
	return rows
}

func hang(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	b, before := s.backends[0], f.goroutines(s.ctx)
	begin, pause := s.pick(1500*time.Millisecond, 500*time.Millisecond), s.pick(4*time.Second, 2500*time.Millisecond)
	var stopped, back time.Duration
	s.atEnd(func() { _ = resume(b.cmd.Process.Pid) })
	o, l, err := s.measure(f.addr, rate, s.pick(8*time.Second, 4*time.Second), func(p *play) error {
		if err := p.at(begin); err != nil {
			return err
		}
		stopped = p.now()
		if err := errors.Join(suspend(b.cmd.Process.Pid), p.at(begin+pause)); err != nil {
			return err
		}
		back = p.now()
		return resume(b.cmd.Process.Pid)
	})
	if err != nil {
		return nil, err
	}
	o.detected, o.recovered = lastBad(l.shots, stopped, back), firstAnswer(l.shots, back+50*time.Millisecond, b.id)
	o.count("failed GETs", o.badGets, 0)
	o.count("failed POSTs", o.badPosts, 14)
	o.count(twice, o.twice, 0)
	o.timedCount("longer than 1 s (35 is the goal)", o.verySlow, 58)
	if f.admin != "" {
		o.timedCount("goroutines left", max(0, f.goroutines(s.ctx)-before), 10)
		o.note("%s", o.causes())
	}
	return o, nil
}

// slowOne and failingOne make one backend half dead.
func slowOne(s *stage) (*outcome, error) { return halfDead(s, "work=50ms") }

func failingOne(s *stage) (*outcome, error) { return halfDead(s, "errors=0.05") }

func halfDead(s *stage, words string) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	b := s.backends[0]
	ejected, most := time.Duration(-1), 0
	var begun time.Duration
	length := s.pick(14*time.Second, 3*time.Second)
	o, l, err := s.measure(f.addr, rate, length, func(p *play) error {
		if err := p.at(time.Second / 2); err != nil {
			return err
		}
		begun = p.now()
		_, err := b.tell(words)
		for err == nil && p.now() < length-200*time.Millisecond {
			var out []string
			if out, err = p.whoIsOut(f); len(out) > 0 && ejected < 0 && strings.HasPrefix(out[0], b.id) {
				ejected = p.now() - begun
			}
			most = max(most, len(out))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	o.judgeShare(l.shots, b.id, begun+time.Second, ejected)
	o.count("backends out at a time", most, 1)
	return o, nil
}

// whoIsOut asks the demo a tenth of a second from now.
func (p *play) whoIsOut(f *front) ([]string, error) {
	if err := p.at(p.now() + 100*time.Millisecond); err != nil {
		return nil, err
	}
	st, err := f.status(p.ctx)
	return st.troubled(), err
}

// judgeShare wants a backend to get a tenth of the requests that are due later than from, or to be
// out soon.
func (o *outcome) judgeShare(shots []shot, id string, from, ejected time.Duration) {
	part, whole := 0, 0
	for _, shot := range shots {
		if shot.at >= from {
			if whole++; shot.backend == id {
				part++
			}
		}
	}
	o.detected = ejected
	share := 100 * float64(part) / float64(max(1, whole))
	if ejected >= 0 && share > 10 {
		o.within("ejected after", ejected, 10*time.Second)
	} else {
		o.percent("share of the half-dead backend", part, whole, 10)
		o.laws[len(o.laws)-1].timed = true // policies go by times
	}
	o.note("share %.1f %%, out after %s", share, span(ejected))
	o.note("%s", o.causes())
}

// goroutines is how many the demo says that it has; 0 if it says nothing.
func (f *front) goroutines(ctx context.Context) int { return int(f.metric(ctx, "go_goroutines")) }

// metric reads one number that the demo exports, or 0.
func (f *front) metric(ctx context.Context, name string) (value float64) {
	if f.admin == "" {
		return 0
	}
	status, _, text, err := fetch(ctx, "http://"+f.admin+"/prometheus")
	if err != nil || status != http.StatusOK {
		return 0
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, _ = fmt.Sscan(rest, &value)
		}
	}
	return value
}

// fetch gets a page, over a connection of its own.
func fetch(ctx context.Context, url string) (status int, took time.Duration, text string, err error) {
	client := newClient(slack)
	defer client.CloseIdleConnections()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, time.Since(began), "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, time.Since(began), string(all), err
}

// dribbles is what came of answers that come late, or little by little.
type dribbles struct {
	mu    sync.Mutex
	wrong int           // late heads that were no 504
	whole int           // bodies that arrived as they were sent
	off   time.Duration // by how much a 504 missed the header timeout at most
	cut   int           // bodies that stopped, and broke off visibly
}

// dribbling asks for three kinds of answers, several times each, beside the usual load.
func dribbling(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	const each = 10
	var d dribbles
	o, _, err := s.measure(f.addr, rate, s.pick(10*time.Second, 3*time.Second), func(p *play) error {
		var all sync.WaitGroup
		for range each {
			all.Go(func() { d.late(p.ctx, f) })
			all.Go(func() { d.slow(p.ctx, f) })
		}
		if !s.h.short {
			d.cut = stalled(p.ctx, f, each, 40*time.Second)
		}
		all.Wait()
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.count("failed GETs of others", o.badGets, 0)
	o.count("late heads that were no 504", d.wrong, 0)
	o.within("a 504 was off by", d.off, 100*time.Millisecond)
	o.least("dribbles that arrived whole", d.whole, each)
	if s.h.short {
		o.note("stalled bodies wait for the transport's 30 s, and are not awaited in a short run")
	} else {
		o.least("stalled bodies cut visibly within 40 s", d.cut, each)
	}
	return o, nil
}

// late asks for an answer that comes after the header timeout of two seconds.
func (d *dribbles) late(ctx context.Context, f *front) {
	status, took, _, err := fetch(ctx, "http://"+f.addr+"/dribble?n=1&head=10s")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = max(d.off, (took - 2*time.Second).Abs())
	if err != nil || status != http.StatusGatewayTimeout {
		d.wrong++
	}
}

// slow asks for a body that takes two seconds.
func (d *dribbles) slow(ctx context.Context, f *front) {
	status, _, text, err := fetch(ctx, "http://"+f.addr+"/dribble?n=20&every=100ms")
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && status == http.StatusOK && len(text) == 20 {
		d.whole++
	}
}

// stalled asks n times for a body that stops half way, and counts those that break off in time,
// as opposed to ending well.
func stalled(ctx context.Context, f *front, n int, most time.Duration) (cutOff int) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var all sync.WaitGroup
	broken := make([]bool, n)
	for i := range n {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.addr+"/dribble?n=3&stall=true", nil)
			if err != nil {
				return
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			broken[i] = err != nil && ctx.Err() == nil
		})
	}
	all.Wait()
	for _, b := range broken {
		if b {
			cutOff++
		}
	}
	return cutOff
}
