package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// harness is what all rows share: the demo, built, and a folder that ends with the program.
type harness struct {
	short    bool
	progress io.Writer
	root     string   // the library's folder
	dir      string   // for everything that is written
	demo     string   // the demo's binary
	help     string   // what the demo says of its flags
	with     []string // flags of the demo in all rows, after their own
	logs     string   // the folder to keep what proxies say; "" for none

	mu     sync.Mutex
	warden *process
	ports  map[int]bool // given out
}

// newHarness builds the demo, or takes the binary that is given.
func newHarness(ctx context.Context, demo string, short bool, progress io.Writer) (h *harness, err error) {
	h = &harness{short: short, progress: progress, demo: demo, ports: map[int]bool{}}
	if h.dir, err = os.MkdirTemp("", "lb-faults"); err != nil {
		return nil, err
	}
	warden, err := h.role("warden", h.dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(h.dir))
	}
	h.mu.Lock()
	h.warden = warden
	h.mu.Unlock()
	if err := h.build(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *harness) build(ctx context.Context) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-loadbalancer/lb").Output()
	if err != nil {
		return fmt.Errorf("go list: %w; run this program in its own folder", err)
	}
	h.root = strings.TrimSpace(string(dir))
	if h.demo == "" {
		h.demo = filepath.Join(h.dir, "standalone")
		build := exec.CommandContext(ctx, "go", "build", "-o", h.demo, "./examples/standalone")
		build.Dir = h.root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the demo: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	help, err := exec.CommandContext(ctx, h.demo, "-h").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s -h: %w: %s", h.demo, err, bytes.TrimSpace(help))
	}
	h.help = string(help)
	return nil
}

// knows reports whether the demo has a flag, written like -policy=random.
func (h *harness) knows(flag string) bool {
	name, _, _ := strings.Cut(flag, "=")
	return regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(name) + `\b`).MatchString(h.help)
}

// close ends everything that still runs.
func (h *harness) close() {
	w := h.warden
	w.in.Close()
	<-w.ended
	_ = os.RemoveAll(h.dir) // the warden has, unless it was killed
}

// guard tells the warden of a process.
func (h *harness) guard(format string, pid int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.warden != nil {
		fmt.Fprintf(h.warden.in, format, pid) // an error means that it is closing
	}
}

// freeAddr returns an address that was free a moment ago, and is given once. It is outside of the
// range from which systems take ports for clients: so no connection takes the port of a backend
// that is down, and none that is made to it reaches itself.
func (h *harness) freeAddr() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if h.ports[port] {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			h.ports[port] = true
			return addr, l.Close()
		}
	}
	return "", errors.New("no port from 20000 to 31999 is free")
}

func (h *harness) say(format string, args ...any) { fmt.Fprintf(h.progress, format+"\n", args...) }
