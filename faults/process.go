package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child that has been started.
type process struct {
	h     *harness
	cmd   *exec.Cmd
	log   string // the file of what it writes to standard error
	ended chan struct{}
	code  int // how it exited, once it has ended

	mu  sync.Mutex     // one question at a time
	in  io.WriteCloser // nil if it plays no role of ours
	out *bufio.Reader
}

// role starts this program again in a role, and waits until it is ready.
func (h *harness) role(words ...string) (*process, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(own)
	cmd.Env = append(os.Environ(), roleVar+"="+strings.Join(words, " "))
	p := &process{h: h, cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(stdout)
	if err := p.start(words[0]); err != nil {
		return nil, err
	}
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		p.kill()
		return nil, fmt.Errorf("%s did not start: it said %q (%v) %s", words[0], line, err, p.said())
	}
	return p, nil
}

// start starts the command, and tells the warden. What it says goes to a file of that name.
func (p *process) start(name string) error {
	said, err := os.CreateTemp(p.h.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return err
	}
	defer said.Close() // the child has its own
	p.cmd.Stderr, p.log = said, said.Name()
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.h.guard("+%d\n", p.cmd.Process.Pid)
	p.ended = make(chan struct{})
	go func() {
		if state, err := p.cmd.Process.Wait(); err == nil { // not Cmd.Wait, which closes the pipe that is still read
			p.code = state.ExitCode()
		}
		p.h.guard("-%d\n", p.cmd.Process.Pid)
		close(p.ended)
	}()
	return nil
}

// kill ends the process and what it has started, at once. Killing one that has ended does nothing.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		killGroup(p.cmd.Process.Pid)
		<-p.ended
	}
	if p.in != nil {
		p.in.Close()
	}
}

// terminate asks the process to end, and returns how long that took. After most it is killed.
func (p *process) terminate(most time.Duration) (took time.Duration, ok bool) {
	began := time.Now()
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.kill()
		return 0, false
	}
	limit := time.NewTimer(most)
	defer limit.Stop()
	select {
	case <-p.ended:
		return time.Since(began), true
	case <-limit.C:
		p.kill()
		return time.Since(began), false
	}
}

// said returns what the process has written to standard error.
func (p *process) said() string {
	text, _ := os.ReadFile(p.log) // none is no error
	return string(text)
}

// ask sends a line to a process in a role and reads its answer into told.
func (p *process) ask(told any, format string, args ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: the process has ended: %w %s", fmt.Sprintf(format, args...), err, p.said())
	}
	return json.Unmarshal(line, told)
}

// listening waits until the process accepts connections at addr.
func (p *process) listening(ctx context.Context, addr string) error {
	for range 1000 {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return errors.New("it has ended: " + p.said())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("it accepts no connection: " + p.said())
}
