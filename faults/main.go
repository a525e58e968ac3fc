// Faults injects faults under load and counts what clients notice, with the demo in front of real
// backend processes, and beside HAProxy, nginx and Caddy where they are on PATH:
//
//	cd faults && go run .
//
// It writes FAULTS.md, which says for each fault what has to hold and what was measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVar); role != "" {
		if err := playRole(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	chosen *regexp.Regexp
	short  bool
	list   bool
	alone  bool
	out    string
	demo   string
	with   string
	logs   string
}

func parse(args []string, help io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Usage = func() {
		fmt.Fprintln(help, "Injects faults under load and counts what clients notice. Takes about 25 minutes, most of it for the soak; -short about two.")
		flags.PrintDefaults()
	}
	pattern := flags.String("run", "", "only faults whose id and title match this `regexp`")
	flags.BoolVar(&o.short, "short", false, "shorter runs of each")
	flags.BoolVar(&o.list, "list", false, "list the faults with what has to hold, and end")
	flags.BoolVar(&o.alone, "alone", false, "leave out haproxy, nginx and caddy even if they are on PATH")
	flags.StringVar(&o.out, "o", "", "write the table to this `file`, - for standard output (default: FAULTS.md in the library's folder, - with -run or -short); nothing is written if the run is interrupted")
	flags.StringVar(&o.demo, "demo", "", "`binary` of the demo (default: build it)")
	flags.StringVar(&o.with, "with", "", "further `flags` of the demo, such as \"-breaker=false -retries=2\"")
	flags.StringVar(&o.logs, "logs", "", "keep what each proxy says in this `folder`, which has to exist")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))
	}
	if o.out == "" && (o.short || *pattern != "") {
		o.out = "-"
	}
	o.chosen, err = regexp.Compile(*pattern)
	return o, err
}

// run is the program, but for its process.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	var chosen []row
	for _, r := range rows() {
		if o.chosen.MatchString(r.id + " " + r.title) {
			chosen = append(chosen, r)
		}
	}
	switch {
	case o.list:
		for _, r := range chosen {
			fmt.Fprintf(out, "%-5s %s: %s. %s\n", r.id, r.title, r.inject, r.accept)
		}
		return nil
	case len(chosen) == 0:
		return fmt.Errorf("no fault matches %q; -list shows them", o.chosen)
	}
	h, err := newHarness(ctx, o.demo, o.short, progress)
	if err != nil {
		return err
	}
	defer h.close()
	if o.out == "" {
		o.out = filepath.Join(h.root, "FAULTS.md")
	}
	if err := writable(o.out); err != nil {
		return err
	}
	h.with, h.logs = strings.Fields(o.with), o.logs
	rep := &report{began: time.Now().UTC(), short: o.short, with: h.with}
	if o.demo == "" { // else it may be from anywhere
		rep.commit = commitOf(ctx, h.root)
	}
	if !o.alone {
		rep.foreign = installed()
	}
	rep.measure(ctx, h, chosen)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped, and nothing written: %w", context.Cause(ctx))
	}
	return errors.Join(write(o.out, rep.text(ctx), out), rep.failed())
}

// writable finds out now, rather than after half an hour, whether a file can be written.
func writable(path string) error {
	if path == "-" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	return file.Close()
}

// write puts the report where it is wanted.
func write(path, text string, out io.Writer) error {
	if path == "-" {
		_, err := io.WriteString(out, text)
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
