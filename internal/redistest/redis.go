package redistest

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Redis is one redis-server process, which may be a sentinel or a member of a cluster. Its methods
// are for the test's own goroutine, but for Address, URL, TLSConfig and Do.
type Redis struct {
	t       testing.TB
	cfg     Config
	form    form
	program string
	dir     string
	port    int
	cert    *certificate // nil: it speaks plainly
	process *process     // nil while it does not run
}

// form is what a Redis is.
type form struct {
	lines []string // of its redis.conf, besides those of Config
	args  []string
	ready string // what it writes when it is ready
	bus   bool
}

func plain(lines ...string) form { return form{lines: lines, ready: "Ready to accept connections"} }

// Start runs a Redis until the test ends. At most one Config says what it is like.
func Start(t testing.TB, cfg ...Config) *Redis {
	t.Helper()
	c := one(cfg)
	return start(t, c, plain(c.serverLines()...), nil)
}

// start runs a Redis of that form. A nil certificate makes one if it is needed.
func start(t testing.TB, cfg Config, f form, cert *certificate) *Redis {
	t.Helper()
	r := &Redis{t: t, cfg: cfg, form: f, program: find(t), dir: folder(t), cert: cert, port: cfg.Port}
	if cfg.TLS && cert == nil {
		r.cert = newCertificate(t, r.dir)
	}
	t.Cleanup(r.Kill)
	var err error
	for range 5 {
		if cfg.Port == 0 {
			r.port = freePort(t, f.bus)
		}
		r.configure()
		if err = r.run(); err == nil { // else somebody else was faster to take the port
			return r
		}
	}
	t.Fatal(err)
	return nil
}

// find returns the program, or ends the test.
func find(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("LB_TEST_REQUIRE") == "1" {
		t.Fatal("redis-server is not on the PATH, and LB_TEST_REQUIRE=1")
	} else if err != nil {
		t.Skip("SKIPPED: redis-server is not on the PATH; nothing here was tested against a real Redis")
	}
	return program
}

// folder is like t.TempDir, but its name is short: that of a Unix socket has 100 bytes at most.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *Redis) configure() {
	r.t.Helper()
	lines := append(r.cfg.lines(r.port, r.dir, r.cert), r.form.lines...)
	must(r.t, os.WriteFile(r.file(), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

func (r *Redis) file() string { return filepath.Join(r.dir, "redis.conf") }

func (r *Redis) run() (err error) {
	p, err := launch(r.form.ready, r.program, append([]string{r.file()}, r.form.args...)...)
	if err == nil {
		r.process = p
	}
	return err
}

// Address returns host:port. It stays the same for good.
func (r *Redis) Address() string { return loopback(r.port) }

// URL returns what a client is configured with, password and all.
func (r *Redis) URL() string {
	if r.cfg.Unix {
		return r.cfg.link("unix", "", socket(r.dir))
	}
	return r.cfg.link("redis", r.Address(), "")
}

// TLSConfig returns what a client needs, or nil if this Redis does not speak TLS.
func (r *Redis) TLSConfig() *tls.Config { return r.cert.client() }

// Kill ends the process at once, also one that is paused. It does nothing if none runs.
func (r *Redis) Kill() {
	if r.process != nil {
		r.process.kill()
		r.process = nil
	}
}

// Restart runs Redis again after Kill, or ends it first: at the same port, and empty unless
// Config.Keep says otherwise.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	var err error
	for range 5 {
		if err = r.run(); err == nil {
			return
		}
	}
	r.t.Fatal(err)
}

// Running reports whether there is a process, paused or not.
func (r *Redis) Running() bool { return r.process != nil }

// FlushAll deletes all that it has.
func (r *Redis) FlushAll() {
	r.t.Helper()
	_, err := r.Do("FLUSHALL")
	must(r.t, err)
}
