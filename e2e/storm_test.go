package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/session"
	"github.com/go-loadbalancer/lb/session/redisstore"
)

// full asks for the long versions.
func full() bool { return os.Getenv("LB_FULL") == "1" }

const (
	perSecond    = 500 // requests, over all balancers
	knownCount   = 500 // sessions that every balancer has seen before the event
	partlyCount  = 100 // sessions that the first balancer alone has seen
	storeTimeout = 50 * time.Millisecond
)

// call is one call of a store that a request has waited for.
type call struct{ at, took time.Duration }

// timed measures how long calls of a store take.
type timed struct {
	*redisstore.Store
	began time.Time
	mu    sync.Mutex
	calls []call
}

func (s *timed) Lookup(ctx context.Context, session string) (string, error) {
	defer s.note(time.Now())
	return s.Store.Lookup(ctx, session)
}

func (s *timed) Bind(ctx context.Context, session, from, to string) (string, error) {
	defer s.note(time.Now())
	return s.Store.Bind(ctx, session, from, to)
}

func (s *timed) note(since time.Time) {
	took := time.Since(since)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call{since.Sub(s.began), took})
}

// asked is one request and what became of it.
type asked struct {
	at       time.Duration
	kind     kind
	session  string
	balancer int
	backend  string // "" unless it was answered well
}

// kind is what a session is to the balancer that is asked.
type kind int

const (
	known  kind = iota
	born        // since the event: its first request
	grown       // since the event: a later one, at the same balancer
	partly      // known to the other balancer and to Redis
)

// where says how a store finds Redis.
type where struct {
	url        string
	tls        *tls.Config
	ttl, fresh time.Duration // zero: the defaults
}

// storm is balancers in this process that share sessions, and traffic of 500 requests a second.
type storm struct {
	t         *testing.T
	began     time.Time
	balancers []*lb.Balancer
	stores    []*timed
	homes     map[string]string // of the sessions that were bound before

	mu      sync.Mutex
	answers []asked
}

// newStorm makes a balancer for each of these, and binds the sessions that are known.
func newStorm(t *testing.T, at ...where) *storm {
	t.Helper()
	s := &storm{t: t, began: time.Now(), homes: map[string]string{}}
	for _, w := range at {
		store := &timed{Store: openStore(t, w), began: s.began}
		s.stores, s.balancers = append(s.stores, store), append(s.balancers, newSharer(t, store))
	}
	eventually(t, "the stores share what they know", func() bool { return s.shared(fmt.Sprint("first", rand.Uint64())) })
	for i := range knownCount {
		s.prime(sessionName(known, i), len(at))
	}
	for i := range partlyCount {
		s.prime(sessionName(partly, i), 1)
	}
	return s
}

func openStore(t *testing.T, w where) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(redisstore.Config{URL: w.url, TLS: w.tls, TTL: w.ttl, Fresh: w.fresh, Secret: []byte(strings.Repeat("s", 32)), Timeout: storeTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// newSharer returns a balancer over eight backends that all are well. It picks at random: what a store
// does not know has one chance in eight to be right.
func newSharer(t *testing.T, store lb.SessionStore) *lb.Balancer {
	t.Helper()
	var specs []lb.Spec
	for i := range 8 {
		specs = append(specs, lb.Spec{ID: fmt.Sprint("b", i), URL: fmt.Sprintf("http://b%d.test", i)})
	}
	b, err := lb.New(lb.Config{
		Pool: lb.Must(lb.NewPool(specs...)), Policy: random, Transport: instant{},
		Sessions: store, SessionKey: lb.Must(session.Header("X-Session")),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// instant is a transport whose backends answer at once, with their name.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	name, _, _ := strings.Cut(r.URL.Host, ".")
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"X-Backend": {name}}, Body: io.NopCloser(strings.NewReader("hello")), ContentLength: 5,
	}, nil
}

func sessionName(k kind, i int) string { return fmt.Sprintf("session-%d-%d", k, i) }

// stored is how a header's value reaches a store.
func stored(session string) string {
	sum := sha256.Sum256([]byte(session))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// redisKey is the key in Redis of what reaches a store.
func redisKey(stored string) string {
	sum := sha256.Sum256([]byte(stored))
	return "lb:s:" + base64.RawURLEncoding.EncodeToString(sum[:])[:22]
}

// prime binds a session at the first balancer and shows it to as many.
func (s *storm) prime(session string, balancers int) {
	s.t.Helper()
	for i := range balancers {
		got := s.ask(i, session)
		if home := s.homes[session]; got == "" || home != "" && got != home {
			s.t.Fatalf("%s is on %q, and %q for balancer %d", session, home, got, i)
		}
		s.homes[session] = got
	}
}

// ask sends one request and returns the backend's name, or "" if it failed.
func (s *storm) ask(balancer int, session string) string {
	r := httptest.NewRequest(http.MethodGet, "http://lb.test/", nil)
	r.Header.Set("X-Session", session)
	w := httptest.NewRecorder()
	s.balancers[balancer].ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != "hello" {
		return ""
	}
	return w.Header().Get("X-Backend")
}

func (s *storm) now() time.Duration { return time.Since(s.began) }

// traffic sends requests until over is closed, whether earlier ones are answered or not.
func (s *storm) traffic(over <-chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	next := s.script()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	began := s.now()
	for sent := 0; ; {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		for ; sent < int((s.now()-began)*perSecond/time.Second); sent++ {
			q := next(s.now())
			all.Go(func() {
				q.backend = s.ask(q.balancer, q.session)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.answers = append(s.answers, q)
			})
		}
	}
}

// script returns what to ask next: seven of ten times for a known session, once for a new one,
// once for one born at least 150 ms before, and once for one that the other balancer knows.
func (s *storm) script() func(now time.Duration) asked {
	draw := rand.New(rand.NewPCG(1, 2))
	var children []asked
	births := 0
	return func(now time.Duration) asked {
		q := asked{at: now, balancer: draw.IntN(len(s.balancers))}
		switch n := draw.IntN(10); {
		case n == 0:
			q.kind, q.session = born, sessionName(born, births)
			births++
			children = append(children, q)
		case n == 1 && len(children) > 0 && now-children[0].at > 150*time.Millisecond:
			of := children[draw.IntN(len(children))]
			if now-of.at <= 150*time.Millisecond {
				of = children[0]
			}
			q.kind, q.session, q.balancer = grown, of.session, of.balancer
		case n == 2 && len(s.balancers) > 1:
			q.kind, q.session, q.balancer = partly, sessionName(partly, draw.IntN(partlyCount)), 1
		default:
			q.session = sessionName(known, draw.IntN(knownCount))
		}
		return q
	}
}

// shared reports whether the first store can bind a new session to a backend that nobody can guess, and the
// last one finds it: then both of them are with Redis.
func (s *storm) shared(session string) bool {
	to := fmt.Sprintf("x%d", rand.Uint64())
	got, err := s.stores[0].Store.Bind(s.t.Context(), session, "", to)
	if err != nil || got != to {
		return false
	}
	got, err = s.stores[len(s.stores)-1].Store.Lookup(s.t.Context(), session)
	return err == nil && got == to
}
