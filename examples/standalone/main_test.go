package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noenv(string) string { return "" }

// Wrong input gets one line that names the value and the cure, and the right exit code.
func TestWrongInput(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"-listen " + taken.Addr().String() + " -backend http://127.0.0.1:1", 1, "-listen " + taken.Addr().String() + ": .*address already in use; free the port or choose another"},
		{"-listen 127.0.0.1:0 -admin " + taken.Addr().String() + " -backend http://127.0.0.1:1", 1, "-admin .*address already in use"},
		{"-listen nonsense", 2, `-listen "nonsense" is not an address; want host:port`},
		{"-policy best", 2, `-policy "best" is none of round-robin, weighted, .* region`},
		{"-policy bounded:0.5", 2, `-policy "bounded:0.5": .*0.5`},
		{"-policy subset:0", 2, `-policy "subset:0": "0" is not a number above zero`},
		{"-policy priority:subset:x", 2, `-policy "priority:subset:x": "subset:x": "x" is not a number`},
		{"-policy maglev:cookie=", 2, `-policy "maglev:cookie=": "cookie=" is none of client, path`},
		{"-policy power-of:1", 2, `-policy "power-of:1": .*1 draws`},
		{"-policy hash-header:", 2, `-policy "hash-header:": "header=" is none of`},
		{"-breaker-slow -1s", 2, `-breaker-slow -1s is below zero`},
		{"-breaker-slow 1s -breaker=false", 2, `-breaker-slow is for breakers, which -breaker=false switches off`},
		{"-log xml", 2, `-log "xml" is neither text nor json`},
		{"-log-level loud", 2, `-log-level "loud" is none of debug, info, warn and error`},
		{"-backend localhost:80", 2, `"localhost:80".*schemes are http, https, h2c and unix`},
		{"-backend http://h:99999", 2, `port "99999" is not between 1 and 65535`},
		{"-backend http://h,weight=0", 2, `weight "0" is not a whole number above zero`},
		{"-backend http://h,weight=-1", 2, `weight "-1" is not a whole number above zero`},
		{"-backend http://h,weight=x", 2, `weight "x" is not a whole number above zero`},
		{"-backend http://h,color=red", 2, `"color=red" is none of weight=N, region=R, zone=Z, priority=P and id=ID`},
		{"-backend http://h -backend http://h", 2, `"http://h" is listed twice; give each its own ID`},
		{"-backend http://h,id=x -backend http://i,id=x", 2, `"x" is listed twice`},
		{"-redis nonsense -session-key " + strings.Repeat("k", 32), 2, `-redis.*"nonsense"`},
		{"-share sessions,wishes", 2, `-share "wishes" is none of sessions, limit, learning`},
		{"-redis 127.0.0.1:6379", 2, "-redis needs the same secret in every instance: set -session-key"},
		{"-session-key short", 2, "5 characters; it needs 32 or more"},
		{"-session-key-file " + empty, 2, "is empty; it needs 32 characters or more"},
		{"-session-key-file /does/not/exist", 2, "/does/not/exist"},
		{"-mount /", 2, "-mount / leaves no room for the dashboard; .* -admin"},
		{"-mount lb", 2, `-mount "lb" is not a path; it begins with /`},
		{"-trusted-proxies 10.0.0.0", 2, `"10.0.0.0" is not a network like 10.0.0.0/8`},
		{"-retries -1", 2, "-retries -1 is below zero"},
		{"-retry-statuses 503,200", 2, `-retry-statuses: "200" is not a status from 400 to 599`},
		{"-retry-statuses 503,", 2, `-retry-statuses: "" is not a status`},
		{"-max-rest -1s", 2, "-max-rest -1s is below zero; 0 means not at all"},
		{"-explain-to localhost", 2, `"localhost" is not a network like 10.0.0.0/8`},
		{"-panic-threshold 1.1", 2, "-panic-threshold 1.1 is not a share up to 1"},
		{"-panic-threshold NaN", 2, "-panic-threshold NaN is not a share"},
		{"-panic-threshold half", 2, `"half" for flag -panic-threshold`},
		{"-try-timeout -1s", 2, "-try-timeout -1s is below zero"},
		{"-hedge p100", 2, `-hedge "p100" is neither a time like 50ms nor a quantile like p95`},
		{"-hedge 1", 2, `-hedge "1" is neither`},
		{"-queue 10", 2, "-queue needs backends that can be full; set -max-in-flight"},
		{"-wait-for-backend -1s", 2, "-wait-for-backend -1s is below zero"},
		{"-slow-start -1s", 2, "-slow-start -1s is below zero"},
		{"-hedge p95 -retries 0", 2, "-hedge needs a second try"},
		{"-rate-limit -1", 2, "-rate-limit -1 is below zero; 0 means no limit"},
		{"-rate-limit NaN", 2, "-rate-limit NaN"},
		{"-rate-burst 0", 2, "-rate-burst 0 is below 1"},
		{"-health-path health", 2, `-health-path "health" is not a path`},
		{"-health-interval 0s", 2, "-health-interval 0s is not above zero"},
		{"-autoscale-threshold 0", 2, "-autoscale-threshold 0 is below 1"},
		{"-autoscale-interval 0s -autoscale-plan requests", 2, "-autoscale-interval 0s is not above zero"},
		{"-autoscale-plan magic", 2, `-autoscale-plan "magic" is none of step, utilization and requests`},
		{"-autoscale-plan utilization -autoscale-threshold 9", 2, `-autoscale-threshold is for -autoscale-plan step, and the plan is "utilization"; leave one of them out`},
		{"-autoscale-slots 5", 2, `-autoscale-slots is for -autoscale-plan utilization, and the plan is "step"`},
		{"-autoscale-plan utilization -autoscale-slots NaN", 2, "-autoscale-slots NaN is not above zero"},
		{"-autoscale-plan utilization -autoscale-slots +Inf", 2, "Slots \\+Inf is not above zero"},
		{"-autoscale-plan requests -autoscale-rate 0", 2, "-autoscale-rate 0 is not above zero"},
		{"-tls-cert x.pem", 2, "-tls-cert and -tls-key go together"},
		{"-tls-cert /none.pem -tls-key /none.key", 2, "/none.pem"},
		{"-max-body -1", 2, "-max-body -1 is below zero"},
		{"-adaptive maybe", 2, `-adaptive "maybe" is none of off, backends, all and both`},
		{"-adaptive-max 0", 2, "-adaptive-max 0 is not between 1 and 1,000,000"},
		{"-nonsense", 2, "-nonsense"},
		{"extra", 2, `unexpected argument "extra"; backends are named with -backend`},
	} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		code := run(ctx, strings.Fields(c.args), noenv, &out)
		cancel()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		last := lines[len(lines)-1]
		if code != c.code || !regexp.MustCompile(c.want).MatchString(last) || c.code == 2 && len(lines) != 1 {
			t.Errorf("%s: exit %d and %q, want %d and %q", c.args, code, out.String(), c.code, c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, noenv, &out); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, flag := range []string{"listen", "backend", "policy", "region-header", "trusted-proxies", "retries", "retry-statuses", "max-rest", "panic-threshold", "explain-to", "try-timeout", "idempotency-key", "hedge", "max-in-flight", "queue", "queue-timeout", "wait-for-backend", "slow-start", "header-timeout", "breaker", "breaker-slow", "eject", "suspect", "sticky",
		"session-ttl", "redis", "share", "session-key", "session-key-file", "health-path", "health-interval", "health-timeout", "start-down", "autoscale",
		"autoscale-plan", "autoscale-interval", "autoscale-threshold", "autoscale-slots", "autoscale-rate", "rate-limit", "rate-burst", "log", "log-level", "shutdown-timeout", "drain-delay", "mount", "admin", "region", "tls-cert", "tls-key", "h2c", "max-body",
		"adaptive", "adaptive-max", "adaptive-priority", "pauses"} {
		if !strings.Contains(out.String(), "\n  -"+flag) {
			t.Errorf("the usage does not tell of -%s", flag)
		}
	}
}

// Two faults are two lines, and a secret is never shown.
func TestEveryFaultIsTold(t *testing.T) {
	var out bytes.Buffer
	run(t.Context(), []string{"-policy", "x", "-retries", "-1", "-session-key", "topsecret"}, noenv, &out)
	if got := out.String(); strings.Count(got, "\n") != 3 || strings.Contains(got, "topsecret") {
		t.Errorf("told %q", got)
	}
}

// The secret also comes from the environment, and the program starts and stops with what it has.
func TestStartAndStop(t *testing.T) {
	for _, args := range []string{
		"-listen 127.0.0.1:0 -backend http://127.0.0.1:1,weight=2,id=one",
		"-listen 127.0.0.1:0 -admin 127.0.0.1:0 -mount / -backend http://127.0.0.1:1 -log json -policy region -region eu -sticky=false -breaker=false -eject=false -suspect=false -rate-limit 0 -pauses=false",
		"-listen 127.0.0.1:0 -backend http://127.0.0.1:1 -retry-statuses 503 -max-rest 5s -panic-threshold 0.5 -explain-to 127.0.0.0/8,::1/128",
		"-listen 127.0.0.1:0 -backend http://127.0.0.1:1 -retry-statuses 503 -max-rest 0 -panic-threshold -1",
		"-listen 127.0.0.1:0 -backend http://127.0.0.1:1 -adaptive both -adaptive-max 7",
		"-listen 127.0.0.1:0 -backend http://127.0.0.1:1 -redis 127.0.0.1:1 -health-path= -start-down",
	} {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it starts all the same, and stops at once
		env := func(string) string { return strings.Repeat("k", 32) }
		if code := run(ctx, strings.Fields(args), env, &out); code != 0 || !strings.Contains(out.String(), "ready to accept connections") {
			t.Errorf("%s: exit %d\n%s", args, code, out.String())
		}
	}
}
