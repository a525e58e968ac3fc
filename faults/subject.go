package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// front is a proxy under test.
type front struct {
	*process
	addr  string
	admin string // where the demo tells about itself; "" for others
	asker *http.Client
}

// demoFlags are those of the demo in every row; a row's own come after them. What the demo does
// not know is left out.
var demoFlags = []string{
	"-mount=/",
	"-sticky=false", // clients here keep no cookies
	"-rate-limit=0", // all requests come from one address
	"-health-interval=1s",
	"-header-timeout=2s",
	"-shutdown-timeout=10s",
}

// startDemo starts the demo before these backends.
func (s *stage) startDemo(flags ...string) (*front, error) { return s.startDemoBy("", flags...) }

// startDemoBy starts the demo by a shell that does something first.
func (s *stage) startDemoBy(shell string, flags ...string) (f *front, err error) {
	f = &front{asker: newClient(5 * time.Second)}
	if f.addr, err = s.h.freeAddr(); err != nil {
		return nil, err
	}
	if f.admin, err = s.h.freeAddr(); err != nil {
		return nil, err
	}
	args := []string{"-listen", f.addr, "-admin", f.admin}
	for _, flag := range slices.Concat(demoFlags, s.row.flags, flags, s.h.with) {
		if s.h.knows(flag) {
			args = append(args, flag)
		}
	}
	for _, b := range s.backends {
		args = append(args, "-backend", "http://"+b.addr+",id="+b.id)
	}
	cmd := exec.Command(s.h.demo, args...)
	if shell != "" {
		cmd = exec.Command("sh", append([]string{"-c", shell + `; exec "$0" "$@"`, s.h.demo}, args...)...)
	}
	return f, s.startFront(f, "lb", cmd)
}

// startFront starts a proxy and waits until it listens. It ends with the row.
func (s *stage) startFront(f *front, name string, cmd *exec.Cmd) error {
	f.process = &process{h: s.h, cmd: cmd}
	if err := f.start(name); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.atEnd(func() {
		f.kill()
		f.asker.CloseIdleConnections()
		if s.h.logs != "" {
			keep := filepath.Join(s.h.logs, s.row.id+"-"+name+".log")
			if err := os.WriteFile(keep, []byte(f.said()), 0o644); err != nil {
				s.h.say("%v", err)
			}
		}
	})
	if err := f.listening(s.ctx, f.addr); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return s.settle(f)
}

// settle waits until every backend has answered through the proxy.
func (s *stage) settle(f *front) error {
	client := newClient(slack)
	defer client.CloseIdleConnections()
	seen := map[string]bool{}
	for range 2000 {
		if _, backend, err := exchange(s.ctx, client, f.addr, "", "", false); err == nil {
			seen[backend] = true
		}
		if len(seen) == len(s.backends) {
			return nil
		}
		if err := sleepUntil(s.ctx, time.Now().Add(5*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("through the proxy, %d of %d backends answered: %s", len(seen), len(s.backends), f.said())
}

// status is what the demo says of itself, as far as rows ask.
type status struct {
	Available int
	Active    int
	Totals    struct{ Requests, Errors, Retries int }
	Backends  []struct {
		ID       string
		State    string
		Breaker  string
		InFlight int `json:"in_flight"`
		Requests int
		Errors   int
	}
}

// of returns one backend's part.
func (st *status) of(id string) (requests, errors int) {
	for _, b := range st.Backends {
		if b.ID == id {
			return b.Requests, b.Errors
		}
	}
	return 0, 0
}

// attempts is the sum over all backends.
func (st *status) attempts() (sum int) {
	for _, b := range st.Backends {
		sum += b.Requests
	}
	return sum
}

// troubled reports which backends are not fit, or have a breaker that is not closed.
func (st *status) troubled() (all []string) {
	for _, b := range st.Backends {
		if b.State != "fit" || b.Breaker != "closed" {
			all = append(all, b.ID+" "+b.State+" "+b.Breaker)
		}
	}
	return all
}

// status asks the demo.
func (f *front) status(ctx context.Context) (st status, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.admin+"/metrics", nil)
	if err != nil {
		return st, err
	}
	resp, err := f.asker.Do(req)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return st, errors.Join(err, json.Unmarshal(text, &st))
}

// foreign is a proxy that takes part if its program is on PATH.
type foreign struct {
	name    string
	program string
	ask     string // what makes it tell its version
	args    func(dir string) []string
	config  func(dir, addr string, backends []string) string
}

// startForeign starts one before the row's backends.
func (s *stage) startForeign(by foreign) (f *front, err error) {
	dir := filepath.Join(s.dir, by.name)
	f = &front{asker: newClient(5 * time.Second)}
	if f.addr, err = s.h.freeAddr(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var addrs []string
	for _, b := range s.backends {
		addrs = append(addrs, b.addr)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(by.config(dir, f.addr, addrs)), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(by.program, by.args(dir)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	return f, s.startFront(f, by.name, cmd)
}

// installed tells which foreign proxies are there.
func installed() (all []foreign) {
	for _, f := range foreigners() {
		if _, err := exec.LookPath(f.program); err == nil {
			all = append(all, f)
		}
	}
	return all
}

// version is a proxy's name, and the first line of what it says of itself.
func (f foreign) version(ctx context.Context) string {
	text, _ := exec.CommandContext(ctx, f.program, f.ask).CombinedOutput() // a silent one has no version
	line, _, _ := strings.Cut(string(text), "\n")
	return f.program + ": " + cmp.Or(strings.TrimSpace(line), "it did not tell its version")
}
