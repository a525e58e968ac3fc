package session_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/session"
)

// turns is a policy that takes one backend after the other; package picker has better ones.
func turns(s lb.Set) lb.Picker {
	var n atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[n.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

// A balancer over three backends, and a client that keeps cookies: it stays where it was served
// first, and moves only when that backend is out.
func Example() {
	var specs []lb.Spec
	for _, id := range []string{"a", "b", "c"} {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, id)
		}))
		defer site.Close()
		specs = append(specs, lb.Spec{ID: id, URL: site.URL})
	}
	pool, err := lb.NewPool(specs...)
	if err != nil {
		fmt.Println(err)
		return
	}
	cookie, err := session.NewCookie(session.CookieConfig{Pool: pool})
	if err != nil {
		fmt.Println(err)
		return
	}
	balancer, err := lb.New(lb.Config{Pool: pool, Policy: turns, SessionKey: cookie})
	if err != nil {
		fmt.Println(err)
		return
	}
	front := httptest.NewServer(balancer)
	defer front.Close()

	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	get := func() string {
		resp, err := client.Get(front.URL)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}

	first := get()
	stays := func(on string) bool {
		for range 3 {
			if get() != on {
				return false
			}
		}
		return true
	}
	fmt.Println("stayed:", stays(first))
	pool.Mark(first, lb.Down, "for the example")
	second := get()
	fmt.Println("moved:", second != first)
	pool.Clear(first, lb.Down, "for the example")
	fmt.Println("stayed:", stays(second))
	_ = balancer.Shutdown(context.Background())
	// Output:
	// stayed: true
	// moved: true
	// stayed: true
}

func ExampleNewMemory() {
	store, err := session.NewMemory(session.MemoryConfig{MaxSessions: 10_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	bound, _ := store.Bind(ctx, "alice", "", "a")
	fmt.Println("bound to", bound)
	bound, _ = store.Bind(ctx, "alice", "", "b") // somebody else was faster
	fmt.Println("bound to", bound)
	bound, _ = store.Bind(ctx, "alice", "a", "b") // a is out
	fmt.Println("bound to", bound)
	store.Seen("bob", "a")
	fmt.Println(store.Len(), "sessions")
	_ = store.Forget(ctx, "alice")
	fmt.Println(store.Len(), "session")
	// Output:
	// bound to a
	// bound to a
	// bound to b
	// 2 sessions
	// 1 session
}

func ExampleMemory_Run() {
	store, err := session.NewMemory(session.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // at the end of the program
	fmt.Println(lb.Run(ctx, store))
	// Output: <nil>
}

func ExampleHeader() {
	key, err := session.Header("X-Account")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Account", "alice")
	name, _ := key.Read(r)
	fmt.Println(name)
	// Output: K9gGyX8OAK8aH8Myj6djqSaXI8jbj6xPk69x2xhtbpA
}
