//go:build unix

package redis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/redistest"
)

// fleet is the test's side: the machines that run, and what instances tell.
type fleet struct {
	t     *testing.T
	redis string
	at    *httptest.Server

	mu       sync.Mutex
	n, want  int
	running  map[string]bool
	launches map[string]int // by the instance that asked
	news     map[string]news
	procs    map[string]*exec.Cmd
}

func newFleet(t *testing.T, url string) *fleet {
	f := &fleet{t: t, redis: url, want: 1, running: make(map[string]bool), launches: make(map[string]int), news: make(map[string]news), procs: make(map[string]*exec.Cmd)}
	mux := http.NewServeMux()
	mux.HandleFunc("/launch", serve(f.launch))
	mux.HandleFunc("/terminate", serve(f.terminate))
	mux.HandleFunc("/news", serve(f.hear))
	f.at = httptest.NewServer(mux)
	t.Cleanup(func() {
		for name := range f.procs {
			f.kill(name)
		}
		f.at.Close()
	})
	return f
}

// serve makes a handler of a function.
func serve[Q, A any](answer func(Q) A) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if json.NewDecoder(r.Body).Decode(&q) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(answer(q))
	}
}

func (f *fleet) launch(name string) lb.Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.launches[name]++
	id := fmt.Sprintf("m%d", f.n)
	f.running[id] = true
	if len(f.running) > most+most {
		f.t.Errorf("%d backends run", len(f.running))
	}
	return lb.Spec{ID: id, URL: fmt.Sprintf("http://10.1.0.%d", f.n%250)}
}

func (f *fleet) terminate(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
	return ""
}

func (f *fleet) hear(n news) wish {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.news[n.Name] = n
	return wish{Want: f.want}
}

// start runs an instance, and kill ends it at once.
func (f *fleet) start(name string) {
	f.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LB_AUTOSCALE_INSTANCE="+f.at.URL, "LB_AUTOSCALE_REDIS="+f.redis, "LB_AUTOSCALE_NAME="+name)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.procs[name] = cmd
}

func (f *fleet) kill(name string) {
	_ = f.procs[name].Process.Kill()
	_ = f.procs[name].Wait()
	delete(f.procs, name)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.news, name)
}

// wants tells the plan of all instances.
func (f *fleet) wants(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want = n
}

// leaders lists those who say that they lead.
func (f *fleet) leaders() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, n := range f.news {
		if n.Stats.Leading == 1 {
			names = append(names, name)
		}
	}
	return names
}

// await waits for something, for a minute at most, and returns how long it took.
func (f *fleet) await(what string, is func() bool) time.Duration {
	f.t.Helper()
	begun := time.Now()
	for tick := time.NewTicker(5 * time.Millisecond); !is(); <-tick.C {
		if time.Since(begun) > time.Minute {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("%s: not in a minute; want %d, running %v, news %+v", what, f.want, f.running, f.news)
		}
	}
	return time.Since(begun)
}

// settled reports whether what runs is what is wanted, and what each instance that can speak has.
func (f *fleet) settled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []string{"c0"}
	for id := range f.running {
		all = append(all, id)
	}
	slices.Sort(all)
	for _, n := range f.news {
		slices.Sort(n.Pool)
		if !slices.Equal(n.Pool, all) {
			return false
		}
	}
	return len(all) == f.want
}

// led reports whether exactly one leads, and not this one.
func (f *fleet) led(but string) func() bool {
	return func() bool {
		all := f.leaders()
		all = slices.DeleteFunc(all, func(name string) bool { return name == but })
		return len(all) == 1
	}
}

// TestFleet has three instances in processes of their own, and kills and stops them and Redis.
func TestFleet(t *testing.T) {
	r := redistest.Start(t)
	f := newFleet(t, "redis://"+r.Address())
	for _, name := range []string{"a", "b", "c"} {
		f.start(name)
	}
	t.Logf("the first leads after %v", f.await("the first", f.led("")))
	f.wants(4)
	t.Logf("three more backends in all pools after %v", f.await("up", f.settled))

	old := f.leaders()[0]
	f.kill(old)
	f.wants(6)
	t.Logf("another leads %v after kill -9", f.await("takeover", f.led(old)))
	t.Logf("two more backends after %v", f.await("after kill", f.settled))
	f.start("d")

	f.pauses(t)
	f.withoutRedis(t, r)
}

// pauses stops the leader for longer than its validity.
func (f *fleet) pauses(t *testing.T) {
	f.await("a leader", f.led(""))
	old := f.leaders()[0]
	f.mu.Lock()
	stale := f.news[old]
	delete(f.news, old)
	before := f.launches[old]
	f.mu.Unlock()
	stop(t, f.procs[old])
	f.wants(8)
	t.Logf("another leads %v after a stop", f.await("takeover", f.led(old)))
	t.Logf("two more backends after %v", f.await("after the stop", f.settled))
	goOn(t, f.procs[old])
	f.await("the one that was stopped", func() bool { // it leads no more, whether it found out by the lock or by the State
		f.mu.Lock()
		defer f.mu.Unlock()
		now := f.news[old].Stats
		return now.Leading == 0 && now.Generation > stale.Stats.Generation
	})
	f.wants(5)
	t.Logf("three fewer after %v", f.await("down", f.settled))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.launches[old] != before {
		t.Errorf("the one that was stopped has launched %d", f.launches[old]-before)
	}
}

// withoutRedis kills, stops and empties it.
func (f *fleet) withoutRedis(t *testing.T, r *redistest.Redis) {
	launched := func() int { f.mu.Lock(); defer f.mu.Unlock(); return f.n }
	f.await("a leader", f.led(""))
	n := launched()
	if _, err := r.Do("FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	f.await("the State is there again", func() bool { v, _ := r.Do("EXISTS", "lb:scale:default:state"); return v == int64(1) })
	t.Logf("settled %v after FLUSHALL", f.await("after FLUSHALL", func() bool { return len(f.leaders()) == 1 && f.settled() }))

	r.Kill()
	f.wants(7)
	t.Logf("nobody leads %v after Redis has died", f.await("nobody leads", func() bool { return len(f.leaders()) == 0 }))
	if launched() != n || !f.alike(4) {
		t.Errorf("%d launches, or pools that differ, while Redis is away", launched()-n)
	}
	r.Restart()
	t.Logf("two more backends %v after Redis is back, empty", f.await("after a restart", f.settled))
	if launched() != n+2 {
		t.Errorf("%d launches instead of 2", launched()-n)
	}

	f.await("a leader", f.led(""))
	r.Pause()
	t.Logf("nobody leads %v after Redis has stopped", f.await("nobody leads", func() bool { return len(f.leaders()) == 0 }))
	f.wants(4)
	r.Resume()
	t.Logf("three fewer backends %v after it goes on", f.await("after a pause", f.settled))
}

// alike reports whether every instance has so many launched backends.
func (f *fleet) alike(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.news {
		if launched := slices.DeleteFunc(slices.Clone(x.Pool), func(id string) bool { return !strings.HasPrefix(id, "m") }); len(launched) != n {
			return false
		}
	}
	return len(f.running) == n
}
