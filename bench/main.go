// Bench measures what a request costs through this library, beside a tuned
// httputil.ReverseProxy in the same run, and beside nginx, HAProxy and Caddy where they are
// installed:
//
//	cd bench && go run .
//
// docs/performance.md says what the columns mean, and what such a run does not say.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// defaultSlice is short enough for rounds to be neighbours in time, and long enough for tens of
// thousands of requests.
const defaultSlice = time.Second

// options are the command line.
type options struct {
	settings
	chosen *regexp.Regexp
	list   bool
	json   string
	alone  bool
}

func parse(args []string, help io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Usage = func() {
		fmt.Fprintln(help, "Measures what a request costs through this library and through a tuned httputil.ReverseProxy. See docs/performance.md.")
		flags.PrintDefaults()
	}
	flags.IntVar(&o.rounds, "rounds", 7, "interleaved rounds; each gives every proxy one slice")
	flags.DurationVar(&o.slice, "slice", defaultSlice, "how long each slice loads a proxy")
	flags.Uint64Var(&o.seed, "seed", 0, "of the order within rounds; 0 means a new one")
	flags.IntVar(&o.cpu, "cpu", -1, "the processor for the proxies (Linux); -1 means the last one")
	quick := flags.Bool("quick", false, "a fast look: 3 rounds of 200ms, unless -rounds or -slice say otherwise")
	pattern := flags.String("run", "", "only scenarios whose name matches this `regexp`")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and the proxies, and end")
	flags.BoolVar(&o.alone, "alone", false, "leave out nginx, haproxy and caddy even if they are on PATH")
	flags.BoolVar(&o.floor, "floor", false, "also measure what no proxy can be below: a handler that answers by itself, one that only writes and reads, a TCP relay")
	flags.StringVar(&o.profiles, "profile", "", "write a CPU profile of each of this program's own proxies into this `folder`")
	flags.StringVar(&o.json, "json", "", "write all values to this `file`, too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick && !given["rounds"] {
		o.rounds = 3
	}
	if *quick && !given["slice"] {
		o.slice = 200 * time.Millisecond
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))
	}
	if o.chosen, err = regexp.Compile(*pattern); err != nil {
		return o, err
	}
	return o, o.check()
}

func (s settings) check() error {
	switch {
	case s.rounds < 1 || s.rounds > 1000:
		return fmt.Errorf("-rounds %d is not within 1 to 1000", s.rounds)
	case s.slice < 10*time.Millisecond || s.slice > time.Minute:
		return fmt.Errorf("-slice %s is not within 10ms to 1m", s.slice)
	}
	return nil
}

// run is the program, but for its process.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	b := &bench{settings: o.settings, random: rand.New(rand.NewPCG(o.seed, 0)), progress: progress}
	if !o.alone {
		b.foreign = installed()
	}
	var chosen []scenario
	for _, s := range scenarios() {
		if o.chosen.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	switch {
	case o.list:
		b.list(out, chosen)
		return nil
	case len(chosen) == 0:
		return fmt.Errorf("no scenario matches %q; -list shows them", o.chosen)
	}
	report, err := b.run(ctx, chosen, out)
	if report != nil && o.json != "" {
		err = errors.Join(err, writeJSON(o.json, report))
	}
	return err
}

func (b *bench) list(to io.Writer, all []scenario) {
	for _, s := range all {
		fmt.Fprintf(to, "%-11s %s, %d clients: %s\n", s.name, s.text, s.clients, strings.Join(b.proxies(s), ", "))
	}
}

func writeJSON(path string, report *Report) error {
	text, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// split divides the processors: one for the proxies, the others for clients and backends, this
// process included. What it returns undoes the latter.
func (b *bench) split() (undo func(), err error) {
	all := allowedCPUs()
	if b.cpu >= 0 && !slices.Contains(all, b.cpu) {
		return nil, fmt.Errorf("-cpu %d is not among the allowed processors %v", b.cpu, all)
	}
	if len(all) < 2 {
		return func() {}, nil
	}
	own := all[len(all)-1]
	if b.cpu >= 0 {
		own = b.cpu
	}
	b.proxyCPUs = []int{own}
	b.loadCPUs = slices.DeleteFunc(slices.Clone(all), func(cpu int) bool { return cpu == own })
	usual := runtime.GOMAXPROCS(len(b.loadCPUs))
	return func() {
		runtime.GOMAXPROCS(usual)
		_ = pinSelf(all)
	}, pinSelf(b.loadCPUs)
}

// run measures the chosen scenarios and prints each when it is done. The report holds what was
// measured, also when something went wrong.
func (b *bench) run(ctx context.Context, chosen []scenario, out io.Writer) (*Report, error) {
	undo, err := b.split()
	if err != nil {
		return nil, err
	}
	defer undo()
	dir, err := os.MkdirTemp("", "lb-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	backends, err := startRole(b.loadCPUs, "backends", "")
	if err != nil {
		return nil, err
	}
	defer backends.stop()
	b.backend, b.backends, b.own = backends, backends.addrs, []int{os.Getpid(), backends.pids[0]}

	expected := b.estimate(chosen)
	bound := 3*expected + time.Minute // a machine that is so much slower than thought will not do
	fmt.Fprintf(b.progress, "%d scenarios, about %s, at most %s\n", len(chosen), about(expected), about(bound))
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not done after %s", about(bound)))
	defer cancel()

	report := b.report(ctx)
	report.printHead(out)
	for _, s := range chosen {
		results, err := b.scenario(ctx, s)
		if err != nil {
			return report, err
		}
		told := results.report()
		told.print(out)
		report.Scenarios = append(report.Scenarios, told)
	}
	if n := report.failures(); n > 0 {
		return report, fmt.Errorf("%d requests failed: do not trust these figures", n)
	}
	return report, nil
}

func (b *bench) report(ctx context.Context) *Report {
	return &Report{
		Machine: machine(), Go: runtime.Version(), Time: time.Now().UTC().Format(time.RFC3339),
		Rounds: b.rounds, Slice: b.slice.String(), Seed: b.seed,
		ProxyCPUs: b.proxyCPUs, LoadCPUs: b.loadCPUs, Foreign: b.versions(ctx), Scenarios: []ScenarioReport{},
	}
}
