package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asBackend makes the test binary serve as a backend on that address, so that a test can kill one.
const asBackend = "LB_E2E_BACKEND"

// standalone is the program under test, built once.
var standalone string

func TestMain(m *testing.M) {
	if addr := os.Getenv(asBackend); addr != "" {
		serveBackend(addr)
		return
	}
	if job := os.Getenv(asRacer); job != "" {
		serveRacer(job)
		return
	}
	os.Exit(buildAndRun(m))
}

func serveBackend(addr string) {
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Backend", addr)
		_, _ = io.WriteString(w, addr)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lb-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	standalone = filepath.Join(dir, "standalone")
	build := exec.Command("go", "build", "-o", standalone, "./examples/standalone")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the demo: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a program that was started for a test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // where it serves, if that is known
	done chan struct{}

	mu    sync.Mutex
	lines []string
}

// start runs the demo with these flags until the test is over, and waits until it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, exec.Command(standalone, args...))
	p.await("ready to accept connections")
	return p
}

// startBalancer is start on a free port. A flag -admin without a value shares that port.
func startBalancer(t *testing.T, args ...string) *process {
	t.Helper()
	addr := freeAddr(t)
	p := start(t, append([]string{"-listen", addr}, args...)...)
	p.addr = addr
	return p
}

// startBackends starts n backends as processes of their own.
func startBackends(t *testing.T, n int) (list []*process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		addr := freeAddr(t)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asBackend+"="+addr)
		p := launch(t, cmd)
		p.addr = addr
		eventually(t, "the backend listens", func() bool {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		list = append(list, p)
	}
	return list
}

// flags names backends to the demo.
func flags(backends []*process) (args []string) {
	for i, b := range backends {
		args = append(args, "-backend", fmt.Sprintf("http://%s,id=b%d,weight=%d,region=%s", b.addr, i+1, 1+i%2, []string{"eu", "us"}[i%2]))
	}
	return args
}

func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, in.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process at once. Killing one that has ended does nothing.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		_ = p.cmd.Wait()
	}
}

// stop asks the process to end and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// log returns what the process has written.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// await waits for a text in the log.
func (p *process) await(text string) {
	p.t.Helper()
	ended := false
	eventually(p.t, "the log says "+text, func() bool {
		select {
		case <-p.done:
			ended = true
		default:
		}
		return ended || strings.Contains(p.log(), text)
	})
	if !strings.Contains(p.log(), text) {
		p.t.Fatalf("it ended without saying %q:\n%s", text, p.log())
	}
}

// eventually waits for a condition, and gives up after a time that decides nothing else.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never: %s", what)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
