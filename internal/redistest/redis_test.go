package redistest

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func want(t *testing.T, r *Redis, reply any, args ...string) {
	t.Helper()
	if got, err := r.Do(args...); err != nil || got != reply {
		t.Errorf("%s: %v, %v, not %v", strings.Join(args, " "), got, err, reply)
	}
}

func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		cfg Config
		url string
	}{
		"plain":            {Config{}, "redis://127.0.0.1:"},
		"password":         {Config{Password: "p/w"}, "redis://:p%2Fw@127.0.0.1:"},
		"account":          {Config{User: "lb", Password: "pw"}, "redis://lb:pw@127.0.0.1:"},
		"TLS":              {Config{TLS: true}, "rediss://127.0.0.1:"},
		"TLS and account":  {Config{TLS: true, User: "lb", Password: "pw"}, "rediss://lb:pw@127.0.0.1:"},
		"socket":           {Config{Unix: true}, "unix:///"},
		"one that keeps":   {Config{Keep: true}, "redis://127.0.0.1:"},
		"further settings": {Config{Lines: []string{"databases 3"}}, "redis://127.0.0.1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Start(t, c.cfg)
			if !strings.HasPrefix(r.URL(), c.url) || (r.TLSConfig() != nil) != c.cfg.TLS {
				t.Errorf("it is at %s, TLS %v", r.URL(), r.TLSConfig())
			}
			want(t, r, "OK", "SET", "k", "v")
			want(t, r, "v", "GET", "k")
			r.Kill()
			if _, err := r.Do("GET", "k"); err == nil || r.Running() {
				t.Error("it answers although it was killed")
			}
			r.Restart()
			kept := map[bool]any{true: "v", false: nil}[c.cfg.Keep]
			want(t, r, kept, "GET", "k")
			want(t, r, "OK", "SET", "k", "v")
			r.FlushAll()
			want(t, r, nil, "GET", "k")
		})
	}
}

func TestSocket(t *testing.T) {
	r := Start(t, Config{Unix: true})
	conn, err := net.Dial("unix", strings.TrimPrefix(r.URL(), "unix://"))
	must(t, err)
	conn.Close()
}

// Who does not know the password or the account is refused.
func TestAccount(t *testing.T) {
	r := Start(t, Config{User: "lb", Password: "pw"})
	for _, other := range []Config{{}, {Password: "pw"}, {User: "lb", Password: "no"}} {
		stranger := *r
		stranger.cfg.User, stranger.cfg.Password = other.User, other.Password
		if got, err := stranger.Do("GET", "k"); err == nil {
			t.Errorf("%+v is told %v", other, got)
		}
	}
}

func TestMaxMemory(t *testing.T) {
	r := Start(t, Config{MaxMemory: "3mb"})
	want(t, r, "OK", "SET", "k", "v")
	var err error
	for range 500 {
		if _, err = r.Do("RPUSH", "big", strings.Repeat("x", 10<<10)); err != nil {
			break
		}
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("beyond its memory it says %v", err)
	}
	want(t, r, "v", "GET", "k")
}

func TestReplies(t *testing.T) {
	r := Start(t)
	want(t, r, int64(2), "RPUSH", "l", "a", "b\r\nc")
	got, err := r.Do("LRANGE", "l", "0", "-1")
	if list, ok := got.([]any); err != nil || !ok || len(list) != 2 || list[1] != "b\r\nc" {
		t.Errorf("%q %v", got, err)
	}
	if got, err := r.Do("GET", "l"); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		t.Errorf("%q %v", got, err)
	}
}

const inner = "LB_REDISTEST_INNER"

// A test that ends without any of its clean-up leaves no Redis behind, on a system that can do that.
func TestDiesWithUs(t *testing.T) {
	if dieWithUs() == nil {
		t.Skip("this system cannot do that")
	}
	if os.Getenv(inner) != "" {
		os.Stdout.WriteString("at " + Start(t).Address() + "\n")
		os.Exit(3)
	}
	find(t)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^TestDiesWithUs$")
	cmd.Env = append(os.Environ(), inner+"=1")
	out, err := cmd.Output()
	_, address, ok := strings.Cut(string(out), "at ")
	if err == nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "its Redis is gone", func() bool {
		conn, err := net.Dial("tcp", strings.TrimSpace(address))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}
