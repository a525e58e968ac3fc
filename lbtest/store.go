package lbtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// StoreTraits says what a session store promises beyond what all of them do.
type StoreTraits struct {
	// TTL is how long a session is kept that is not used. Zero means that this is not tried.
	TTL time.Duration
	// Pass lets time go by, and what the store has begun meanwhile end. Nil means time.Sleep, which
	// costs nothing in a bubble of testing/synctest. It is called with zero for the latter alone.
	Pass func(time.Duration)
	// MaxSessions bounds how many sessions are kept. Zero means that this is not tried.
	MaxSessions int
	// Shared says that all stores that are made share their sessions, as processes do. Each is
	// then tried with sessions of its own names, and several are used at a time.
	Shared bool
	// Behind says that a Lookup may return what was so before another of the stores that share
	// changed it, as one does that remembers what it was told. It must not fall behind what the same
	// store has done or returned before, and Bind must be exact all the same.
	Behind bool
}

// TestSessionStore tries a store as balancers would use it, and returns an error that lists every
// law that it breaks, or nil:
//
//   - A session that is unknown, or was forgotten, is bound to "". Forgetting it is no error.
//   - Bind is a compare-and-swap, from every state and with every from and to.
//   - One session is not another, however they are spelt: long ones, with any bytes. The same
//     holds for backends, which have IDs of up to 128 bytes.
//   - Calls that overlap can be put into an order in which each did what it would have done alone,
//     and of many that bind an unknown session all are told the same backend.
//   - With a context that has ended a call returns, with the truth or an error; the store goes on.
//   - Seen, if there is one, binds an unknown session and moves no known one.
//
// Traits have more. Fresh returns an empty store; it is called for each law, and must not return
// nil. A store that can be closed by itself has to be closed by whoever made it.
func TestSessionStore(fresh func() lb.SessionStore, traits StoreTraits) error {
	if traits.Pass == nil {
		traits.Pass = time.Sleep
	}
	run := 0
	laws := []law[*shelf]{
		{"an unknown session has no backend", (*shelf).unknown},
		{"Bind is a compare-and-swap", (*shelf).swap},
		{"one session is not another", (*shelf).spelling},
		{"one of many binds", (*shelf).race},
		{"calls that overlap have an order", (*shelf).order},
		{"a context that has ended does no harm", (*shelf).ended},
		{"Seen moves nobody", (*shelf).seen},
	}
	if traits.TTL > 0 {
		laws = append(laws, law[*shelf]{"sessions expire", (*shelf).expiry})
	}
	if traits.MaxSessions > 0 {
		laws = append(laws, law[*shelf]{"sessions are bounded", (*shelf).bound})
	}
	return judge(func() *shelf {
		run++
		s := &shelf{StoreTraits: traits, fresh: fresh, ctx: context.Background(), run: run, draws: rand.New(rand.NewPCG(3, 4))}
		s.SessionStore = fresh()
		return s
	}, laws)
}

// shelf is where a store is tried.
type shelf struct {
	lb.SessionStore
	StoreTraits
	fresh func() lb.SessionStore
	ctx   context.Context
	run   int
	draws *rand.Rand
}

// session returns the name of a session that only this law has.
func (s *shelf) session(name any) string { return fmt.Sprintf("law-%d-%v", s.run, name) }

// is returns an error unless a session is bound to want.
func (s *shelf) is(session, want string) error {
	got, err := s.Lookup(s.ctx, session)
	if err == nil && got != want {
		err = fmt.Errorf("a Lookup returned %q, want %q", got, want)
	}
	return err
}

// binds returns an error unless Bind returns want.
func (s *shelf) binds(session, from, to, want string) error {
	got, err := s.Bind(s.ctx, session, from, to)
	if err == nil && got != want {
		err = fmt.Errorf("a Bind from %q to %q returned %q, want %q", from, to, got, want)
	}
	return err
}

func (s *shelf) unknown() error {
	x := s.session("x")
	return first(
		func() error { return s.is(x, "") },
		func() error { return s.Forget(s.ctx, x) },
		func() error { return s.is(x, "") },
		func() error { return s.binds(x, "", "a", "a") },
		func() error { return s.is(x, "a") },
		func() error { return s.is(s.session("y"), "") },
		func() error { return s.Forget(s.ctx, x) },
		func() error { s.Pass(0); return s.is(x, "") },
		func() error { return s.binds(x, "a", "b", "b") },
		func() error { return s.is(x, "b") },
	)
}

// first runs steps up to the first error.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) swap() error {
	at := []string{"", "a", "b", "c"}
	for k := range len(at) * len(at) * 3 {
		known, from, to := at[k%4], at[k/4%4], at[1+k/16]
		x, want := s.session(k), known
		if known == "" || known == from {
			want = to
		}
		err := first(
			func() error { return s.start(x, known) },
			func() error { return s.binds(x, from, to, want) },
			func() error { return s.is(x, want) },
		)
		if err != nil {
			return fmt.Errorf("bound to %q, after a Bind from %q to %q: %w", known, from, to, err)
		}
	}
	return nil
}

func (s *shelf) start(session, known string) error {
	if known == "" {
		return nil
	}
	return s.binds(session, "", known, known)
}

// odd are names that a store might take for each other, or for something else.
func odd() []string {
	long := strings.Repeat("k", 8192)
	return []string{
		"k", "K", "k ", " k", "k\x00", "k\x00a", "k:a", "k/a", "k|a", "k\n", "k\r\nDEL k\r\n", "*", "k*", "{k}", "?", "%", "%6b",
		"\xff\xfe", "\xff", "ключ", "é", "e\u0301", `"k"`, `\k`, "k;a=b", "0", "00", "../k", long, long + "1", "1" + long,
	}
}

func (s *shelf) spelling() error {
	backends := []string{"http://10.0.0.1:8080/a?", strings.Repeat("b", 128), "b|c:d\x7f", "{b}", "b\tc", "é", "0"}
	for i, name := range odd() {
		to := fmt.Sprint(i)
		if err := s.binds(s.session(name), "", to, to); err != nil {
			return fmt.Errorf("session %.40q: %w", name, err)
		}
	}
	for i, name := range odd() {
		x := s.session(name)
		if err := s.is(x, fmt.Sprint(i)); err != nil {
			return fmt.Errorf("session %.40q: %w", name, err)
		}
		for _, b := range backends {
			if err := first(func() error { return s.Forget(s.ctx, x) }, func() error { return s.binds(x, "other", b, b) }, func() error { return s.is(x, b) }); err != nil {
				return fmt.Errorf("session %.40q: %w", name, err)
			}
		}
	}
	return nil
}

// doors returns stores to use at the same time: several if they share.
func (s *shelf) doors() []lb.SessionStore {
	if s.Shared {
		return []lb.SessionStore{s.SessionStore, s.fresh(), s.fresh()}
	}
	return []lb.SessionStore{s.SessionStore}
}

func (s *shelf) race() error {
	doors := s.doors()
	for round := range 20 {
		x := s.session(round)
		got := make([]string, 8)
		err := together(len(got), func(g int) (err error) {
			got[g], err = doors[g%len(doors)].Bind(s.ctx, x, "", fmt.Sprint("b", g))
			return err
		})
		if err != nil {
			return err
		}
		for _, b := range got {
			if b != got[0] || b == "" {
				return fmt.Errorf("of %d at a time that bind an unknown session, they are told %q", len(got), got)
			}
		}
		if err := s.is(x, got[0]); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) ended() error {
	x := s.session("x")
	if err := s.binds(x, "", "a", "a"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	cancel(errors.New("the client has left"))
	if got, err := s.Lookup(ctx, x); err == nil && got != "a" {
		return fmt.Errorf("a Lookup returned %q and no error, want \"a\" or an error", got)
	}
	s.Pass(0)
	if err := s.is(x, "a"); err != nil {
		return fmt.Errorf("after a Lookup with an ended context: %w", err)
	}
	got, err := s.Bind(ctx, x, "a", "b")
	if err == nil && got != "b" {
		return fmt.Errorf("a Bind from \"a\" to \"b\" returned %q and no error", got)
	}
	s.Pass(0)
	now, errNow := s.Lookup(s.ctx, x)
	if errNow != nil || now != "b" && (err == nil || now != "a") {
		return fmt.Errorf("after Bind from \"a\" to \"b\" returned %v, Lookup returned %q and %v", err, now, errNow)
	}
	_ = s.Forget(ctx, x)
	return first(func() error { return s.Forget(s.ctx, x) }, func() error { return s.is(x, "") })
}

func (s *shelf) seen() error {
	store, ok := s.SessionStore.(interface{ Seen(session, backend string) })
	if !ok {
		return nil
	}
	x, y := s.session("x"), s.session("y")
	see := func(session, backend string) func() error {
		return func() error { store.Seen(session, backend); s.Pass(0); return nil }
	}
	return first(
		see(x, "a"),
		func() error { return s.is(x, "a") },
		see(x, "b"),
		func() error { return s.is(x, "a") },
		func() error { return s.binds(y, "", "c", "c") },
		see(y, "b"),
		func() error { return s.is(y, "c") },
		func() error { return s.binds(y, "c", "d", "d") },
		see(y, "c"), // an answer that was under way
		func() error { return s.is(y, "d") },
	)
}

func (s *shelf) expiry() error {
	x := s.session("x")
	return first(
		func() error { return s.binds(x, "", "a", "a") },
		func() error { s.Pass(s.TTL - s.TTL/8); return s.is(x, "a") },
		func() error { s.Pass(s.TTL + s.TTL/8); return s.gone(x) },
		func() error { return s.binds(x, "a", "b", "b") },
		func() error { s.Pass(2*s.TTL + s.TTL/4); return s.gone(x) },
		func() error { return s.binds(x, "other", "c", "c") },
		func() error { return s.is(x, "c") },
	)
}

// gone returns an error unless a session has expired.
func (s *shelf) gone(session string) error {
	if err := s.is(session, ""); err != nil {
		return fmt.Errorf("not used for longer than %v: %w", s.TTL, err)
	}
	return nil
}

func (s *shelf) bound() error {
	for i := range 2*s.MaxSessions + 10 {
		if err := s.binds(s.session(i), "", "a", "a"); err != nil {
			return err
		}
	}
	kept := 0
	for i := range 2*s.MaxSessions + 10 {
		if got, err := s.Lookup(s.ctx, s.session(i)); err == nil && got != "" {
			kept++
		}
	}
	if kept > s.MaxSessions || kept < s.MaxSessions/2 {
		return fmt.Errorf("of %d sessions %d are kept, with a bound of %d", 2*s.MaxSessions+10, kept, s.MaxSessions)
	}
	return nil
}
