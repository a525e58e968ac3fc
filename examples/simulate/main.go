// Simulate compares policies on a simulated fleet: the policies that a balancer is given, the same
// requests for each, and virtual time, so that an hour passes in seconds.
//
//	go run ./examples/simulate -o simulation.html
//	go run ./examples/simulate -policies random,power-of-two -backends 100 -load 0.9
//	go run ./examples/simulate -fault fail=1:1@20s-40s -tries 1
//	go run ./examples/simulate -plot hedging -clients 1 -o hedging.svg
//
// It prints a table and, with -o, writes charts. Its -h lists what can be changed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb/lbtest/sim"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program. It returns the exit code: 2 for a wrong command line, 1 for what
// fails later.
func run(args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(progress, "simulate: %s\n", strings.TrimSpace(line))
		}
		return 2
	}
	p, err := o.page(progress)
	if err == nil {
		_, err = io.WriteString(out, p.table())
	}
	if err == nil && o.file != "" {
		err = os.WriteFile(o.file, []byte(p.document(o)), 0o644)
	}
	if err != nil {
		fmt.Fprintf(progress, "simulate: %v\n", err)
		return 1
	}
	return 0
}

// page does what is asked for.
func (o *options) page(progress io.Writer) (page, error) {
	switch {
	case o.keys > 0:
		return keying(o), nil
	case o.plot == "retries":
		return retrying(o, progress)
	case o.plot == "hedging":
		return hedging(o, progress)
	}
	if o.sweep.values != nil {
		return sweeping(o, progress)
	}
	results, err := simulate(o, progress)
	return o.compared(results), err
}

// result is what became of one policy.
type result struct {
	name string
	sim.Report
}

// simulate lets every policy meet the same requests.
func simulate(o *options, progress io.Writer) ([]result, error) {
	var results []result
	for i, name := range o.policies {
		c := o.config(name)
		began := time.Now()
		shown := began
		c.Progress = func(now, end time.Duration) {
			if time.Since(shown) > 100*time.Millisecond {
				shown = time.Now()
				fmt.Fprintf(progress, "\r%d of %d: %-16s %3d %%", i+1, len(o.policies), name, 100*now/end)
			}
		}
		report, err := sim.Run(c)
		if err != nil {
			fmt.Fprintln(progress)
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(progress, "\r%d of %d: %-16s %d requests in %.1f s\n", i+1, len(o.policies), name, report.Requests, time.Since(began).Seconds())
		results = append(results, result{name, report})
	}
	return results, nil
}
