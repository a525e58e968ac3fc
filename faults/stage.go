package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// stage is one run of a row with one proxy: its processes, which end with it.
type stage struct {
	ctx      context.Context
	h        *harness
	row      row
	dir      string
	by       *foreign // nil: the demo
	backends []*backend

	mu   sync.Mutex
	ends []func()
}

// backend is a backend process, or the place of one that is down.
type backend struct {
	*process
	s      *stage
	id     string
	addr   string
	ledger string
	idle   time.Duration
}

func (s *stage) atEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, f)
}

func (s *stage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
}

// pick is full, or brief in a short run.
func (s *stage) pick(full, brief time.Duration) time.Duration {
	if s.h.short {
		return brief
	}
	return full
}

// front starts the proxy under test.
func (s *stage) front(flags ...string) (*front, error) {
	if s.by != nil {
		return s.startForeign(*s.by)
	}
	return s.startDemo(flags...)
}

// addBackends starts n more backends, which keep idle connections for that long.
func (s *stage) addBackends(n int, idle time.Duration) error {
	for range n {
		addr, err := s.h.freeAddr()
		if err != nil {
			return err
		}
		id := fmt.Sprintf("b%d", len(s.backends))
		b := &backend{s: s, id: id, addr: addr, ledger: filepath.Join(s.dir, id), idle: idle}
		if err := b.restart(); err != nil {
			return err
		}
		s.backends = append(s.backends, b)
		s.atEnd(func() { b.kill() })
	}
	return nil
}

// restart starts the backend's process, and returns when it listens.
func (b *backend) restart() (err error) {
	b.process, err = b.s.h.role("backend", b.addr, b.id, b.ledger, b.idle.String())
	return err
}

// tell changes what the backend does, see worker, and returns what it has seen.
func (b *backend) tell(words string) (c counts, err error) {
	return c, b.ask(&c, "%s", words)
}

// record reads what the backends have executed: how often, by ID.
func (s *stage) record() (map[string]int, error) {
	times := map[string]int{}
	err := s.eachLine(func(line string) {
		if !strings.Contains(line, " ") { // else it is of a leaver
			times[line]++
		}
	})
	return times, err
}

func (s *stage) eachLine(visit func(line string)) error {
	for _, b := range s.backends {
		file, err := os.Open(b.ledger)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			visit(lines.Text())
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// play loads a proxy, and runs a script beside the load.
type play struct {
	*stage
	*load
}

// during loads addr while script runs, and waits for both.
func (s *stage) during(addr string, rate float64, length time.Duration, script func(*play) error) (*load, error) {
	return s.beside(&load{addr: addr, rate: rate, length: length}, script)
}

// beside runs a load while script runs, and waits for both.
func (s *stage) beside(l *load, script func(*play) error) (*load, error) {
	l.began = time.Now()
	l.prefix = fmt.Sprintf("r%d", l.began.UnixNano())
	p := &play{s, l}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	var both sync.WaitGroup
	both.Go(func() {
		if err := script(p); err != nil {
			cancel(err)
		}
	})
	err := l.run(ctx)
	both.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return l, cause
	}
	return l, err
}

// at waits until that long after the load began.
func (p *play) at(since time.Duration) error { return sleepUntil(p.ctx, p.began.Add(since)) }

// now is how long ago the load began.
func (p *play) now() time.Duration { return time.Since(p.began) }

// measure is during, and counts what came of the load.
func (s *stage) measure(addr string, rate float64, length time.Duration, script func(*play) error) (*outcome, *load, error) {
	l, err := s.during(addr, rate, length, script)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.tally(l)
	return o, l, err
}

// nothing is a script that leaves a load alone.
func nothing(*play) error { return nil }

// tally counts what came of a load.
func (s *stage) tally(l *load) (*outcome, error) {
	record, err := s.record()
	if err != nil {
		return nil, err
	}
	return tally(l.shots, record), nil
}
