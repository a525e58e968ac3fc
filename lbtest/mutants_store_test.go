package lbtest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// shelf is a session store that is right, but for the defects it is given.
type shelf struct {
	mu       sync.Mutex
	sessions map[string]bound
	order    []string
	defect   string
}

type bound struct {
	backend string
	until   time.Time
}

const ttl, most = time.Minute, 50

func shelves(defect string) func() lb.SessionStore {
	return func() lb.SessionStore { return &shelf{sessions: make(map[string]bound), defect: defect} }
}

func (s *shelf) has(defect string) bool { return s.defect == defect }

func (s *shelf) key(session string) string {
	switch {
	case s.has("trims names"):
		return strings.TrimSpace(session)
	case s.has("ignores case"):
		return strings.ToLower(session)
	case s.has("cuts names") && len(session) > 100:
		return session[:100]
	}
	return session
}

func (s *shelf) Lookup(ctx context.Context, session string) (string, error) {
	if s.has("blames the unknown") {
		s.mu.Lock()
		_, ok := s.sessions[session]
		s.mu.Unlock()
		if !ok {
			return "", errors.New("unknown session")
		}
	}
	if s.has("forgets when cancelled") && ctx.Err() != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, s.key(session))
		return "", ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveLocked(session).backend, nil
}

func (s *shelf) liveLocked(session string) bound {
	b := s.sessions[s.key(session)]
	if !s.has("never expires") && time.Now().After(b.until) {
		return bound{}
	}
	return b
}

func (s *shelf) Bind(ctx context.Context, session, from, to string) (string, error) {
	if s.has("looks, then writes") {
		s.mu.Lock()
		now := s.liveLocked(session).backend
		s.mu.Unlock()
		time.Sleep(time.Nanosecond) // somebody else's turn
		if now != "" && now != from {
			return now, nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.putLocked(session, to)
		return to, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.liveLocked(session).backend
	switch {
	case s.has("always binds"):
		now = from
	case s.has("insists on from") && now == "" && from != "":
		return "", nil
	case s.has("pretends") && now != "" && now != from:
		return to, nil
	}
	if now != "" && now != from {
		return now, nil
	}
	s.putLocked(session, to)
	return to, nil
}

func (s *shelf) putLocked(session, to string) {
	key := s.key(session)
	if _, known := s.sessions[key]; !known {
		s.order = append(s.order, key)
	}
	s.sessions[key] = bound{to, time.Now().Add(ttl)}
	for len(s.sessions) > most && !s.has("has no bound") {
		delete(s.sessions, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *shelf) Forget(ctx context.Context, session string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.sessions[s.key(session)]
	if s.has("must know whom to forget") && !known {
		return errors.New("unknown session")
	}
	if s.has("forgets later") {
		go func() { // as a write behind does
			time.Sleep(time.Nanosecond)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.sessions, s.key(session))
		}()
		return nil
	}
	delete(s.sessions, s.key(session))
	return nil
}

func (s *shelf) Seen(session, backend string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.liveLocked(session).backend; now == "" || s.has("believes what it sees") {
		s.putLocked(session, backend)
	}
}

func TestStoreMutants(t *testing.T) {
	for defect, complaint := range map[string]string{
		"":                         "",
		"blames the unknown":       "an unknown session has no backend: unknown session",
		"must know whom to forget": "an unknown session has no backend: unknown session",
		"trims names":              "one session is not another: session \"k \"",
		"ignores case":             "one session is not another: session \"K\"",
		"cuts names":               "one session is not another: session \"kkkk",
		"always binds":             "Bind is a compare-and-swap: bound to \"b\", after a Bind from \"\" to \"a\"",
		"insists on from":          "Bind is a compare-and-swap: bound to \"\", after a Bind from \"a\"",
		"pretends":                 "Bind is a compare-and-swap",
		"looks, then writes":       "one of many binds: of 8 at a time that bind an unknown session, they are told",
		"forgets later":            "an order",
		"forgets when cancelled":   "a context that has ended does no harm",
		"never expires":            "sessions expire: not used for longer than 1m0s",
		"has no bound":             "sessions are bounded: of 110 sessions 110 are kept, with a bound of 50",
		"believes what it sees":    "Seen moves nobody: a Lookup returned \"b\", want \"a\"",
	} {
		t.Run(defect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := lbtest.TestSessionStore(shelves(defect), lbtest.StoreTraits{TTL: ttl, MaxSessions: most})
				if defect == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				complains(t, err, complaint)
			})
		})
	}
}

// A panic is a complaint like others.
func TestStoreThatPanics(t *testing.T) {
	complains(t, lbtest.TestSessionStore(func() lb.SessionStore { return (*shelf)(nil) }, lbtest.StoreTraits{}), "panics: ")
}

// memo is a store that remembers what it was told, beside a shelf that all share.
type memo struct {
	*shelf
	mu      sync.Mutex
	known   map[string]string
	earlier map[string]string
	draws   *rand.Rand
	defect  string
}

// pass lets others go on meanwhile.
func (m *memo) pass() {
	m.mu.Lock()
	d := time.Duration(m.draws.IntN(10)) * time.Millisecond
	m.mu.Unlock()
	time.Sleep(d)
}

func (m *memo) learn(session, backend string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.earlier[session], m.known[session] = m.known[session], backend
	return backend
}

func (m *memo) Lookup(ctx context.Context, session string) (string, error) {
	m.pass()
	m.mu.Lock()
	known, before := m.known[session], m.earlier[session]
	m.mu.Unlock()
	if m.defect == "falls back" && before != "" {
		return before, nil
	}
	if known != "" {
		return known, nil
	}
	backend, err := m.shelf.Lookup(ctx, session)
	return m.learn(session, backend), err
}

func (m *memo) Bind(ctx context.Context, session, from, to string) (string, error) {
	m.pass()
	m.mu.Lock()
	known := m.known[session]
	m.mu.Unlock()
	if m.defect == "binds by what it knows" && known != "" && known != from {
		return known, nil
	}
	backend, err := m.shelf.Bind(ctx, session, from, to)
	if m.defect == "does not know what it did" {
		return backend, err
	}
	return m.learn(session, backend), err
}

func (m *memo) Forget(ctx context.Context, session string) error {
	m.pass()
	err := m.shelf.Forget(ctx, session)
	m.learn(session, "")
	m.learn(session, "")
	return err
}

func TestStoresThatRememberAreBehind(t *testing.T) {
	for defect, complaint := range map[string]string{
		"":                          "",
		"falls back":                "want",
		"does not know what it did": "want",
		"binds by what it knows":    "an order",
	} {
		for _, behind := range []bool{true, false} {
			want := complaint
			if !behind && defect == "" {
				want = "calls that overlap have an order"
			}
			var err error
			synctest.Test(t, func(t *testing.T) {
				shared, n := shelves("")().(*shelf), uint64(0)
				err = lbtest.TestSessionStore(func() lb.SessionStore {
					n++
					return &memo{
						shelf: shared, known: map[string]string{}, earlier: map[string]string{},
						draws: rand.New(rand.NewPCG(n, 1)), defect: defect,
					}
				}, lbtest.StoreTraits{Shared: true, Behind: behind})
			})
			if want == "" {
				if err != nil {
					t.Errorf("%q, behind %v: %v", defect, behind, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q, behind %v: %v, want %q", defect, behind, err, want)
			}
		}
	}
}
