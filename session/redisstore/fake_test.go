package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// world is a Redis of several stores, on virtual time: it takes its time, it comes and goes, and
// it tells of changes, in the order on each connection in which they happened, as Redis does.
type world struct {
	t  testing.TB
	mu sync.Mutex
	on sync.WaitGroup // what is on its way

	draws  *rand.Rand
	ttl    time.Duration
	down   bool // connections are refused
	silent bool // nothing is answered
	values map[string]stood
	lines  []*line
	// history has all values that a key ever had, with the time at which it got them.
	history          map[string][]stood
	execs, prolonged atomic.Int64
}

// stood is a value and how long it stands, or since when it did.
type stood struct {
	value string
	at    time.Time
}

// line is a store's connection.
type line struct {
	w       *world
	s       *Store
	tracks  bool // Redis can tell of changes
	tracked map[string]bool
	life    int       // of the connection: another after each loss
	last    time.Time // when the latest answer or change arrives
}

const (
	slowest = 3 * time.Millisecond // each way
	waits   = 50 * time.Millisecond
)

func newWorld(t testing.TB, seed uint64) *world {
	return &world{
		t: t, draws: rand.New(rand.NewPCG(seed, 1)), ttl: time.Minute,
		values: map[string]stood{}, history: map[string][]stood{},
	}
}

// store returns another store. Its Close does not reach redisconn, which it has not.
func (w *world) store(tracks bool, edit ...func(*Config)) *Store {
	cfg := Config{Secret: secret, TTL: w.ttl}
	for _, e := range edit {
		e(&cfg)
	}
	s := newStore(cfg.filled())
	l := &line{w: w, s: s, tracks: tracks && cfg.Fresh >= 0, tracked: map[string]bool{}}
	s.redis = l
	close(s.ready)
	w.lines = append(w.lines, l)
	return s
}

func (w *world) close() {
	for _, l := range w.lines {
		l.s.end()
	}
	w.on.Wait()
}

// set has all connections lost, unless it comes back, and Redis away, silent or back.
func (w *world) set(down, silent bool) {
	w.mu.Lock()
	was := w.down || w.silent
	w.down, w.silent = down, silent
	if down {
		w.cutLocked()
	}
	w.mu.Unlock()
	if is := down || silent; was != is {
		for _, l := range w.lines {
			l.s.turned(!is)
		}
	}
}

func (w *world) cutLocked() {
	for _, l := range w.lines {
		l.life++
		clear(l.tracked)
		if l.tracks {
			w.on.Go(func() { l.s.changed(nil) })
		}
	}
}

// cut has all connections lost, for a moment.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutLocked()
}

// wipe has Redis forget everything, and say so if it can.
func (w *world) wipe() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.values {
		w.history[key] = append(w.history[key], stood{"", time.Now()})
	}
	clear(w.values)
	for _, l := range w.lines {
		clear(l.tracked)
		if l.tracks {
			l.laterLocked(func() { l.s.changed(nil) })
		}
	}
}

func (w *world) delayLocked() time.Duration { return time.Duration(w.draws.Int64N(int64(slowest))) }

func (w *world) delay() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delayLocked()
}

func (w *world) readLocked(key string) string {
	v := w.values[key]
	if v.value != "" && !time.Now().Before(v.at) {
		w.writeLocked(key, "", 0)
		return ""
	}
	return v.value
}

func (w *world) writeLocked(key, value string, ttl time.Duration) {
	if w.values[key].value != value {
		w.history[key] = append(w.history[key], stood{value, time.Now()})
	}
	if value == "" {
		delete(w.values, key)
	} else {
		w.values[key] = stood{value, time.Now().Add(ttl)}
	}
	for _, l := range w.lines {
		if l.tracked[key] {
			delete(l.tracked, key)
			l.laterLocked(func() { l.s.changed([]string{key}) })
		}
	}
}

// laterLocked does something when what Redis says now arrives, unless the connection is lost before.
func (l *line) laterLocked(do func()) {
	at := time.Now().Add(l.w.delayLocked())
	if !at.After(l.last) {
		at = l.last.Add(1)
	}
	l.last = at
	life := l.life
	l.w.on.Go(func() {
		time.Sleep(time.Until(at))
		l.w.mu.Lock()
		lost := l.life != life
		l.w.mu.Unlock()
		if !lost {
			do()
		}
	})
}

var errLost = errors.New("the connection was lost")

// do sends a command, which exec does with the lock held, and calls then when the answer is here, or
// the connection was lost.
func (l *line) do(exec func(), then func(error)) {
	w := l.w
	w.mu.Lock()
	life, down := l.life, w.down
	w.mu.Unlock()
	if down {
		then(redisconn.ErrDown)
		return
	}
	w.on.Go(func() {
		time.Sleep(w.delay())
		for {
			w.mu.Lock()
			if !w.silent {
				break
			}
			w.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		if w.down || l.life != life {
			w.mu.Unlock()
			then(errLost)
			return
		}
		w.execs.Add(1)
		answered := make(chan struct{})
		l.laterLocked(func() { close(answered) }) // before what it changes is told of
		exec()
		w.mu.Unlock()
		for lost := false; !lost; {
			select {
			case <-answered:
				time.Sleep(w.delay() / 4) // until its goroutine is scheduled
				then(nil)
				return
			case <-time.After(time.Second): // only if lost
				w.mu.Lock()
				lost = l.life != life
				w.mu.Unlock()
			}
		}
		then(errLost)
	})
}

// wait is do that waits, for a time.
func (l *line) wait(ctx context.Context, exec func()) error {
	done := make(chan error, 1)
	l.do(exec, func(err error) { done <- err })
	timer := time.NewTimer(waits)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return redisconn.ErrTimeout
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *line) get(ctx context.Context, key string) (string, bool, error) {
	var value string
	if err := l.wait(ctx, func() { value = l.w.readLocked(key); l.tracked[key] = l.tracks }); err != nil {
		return "", false, err
	}
	return value, l.tracks, nil
}

func (w *world) assignLocked(key string, a assignment) (string, time.Duration) {
	v := w.readLocked(key)
	if v != "" && v != a.old && v != a.void {
		left := time.Until(w.values[key].at)
		if left*2 < w.ttl {
			left = w.ttl
			w.prolonged.Add(1)
			w.writeLocked(key, v, left)
		}
		return v, left
	}
	if a.value == "" {
		return "", 0
	}
	w.writeLocked(key, a.value, w.ttl)
	return a.value, w.ttl
}

func (l *line) assign(ctx context.Context, key string, a assignment) (string, time.Duration, error) {
	var now string
	var left time.Duration
	if err := l.wait(ctx, func() { now, left = l.w.assignLocked(key, a) }); err != nil {
		return "", 0, err
	}
	return now, left, nil
}

func (l *line) assignLater(key string, a assignment, done func(string, time.Duration, error)) {
	var now string
	var left time.Duration
	l.do(func() { now, left = l.w.assignLocked(key, a) }, func(err error) {
		if err != nil {
			now, left = "", 0
		}
		done(now, left, err)
	})
}

func (l *line) set(ctx context.Context, key, value string) error {
	return l.wait(ctx, func() { l.w.writeLocked(key, value, l.w.ttl) })
}

func (l *line) down() bool {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.down
}

// has returns who Redis has a session on.
func (w *world) has(session string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.lines[0].s.codec
	key := c.key(id(session))
	backend, _ := c.open(key, w.readLocked(key))
	return backend
}

// had returns all that Redis had for a session within a time up to now.
func (w *world) had(session string, within time.Duration) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.lines[0].s.codec
	key := c.key(id(session))
	w.readLocked(key)
	set, since := map[string]bool{}, time.Now().Add(-within)
	last := ""
	for _, h := range w.history[key] {
		backend, _ := c.open(key, h.value)
		if h.at.After(since) {
			set[last] = true
		}
		last = backend
	}
	set[last] = true
	return set
}

func (w *world) String() string {
	return fmt.Sprintf("%d commands, %d keys", w.execs.Load(), len(w.values))
}
