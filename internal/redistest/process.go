package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// process is a program that runs, or did.
type process struct {
	pid   *os.Process
	ready chan struct{} // closed when it has said so
	ended chan struct{} // closed when it is gone
	mu    sync.Mutex
	last  []string // lines that it wrote
}

const (
	keptLines = 20
	startTime = 20 * time.Second
)

// launch starts a program and waits until it writes the text ready. On Linux the system ends it with
// us if we are killed: the thread that starts it lives as long as it does, which that rests on.
func launch(ready, program string, args ...string) (*process, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = write, write, dieWithUs()
	p := &process{ready: make(chan struct{}), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		write.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		read.Close()
		return nil, err
	}
	p.pid = cmd.Process
	go p.listen(read, ready)
	return p, p.await(program)
}

func (p *process) await(program string) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
	case <-late.C:
		p.kill()
	}
	return fmt.Errorf("%s does not start:\n%s", program, p.said())
}

// listen reads what it writes, to the end.
func (p *process) listen(from *os.File, ready string) {
	defer from.Close()
	waiting := true
	for lines := bufio.NewScanner(from); lines.Scan(); {
		p.mu.Lock()
		p.last = append(p.last, lines.Text())
		p.last = p.last[max(0, len(p.last)-keptLines):]
		p.mu.Unlock()
		if waiting && strings.Contains(lines.Text(), ready) {
			waiting = false
			close(p.ready)
		}
	}
}

// said returns the last lines that it wrote.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "\n")
}

// kill ends it at once, also when it is paused.
func (p *process) kill() {
	_ = p.pid.Kill()
	<-p.ended
}

var errEnded = errors.New("it does not run")
