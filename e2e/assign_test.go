package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
	"github.com/go-loadbalancer/lb/session/redisstore"
)

// asRacer makes the test binary race for sessions: "URL number-of-sessions name".
const asRacer = "LB_E2E_RACER"

// heat is how many sessions all processes begin with at the same time.
const heat = 1000

// serveRacer waits for a line, binds each session of a heat to a backend of its own name, and writes who got
// each, and in the end how many decisions it made without Redis.
func serveRacer(job string) {
	var url, name string
	var n int
	if _, err := fmt.Sscan(job, &url, &n, &name); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	store, err := redisstore.New(redisstore.Config{URL: url, Secret: []byte(strings.Repeat("s", 32)), Timeout: 20 * time.Second, MaxSessions: 2 * n})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for range 1000 {
		if _, err = store.Lookup(context.Background(), "any"); err == nil {
			break
		}
	}
	fmt.Println("ready", err)
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for from := 0; from < n; from += heat {
		_, _ = in.ReadString('\n')
		for _, got := range runHeat(store, name, from, min(n, from+heat)) {
			fmt.Fprintln(out, got)
		}
		out.Flush()
	}
	fmt.Fprintln(out, "alone", store.Stats().HitsUnverified)
	out.Flush()
	store.Close()
}

// runHeat races for the sessions of one heat.
func runHeat(store *redisstore.Store, name string, from, to int) []string {
	got := make([]string, to-from)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(got); i = int(next.Add(1)) - 1 {
				got[i] = raceFor(store, fmt.Sprint("session", from+i), name)
			}
		})
	}
	all.Wait()
	return got
}

// raceFor binds a session and asks for it again.
func raceFor(store *redisstore.Store, session, name string) string {
	got, err := store.Bind(context.Background(), session, "", name)
	if err != nil {
		return err.Error()
	}
	if again, err := store.Lookup(context.Background(), session); err != nil || again != got {
		return fmt.Sprintf("%s, then %s, %v", got, again, err)
	}
	return got
}

// racer is such a process.
type racer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startRacer(t *testing.T, url, name string, n int) *racer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", asRacer, url, n, name))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := &racer{cmd, in, bufio.NewScanner(out)}
	if got := r.line(); got != "ready <nil>" {
		t.Fatalf("a racer says %q", got)
	}
	return r
}

func (r *racer) line() string {
	r.out.Scan()
	return r.out.Text()
}

// Four processes assign the same sessions at the same time, each to itself: all of them are told the
// same of each. LB_FULL=1 makes a million assignments.
func TestRacingAssignments(t *testing.T) {
	const processes = 4
	sessions := 10_000
	if full() {
		sessions = 250_000
	}
	url := redistest.Start(t).URL()
	var all []*racer
	for i := range processes {
		all = append(all, startRacer(t, url, fmt.Sprint("p", i), sessions))
	}
	began := time.Now()
	wins, disagreements := map[string]int{}, 0
	for i := range sessions {
		if i%heat == 0 {
			for _, r := range all {
				_, _ = io.WriteString(r.in, "go\n")
			}
		}
		first := all[0].line()
		wins[first]++
		for _, r := range all[1:] {
			if got := r.line(); got != first {
				if disagreements++; disagreements < 10 {
					t.Errorf("session %d is on %q, or on %q", i, first, got)
				}
			}
		}
	}
	for _, r := range all {
		if got := r.line(); got != "alone 0" {
			t.Errorf("a process says %q: it did not always ask Redis", got)
		}
	}
	took := time.Since(began)
	t.Logf("%d assignments by %d processes in %v (%.0f/s), %d disagreements, won %v", sessions*processes, processes, took,
		float64(sessions*processes)/took.Seconds(), disagreements, wins)
	if disagreements > 0 || len(wins) < 2 {
		t.Errorf("%d disagreements; winners %v", disagreements, wins)
	}
}
