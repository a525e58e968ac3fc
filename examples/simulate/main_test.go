package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a fleet that is simulated in no time.
var small = []string{"-clients", "2", "-backends", "4", "-duration", "2s", "-warmup", "1s"}

func TestItPrintsATableAndWritesCharts(t *testing.T) {
	for _, kind := range []string{"a.svg", "a.html"} {
		file := filepath.Join(t.TempDir(), kind)
		var out, progress strings.Builder
		args := append([]string{"-policies", "all", "-o", file, "-fault", "fail=1:1@1s-2s", "-uneven", "0.5"}, small...)
		if code := run(args, &out, &progress); code != 0 {
			t.Fatalf("exit code %d: %s", code, progress.String())
		}
		for _, name := range all() {
			if !strings.Contains(out.String(), name) || !strings.Contains(progress.String(), name) {
				t.Errorf("%s is missing in\n%s\n%s", name, out.String(), progress.String())
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all() {
			if strings.Count(string(text), ">"+name+"<") < 5 { // the legend, and four charts
				t.Errorf("%s: %s is missing", kind, name)
			}
		}
		wellFormed(t, string(text[strings.Index(string(text), "<svg"):strings.Index(string(text), "</svg>")+6]))
		for _, bad := range []string{"NaN", "Inf", "http://", "https://"} {
			if strings.Contains(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", ""), bad) {
				t.Errorf("%s has %s in it", kind, bad)
			}
		}
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The same command prints the same table.
func TestItIsReproducible(t *testing.T) {
	var tables []string
	for _, seed := range []string{"1", "1", "2"} {
		var out strings.Builder
		if code := run(append([]string{"-seed", seed, "-arrivals", "bursts", "-antagonists", "1s", "-hedge", "200ms", "-tries", "1"}, small...), &out, io.Discard); code != 0 {
			t.Fatal(code)
		}
		tables = append(tables, out.String())
	}
	if tables[0] != tables[1] || tables[0] == tables[2] {
		t.Errorf("tables:\n%s", strings.Join(tables, "\n"))
	}
}

func TestEveryKindOfWorldRuns(t *testing.T) {
	for _, args := range [][]string{
		{"-work", "fixed:10ms"}, {"-work", "normal:80ms,80ms"}, {"-work", "lognormal:20ms,1"}, {"-work", "pareto:10ms,1.5"},
		{"-arrivals", "regular"}, {"-arrivals", "diurnal"}, {"-fifo"}, {"-network", "0"}, {"-load", "1.2"}, {"-backends", "1", "-antagonists", "1s"},
		{"-fault", "slow=0.1:2@1s-2s"}, {"-fault", "hang=0.5:1@1s-2s"}, {"-fault", "down:4@1s-2s"}, {"-fault", "leave:4@1s-2s"},
		{"-work", "fixed:1us", "-load", "0.0005"}, {"-plot", "retries"}, {"-plot", "hedging"}, {"-sweep", "clients=1,3"}, {"-sweep", "uneven=0,0.5"}, {"-sweep", "backends=3,4"}, {"-keys", "100", "-policies", "all"},
		{"-testbed", "-sweep", "load=0.1,0.2", "-policies", "random"}, {"-policies", "aperture:prequal,subset:2:prequal,weighted-by-load"}, {"-load", "0.00001"},
	} {
		file := filepath.Join(t.TempDir(), "a.svg")
		var progress strings.Builder
		if code := run(append(append([]string{"-o", file}, small...), args...), io.Discard, &progress); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, progress.String())
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, string(text))
	}
}

// A wrong command line is told in a line for each fault, with the cure.
func TestWrongCommandLines(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"-policies nonsense", `"nonsense" is none of`},
		{"-clients 0", "-clients 0"},
		{"-backends -1", "-backends -1"},
		{"-cores NaN", "-cores NaN"},
		{"-uneven 1", "-uneven 1"},
		{"-load 1 -timeout 0", "give it a -timeout"},
		{"-load NaN", "-load NaN"},
		{"-tries -1", "-tries -1"},
		{"-arrivals never", "none of poisson"},
		{"-work fixed", "such as 50ms"},
		{"-work fixed:-1s", "such as 50ms"},
		{"-work pareto:1s,1", "none of fixed:T"},
		{"-work normal:1s", "none of fixed:T"},
		{"-o a.png", ".svg"},
		{"-duration 0", "-duration 0s"},
		{"-duration 700h", "shorten -duration"},
		{"-fault fail", "is not like"},
		{"-fault fail:1@1s-2s", "needs a share"},
		{"-fault fail=2:1@1s-2s", "needs a share"},
		{"-fault down=1:1@1s-2s", "no amount"},
		{"-fault burn:1@1s-2s", "none of slow"},
		{"-fault down:0@1s-2s", "number of backends"},
		{"-fault down:1@x-2s", "is not a time"},
		{"-fault down:1@2s-1s", "not a time after"},
		{"-fault down:99@1s-2s", "99 of 20"},
		{"-fault hang=1:1@1s-2s -timeout 0", "needs a -timeout"},
		{"-policies power-of:x", "not a number"},
		{"-policies prequal:1", "Quantile"},
		{"-policies priority:prequal", "put them outside"},
		{"-policies subset:0", "number above zero"},
		{"-sweep speed=1,2", "none of load"},
		{"-sweep load=1", "give 2 to 50"},
		{"-sweep load=0.5,x", "is not a number"},
		{"-sweep clients=1,1.5", "whole number"},
		{"-sweep backends=10,0", "-backends 0"},
		{"-testbed -sweep clients=1,2", "-sweep of load only"},
		{"-keys -1", "-keys -1"},
		{"-keys 9 -sweep load=0.5,0.6", "no -sweep"},
		{"-plot limits", "neither retries nor hedging"},
		{"-plot retries -keys 9", "leave -keys"},
		{"extra", "not a flag"},
		{"-nothing", "not defined"},
	} {
		var out, progress strings.Builder
		code := run(strings.Fields(c.args), &out, &progress)
		if code != 2 || !strings.Contains(progress.String(), c.want) || strings.Count(progress.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit code %d, said %q", c.args, code, progress.String())
		}
	}
}

func TestHelpHelps(t *testing.T) {
	var progress strings.Builder
	if code := run([]string{"-h"}, io.Discard, &progress); code != 0 || !strings.Contains(progress.String(), "-fault") {
		t.Errorf("exit code %d, said %s", code, progress.String())
	}
}

// What comes from the command line is text in the charts, too.
func TestTextIsEscaped(t *testing.T) {
	o, err := parse(append(append([]string{}, small...), "-policies", "random", "-o", `x"><script>alert(1)</script>.html`), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results, err := simulate(o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results[0].name = `<script>"&`
	for _, o.file = range []string{"a.html", "a.svg"} {
		if text := o.compared(results).document(o); strings.Contains(text, "<script") {
			t.Error("a script came through")
		}
	}
}
