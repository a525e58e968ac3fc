package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary play the roles that the program plays.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// measure runs the program and returns what it wrote.
func measure(t *testing.T, args ...string) (*Report, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.json")
	var out, progress bytes.Buffer
	if err := run(t.Context(), append(args, "-json", path), &out, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, &progress, &out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	report := new(Report)
	if err := json.Unmarshal(text, report); err != nil {
		t.Fatal(err)
	}
	return report, out.String()
}

// The whole program, for a moment: every number is there and above zero, and nothing failed.
func TestQuickRun(t *testing.T) {
	report, out := measure(t, "-quick", "-rounds", "1", "-slice", "100ms", "-alone", "-run", "^(get128|get1m)$")
	if len(report.Scenarios) != 2 {
		t.Fatalf("%d scenarios", len(report.Scenarios))
	}
	for _, s := range report.Scenarios {
		want := []string{rate, allocs, peak}
		if cpuKnown() {
			want = append(want, cpu, busy)
		}
		if s.Name == "get128" {
			want = append(want, p50, p99, p999)
			if s.Rate <= 0 {
				t.Errorf("%s: latency at %v requests per second", s.Name, s.Rate)
			}
		}
		checkProxies(t, s, 1, want)
		if !strings.Contains(out, s.Text) {
			t.Errorf("%s is not in the table:\n%s", s.Name, out)
		}
	}
}

// Every scenario works with every proxy that this program is itself.
func TestEveryScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	report, out := measure(t, "-rounds", "2", "-slice", "10ms", "-alone")
	if len(report.Scenarios) != len(scenarios()) {
		t.Fatalf("%d scenarios", len(report.Scenarios))
	}
	for _, s := range report.Scenarios {
		want := []string{rate, peak}
		if s.Name == "idle10k" {
			want = []string{idle, peak}
		}
		checkProxies(t, s, 2, want)
	}
	t.Log(out)
}

func checkProxies(t *testing.T, s ScenarioReport, rounds int, want []string) {
	t.Helper()
	if len(s.Proxies) < 2 || s.Proxies[0].Name != kindStandard {
		t.Errorf("%s: proxies %v", s.Name, s.Proxies)
	}
	for _, p := range s.Proxies {
		if p.Errors != 0 || p.Requests == 0 {
			t.Errorf("%s: %s: %d answers, %d errors, the first %s", s.Name, p.Name, p.Requests, p.Errors, p.FirstError)
		}
		for _, name := range want {
			m := p.Metrics[name]
			if len(m.Values) != rounds || m.Median <= 0 || m.Ratio.Median <= 0 || m.Low > m.Median || m.Median > m.High {
				t.Errorf("%s: %s: %s is %+v", s.Name, p.Name, name, m)
			}
			if p.Name == kindStandard && m.Ratio != (Spread{1, 1, 1}) {
				t.Errorf("%s: %s of the standard proxy is %v of itself", s.Name, name, m.Ratio)
			}
		}
	}
}

func cpuKnown() bool {
	_, ok := cpuTime([]int{os.Getpid()})
	return ok
}

// An interrupt ends the run, and no process of it is left.
func TestInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	progress := writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "round 2") {
			interrupt(stop)
		}
		return len(p), nil
	})
	err := run(ctx, []string{"-rounds", "1000", "-slice", "20ms", "-alone", "-run", "get128"}, io.Discard, progress)
	if err == nil {
		t.Error("a run that was interrupted looks complete")
	}
	if left := family(os.Getpid()); len(left) > 1 {
		t.Errorf("processes left: %v", left[1:])
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-rounds 0":                 "-rounds",
		"-slice 1us":                "-slice",
		"-run (":                    "missing closing",
		"-run nothing":              "-list shows them",
		"get128":                    `unexpected argument "get128"`,
		"-run get128 -cpu 99999999": "-cpu",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-list"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		if !strings.Contains(out.String(), s.name) {
			t.Errorf("-list leaves out %s", s.name)
		}
	}
	o, err := parse([]string{"-quick", "-rounds", "9"}, io.Discard)
	if err != nil || o.rounds != 9 || o.slice >= defaultSlice {
		t.Errorf("-quick -rounds 9: %d rounds of %v, %v", o.rounds, o.slice, err)
	}
}

// Errors are told in the table and by the program's end.
func TestErrorsAreTold(t *testing.T) {
	r := newResults(scenario{name: "x", text: "text"}, []string{kindStandard, kindBare})
	r.count(kindStandard, tally{requests: 10})
	r.count(kindBare, tally{requests: 7, failures: 3, first: io.ErrUnexpectedEOF})
	told := r.report()
	var out strings.Builder
	told.print(&out)
	if want := "! lb: 3 of 10 requests failed; the first: unexpected EOF"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
	if n := (&Report{Scenarios: []ScenarioReport{told}}).failures(); n != 3 {
		t.Errorf("%d failures", n)
	}
}

// A proxy that does not start, or fails in some turns, is told of, and the others are measured.
func TestOthersGoOn(t *testing.T) {
	var progress strings.Builder
	b := &bench{settings: settings{rounds: 3, slice: 10 * time.Millisecond}, random: rand.New(rand.NewPCG(1, 1)), progress: &progress}
	backends, err := startRole(nil, "backends", "")
	if err != nil {
		t.Fatal(err)
	}
	defer backends.stop()
	b.backend, b.backends = backends, backends.addrs
	out, err := b.scenario(t.Context(), scenario{name: "x", answer: 1, clients: 2, latency: true, proxies: []string{"no such proxy", kindBare}})
	if err != nil {
		t.Fatal(err)
	}
	told := out.report()
	if absent := told.Proxies[1]; absent.Errors != 7 || len(absent.Metrics) > 0 || !strings.Contains(absent.FirstError, "did not start") {
		t.Errorf("the absent one: %+v", absent)
	}
	if bare := told.Proxies[2]; bare.Errors != 0 || len(bare.Metrics[rate].Values) != 3 || len(bare.Metrics[p99].Values) != 3 {
		t.Errorf("the one after it: %+v", bare)
	}
	if !strings.Contains(progress.String(), "no such proxy") {
		t.Errorf("nothing of it in\n%s", &progress)
	}
}
