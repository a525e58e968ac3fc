package session

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// turns is a policy that takes one backend after the other.
func turns(s lb.Set) lb.Picker {
	var n atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[n.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

// counted counts what a store is asked.
type counted struct {
	lb.SessionStore
	calls atomic.Int64
}

func (c *counted) Seen(session, backend string) { c.SessionStore.(*Memory).Seen(session, backend) }

func (c *counted) Lookup(ctx context.Context, session string) (string, error) {
	c.calls.Add(1)
	return c.SessionStore.Lookup(ctx, session)
}

func (c *counted) Bind(ctx context.Context, session, from, to string) (string, error) {
	c.calls.Add(1)
	return c.SessionStore.Bind(ctx, session, from, to)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// front is a balancer over three backends that say which they are and what cookies they got.
type front struct {
	*lb.Balancer
	pool  *lb.DynamicPool
	store *counted
	key   *Cookie
}

func newFront(t *testing.T) *front {
	pool, err := lb.NewPool(lb.URLs("http://one.internal", "http://two.internal", "http://three.internal")...)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{pool: pool, store: &counted{SessionStore: newMemory(t, MemoryConfig{})}, key: newCookie(t, CookieConfig{Pool: pool})}
	f.Balancer, err = lb.New(lb.Config{
		Pool: pool, Policy: turns, SessionKey: f.key, Sessions: f.store,
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := r.URL.Host + " got " + strings.Join(r.Header["Cookie"], "|")
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ask sends a request with a cookie and returns which backend answered, what cookies it got, and
// the cookie that was set.
func (f *front) ask(cookie string) (backend, got, set string) {
	r := httptest.NewRequest("GET", "http://site/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	backend, got, _ = strings.Cut(w.Body.String(), " got ")
	set, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return backend, got, set
}

func TestClientsStayWithTheirBackend(t *testing.T) {
	f := newFront(t)
	for range 10 {
		first, _, cookie := f.ask("")
		for range 10 {
			backend, got, set := f.ask("a=1; " + cookie + "; b=2")
			if backend != first || set != "" {
				t.Errorf("from %q to %q, set %q", first, backend, set)
			}
			if got != "a=1; b=2" {
				t.Errorf("the backend got %q", got)
			}
		}
	}
	if n := f.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times while all backends were fit", n)
	}
	if n := f.store.SessionStore.(*Memory).Len(); n != 10 {
		t.Errorf("%d sessions are stored, want the 10 that came back", n)
	}
}

func TestAFloodOfNewClientsStoresNothing(t *testing.T) {
	f := newFront(t)
	for range 1000 {
		f.ask("")
	}
	if n := f.store.SessionStore.(*Memory).Len() + int(f.store.calls.Load()); n != 0 {
		t.Errorf("%d", n)
	}
}

func TestForgedCookiesGetNewSessionsAndAskNobody(t *testing.T) {
	f := newFront(t)
	_, _, mine := f.ask("")
	for _, forged := range []string{
		"lb_session=AAAAAAAAAAAAAAAAAAAAAA", // a well-formed session
		"lb_session=" + strings.Repeat("A", 60),
		mine[:len(mine)-1] + "!",
		mine + "A",
	} {
		_, got, set := f.ask(forged)
		s, _ := f.key.Read(carrying(set))
		if s == "" || s == "AAAAAAAAAAAAAAAAAAAAAA" || got != "" {
			t.Errorf("%q: set %q of session %q; the backend got %q", forged, set, s, got)
		}
	}
	if n := f.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestSessionsMoveOnceWhenTheirBackendIsDown(t *testing.T) {
	f := newFront(t)
	first, _, cookie := f.ask("")
	id := "http://" + first
	f.pool.Mark(id, lb.Down, "test")
	second, _, moved := f.ask(cookie)
	if second == first || moved == "" {
		t.Fatalf("from %q to %q, set %q", first, second, moved)
	}
	for range 10 { // also who has the old cookie yet
		for _, c := range []string{cookie, moved} {
			if backend, _, _ := f.ask(c); backend != second {
				t.Errorf("moved again, to %q", backend)
			}
		}
	}
	f.pool.Clear(id, lb.Down, "test")
	if backend, _, set := f.ask(moved); backend != second || set != "" {
		t.Errorf("moved back to %q", backend)
	}
}

func TestCookiesTellNothingOfBackends(t *testing.T) {
	f := newFront(t)
	for i := range 3000 {
		_, _, set := f.ask("")
		if strings.Contains(set, "internal") || len(set) != len("lb_session=")+written {
			t.Fatalf("%d: %q", i, set)
		}
	}
}
