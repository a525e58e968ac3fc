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
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// roleVar makes this program play one part of a measurement: "backends", or "proxy KIND ADDR...".
// A process in a role prints "ready ADDR...", answers each line that it reads with its figures,
// and ends with its standard input, so that none outlives the program, however that ends.
const roleVar = "LB_BENCH_ROLE"

// profileVar names the folder into which each proxy of this program writes a profile of its
// processor time; empty: none does.
const profileVar = "LB_BENCH_PROFILE"

// figures is what a process in a role tells of itself.
type figures struct {
	CPU    time.Duration // where the system does not tell others
	Allocs uint64        // objects since the start
	Memory int64         // bytes asked of the system, where that does not tell others
	Conns  int64         // that backends have accepted
}

// play is the other end of a process: it opens what the role wants and serves until in ends.
func play(role string, in io.Reader, out io.Writer) error {
	words := strings.Fields(role)
	var addrs []string
	var err error
	switch {
	case words[0] == "backends":
		addrs, err = listenBackends()
	case words[0] == "proxy" && len(words) > 2:
		addrs, err = listenProxy(words[1], words[2:])
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		return err
	}
	stop, err := profile(os.Getenv(profileVar), words)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintln(out, "ready", strings.Join(addrs, " "))
	asked := bufio.NewScanner(in)
	for asked.Scan() {
		if asked.Text() == "settle" {
			runtime.GC() // twice: what a sync.Pool holds goes with the second
			debug.FreeOSMemory()
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		told := figures{CPU: selfCPU(), Allocs: stats.Mallocs, Memory: int64(stats.Sys - stats.HeapReleased), Conns: accepted.Load()}
		if err := json.NewEncoder(out).Encode(told); err != nil {
			return err
		}
	}
	return asked.Err()
}

// profile begins to write a proxy's profile, and returns what ends it.
func profile(dir string, role []string) (stop func(), err error) {
	if dir == "" || role[0] != "proxy" {
		return func() {}, nil
	}
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", role[1], os.Getpid())))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}, nil
}

// process is a child that has been started.
type process struct {
	addrs []string // where it listens
	cmd   *exec.Cmd
	pids  []int
	log   string         // the file of what it says; empty: standard error
	in    io.WriteCloser // nil if it plays no role of ours
	out   *bufio.Reader
	ended chan error // gets what Wait returned
}

// startRole starts this program again, in a role, on these processors.
func startRole(cpus []int, role, profiles string) (*process, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(own)
	cmd.Env = append(os.Environ(), roleVar+"="+role, profileVar+"="+profiles, fmt.Sprintf("GOMAXPROCS=%d", max(1, len(cpus))))
	cmd.Stderr = os.Stderr
	p := &process{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(stdout)
	if err := p.start(cpus); err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) < 2 || words[0] != "ready" {
		p.stop()
		return nil, fmt.Errorf("%s did not start: it said %q (%v)", role, line, err)
	}
	p.addrs = words[1:]
	return p, nil
}

// start starts the command in a process group of its own, so that an interrupt at the keyboard
// reaches this program only, which then stops its children.
func (p *process) start(cpus []int) error {
	ownGroup(p.cmd)
	if err := startOn(cpus, p.cmd.Start); err != nil {
		return err
	}
	p.pids = []int{p.cmd.Process.Pid}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.cmd.Wait() }()
	return nil
}

// stop ends the process: by its input if it plays a role, else by a signal, and after two
// seconds for certain.
func (p *process) stop() {
	if p.in != nil {
		p.in.Close()
	} else if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		_ = p.cmd.Process.Kill()
	}
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// answering waits until the process accepts connections.
func (p *process) answering(ctx context.Context) error {
	for range 500 {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addrs[0])
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return errors.Join(errors.New("it has ended"), err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("it accepts no connection")
}

// silent is the error of a process that answered nothing.
func (p *process) silent(first error) error {
	text, _ := os.ReadFile(p.log) // none is no error
	return fmt.Errorf("no request was answered: %w %s", first, text)
}

// reading is what a process had taken at one moment. CPU is read before and after the rest, so
// that neither end of a slice pays for being asked.
type reading struct {
	before, after time.Duration
	allocs        uint64
	now, peak     int64 // bytes of memory
}

// addr is where the process listens for a scenario's clients.
func (p *process) addr(s scenario) string {
	if s.way == overTLS {
		return p.addrs[1]
	}
	return p.addrs[0]
}

// read reads what the process has taken; word says whether it has to "settle" first.
func (p *process) read(word string) (r reading, err error) {
	var told figures
	if p.in == nil {
		p.pids = family(p.cmd.Process.Pid) // nginx may listen before its worker is there
	}
	early, known := cpuTime(p.pids)
	if p.in != nil {
		if told, err = p.ask(word); err != nil {
			return r, err
		}
	}
	r = reading{before: told.CPU, after: told.CPU, allocs: told.Allocs, now: told.Memory, peak: told.Memory}
	if now, peak, ok := memory(p.pids); ok {
		r.now, r.peak = now, peak
	}
	if known {
		r.before = early
		r.after, _ = cpuTime(p.pids)
	}
	return r, nil
}

func (p *process) ask(word string) (told figures, err error) {
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		return told, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return told, fmt.Errorf("a process has ended: %w", err)
	}
	return told, json.Unmarshal(line, &told)
}
