package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/keep"
)

const (
	firstMend = 50 * time.Millisecond // after which Redis is told again, for the first time
	lastMend  = time.Second           // and after ever more up to this
	abreast   = 16                    // sessions that Redis is told of at a time
	lastWords = time.Second           // that Close has for telling Redis
	enough    = 4                     // sessions in a row that Redis had lost: it has lost all
	sample    = 16                    // sessions that are asked for to find out
	sowing    = 64                    // sessions that Redis is given back at a time
	sowingGap = 10 * time.Millisecond // between such times
)

// untold returns what Redis has to hear of a session that has not ended.
func (s *Store) untold(k keep.Key) (change, bool) {
	d, ok := s.dirty.find(k)
	return d, ok && !s.ended(d)
}

// ended reports whether a session has ended before Redis has heard of it.
func (s *Store) ended(d change) bool { return s.now() >= d.used+s.ttl }

// replay tells Redis of a change. Who is bound afterwards may be somebody else.
func (s *Store) replay(ctx context.Context, k keep.Key, d change) (string, error) {
	key := s.codec.key(k)
	o := s.call(k)
	defer s.calls.remove(o)
	now, left, err := s.put(ctx, key, d.base, d.to)
	s.waited(o.began)
	if err != nil {
		return "", err
	}
	s.count.replayed.Add(1)
	s.dirty.heard(k, d, now)
	s.learn(o, fact{backend: now, left: left, used: d.used})
	return now, nil
}

// turned notes that Redis is away, or back. It may have lost everything.
func (s *Store) turned(reachable bool) {
	if !reachable {
		s.suspect.Store(true)
		s.mend()
		return
	}
	s.changed(nil)
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// lost notes that Redis had lost a session. One may have had to go for want of memory; if it is
// several in a row, all may have.
func (s *Store) lost() {
	s.count.restored.Add(1)
	if s.streak.Add(1) == enough {
		s.changed(nil)
	}
}

// mend begins to tell Redis what it has not heard, or may have lost, unless that is under way. It
// ends by itself when there is nothing more to tell.
func (s *Store) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mending || s.closed {
		return
	}
	s.mending = true
	s.mendings.Go(s.mendAll)
}

func (s *Store) mendAll() {
	select {
	case <-s.ready:
	case <-s.closing: // New has failed
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	wait := firstMend
	for !s.mended() {
		if s.pause(wait) {
			defer time.AfterFunc(lastWords, cancel).Stop()
			for range 3 { // the first may find that Redis is back
				if s.replayAll(ctx) {
					break
				}
			}
			return
		}
		if s.replayAll(ctx) && s.resow(ctx) {
			wait = firstMend
		} else {
			wait = min(2*wait, lastMend)
		}
	}
}

// mended reports whether there is nothing more to do.
func (s *Store) mended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mending = s.dirty.len.Load() > 0 || s.suspect.Load()
	return !s.mending
}

// pause waits for a time, or until Redis is back, and reports whether the store is being closed.
func (s *Store) pause(d time.Duration) (closing bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.kick:
	case <-s.closing:
		return true
	}
	return false
}

// replayAll tells Redis of all changes, and reports whether it could.
func (s *Store) replayAll(ctx context.Context) bool {
	for ctx.Err() == nil {
		some := s.dirty.oldest(abreast)
		if len(some) == 0 {
			return true
		}
		if !together(len(some), func(i int) error {
			if s.ended(some[i].change) {
				s.dirty.heard(some[i].key, some[i].change, "")
				return nil
			}
			_, err := s.replay(ctx, some[i].key, some[i].change)
			return err
		}) {
			return false
		}
	}
	return false
}

// together makes n calls at a time and reports whether all went well.
func together(n int, do func(i int) error) bool {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return false
		}
	}
	return true
}
