package redistest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis is one redis-server process. Its methods are for the test's own goroutine.
type Redis struct {
	t       testing.TB
	program string
	dir     string
	port    string
	cmd     *exec.Cmd // nil while it does not run
}

// Start runs a Redis until the test ends. It keeps nothing on disk.
func Start(t testing.TB) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("LB_TEST_REQUIRE") == "1" {
			t.Fatal("redis-server is not on the PATH, and LB_TEST_REQUIRE=1")
		}
		t.Skip("SKIPPED: redis-server is not on the PATH; nothing here was tested against a real Redis")
	}
	r := &Redis{t: t, program: program, dir: t.TempDir()}
	t.Cleanup(r.Kill)
	for range 5 {
		r.port = freePort(t)
		if r.run() { // else somebody else was faster to take the port
			return r
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// Address returns host:port. It stays the same for good.
func (r *Redis) Address() string { return "127.0.0.1:" + r.port }

// Restart runs Redis again, empty, after Kill.
func (r *Redis) Restart() {
	r.t.Helper()
	for range 5 {
		if r.run() {
			return
		}
	}
	r.t.Fatalf("redis-server does not start again on port %s", r.port)
}

// Kill ends the process at once, also one that is paused. It does nothing if none runs.
func (r *Redis) Kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// run starts the process and reads what it says until it is ready.
func (r *Redis) run() bool {
	r.t.Helper()
	r.cmd = exec.Command(r.program, "--port", r.port, "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "", "--dir", r.dir)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	process := r.cmd.Process
	late := time.AfterFunc(20*time.Second, func() { _ = process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return true // it says little more: a pipe holds that
		}
	}
	r.Kill()
	return false
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
