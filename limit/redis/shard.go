package redis

import (
	"sync"
	"time"
)

// slot is a client's place in a shard.
type slot struct {
	name    name
	account account
}

// shard holds some of the clients. Its methods may be called by many goroutines at once.
type shard struct {
	mu    sync.Mutex
	limit int // of clients
	at    map[name]int32
	slots []slot
	hand  int   // the slot that is looked at next for one that is not needed
	spare slot  // of newcomers for whom there is no slot: never asks
	stats tally // of requests and leases
}

// tally counts what became of requests and tokens.
type tally struct {
	passed  [local + 1]uint64 // by verdict
	leased  uint64
	expired uint64
	asked   uint64
	failed  uint64
}

const (
	tries  = 8                // slots that a newcomer's request looks at, at most
	memory = 10 * time.Minute // after which a debt too small to tell is forgotten
)

// take counts a request of a client. If Redis is to be asked, due is true. Of one that is refused it
// returns how long it has to wait.
func (s *shard) take(n name, now time.Duration, t *terms) (v verdict, wait time.Duration, q ask, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accountLocked(n, now, t)
	before := a.lease
	v, due = a.take(now, *t)
	s.stats.passed[v]++
	if v != leased {
		s.stats.expired += uint64(before - a.lease)
	}
	if due = due && a != &s.spare.account; due {
		q = a.ask(now, *t)
		s.stats.asked++
	}
	if v == refused {
		wait = a.wait(now, *t)
	}
	return v, wait, q, due
}

// answer tells the account of a client what Redis said to q, or that it said nothing.
func (s *shard) answer(n name, now time.Duration, t *terms, q ask, reply []string, err error, draw float64) {
	k, credit := int32(0), 0.0
	if err == nil {
		k, credit, err = parseLease(*t, q, reply)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.at[n]
	if !ok || !s.slots[i].account.asking {
		return // its slot was given away
	}
	if a := &s.slots[i].account; err != nil {
		a.fail(now, draw)
		s.stats.failed++
	} else {
		a.answer(now, *t, q, k, credit, draw)
		s.stats.leased += uint64(k)
	}
}

func (s *shard) accountLocked(n name, now time.Duration, t *terms) *account {
	i, ok := s.at[n]
	if !ok {
		if i, ok = s.admitLocked(now, t); !ok {
			return s.spareLocked(now, t)
		}
		s.slots[i] = slot{n, openAccount(now, *t)}
		s.at[n] = i
	}
	return &s.slots[i].account
}

// admitLocked finds a slot for a newcomer: that of a client of whom nothing need be known, or else a
// new one, or else that of a client who has been idle for so long that his bucket is full.
func (s *shard) admitLocked(now time.Duration, t *terms) (i int32, ok bool) {
	whole := len(s.slots) >= s.limit
	for range min(tries, len(s.slots)) {
		s.hand = (s.hand + 1) % len(s.slots)
		old := &s.slots[s.hand]
		if old.account.forgettable(now, t, whole) {
			delete(s.at, old.name)
			return int32(s.hand), true
		}
		if !whole {
			break
		}
	}
	if whole {
		return 0, false
	}
	s.slots = append(s.slots, slot{})
	return int32(len(s.slots) - 1), true
}

// forgettable reports whether an account says nothing that a new one would not, or, if need be, nothing
// but a debt that is too small to have been told yet.
func (a *account) forgettable(now time.Duration, t *terms, need bool) bool {
	idle := a.idle(now)
	if idle < t.refill() || idle < valid || a.asking && !a.alone {
		return false
	}
	return need || a.debt == 0 || idle >= memory
}

// spareLocked is the one account of all for whom there is no slot. It is the instance's own.
func (s *shard) spareLocked(now time.Duration, t *terms) *account {
	if s.spare.account == (account{}) {
		s.spare.account = openAccount(now, *t)
		s.spare.account.alone = true
	}
	return &s.spare.account
}

func (s *shard) count() (clients int, stats tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at), s.stats
}
