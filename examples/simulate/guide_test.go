package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// guide is the page that the commands are in.
const guide = "../../docs/policies.md"

// commands returns the arguments of each command in the guide by the name of its plot.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^go run ./examples/simulate (.+) -o docs/plots/(\w+)\.svg$`).FindAllStringSubmatch(string(text), -1) {
		all[m[2]] = strings.Fields(m[1])
	}
	if n := strings.Count(string(text), "go run ./examples/simulate "); n != len(all) || n < 5 {
		t.Fatalf("%d commands, %d of which make a plot of their own", n, len(all))
	}
	for _, m := range regexp.MustCompile(`\]\(plots/(\w+)\.svg\)`).FindAllStringSubmatch(string(text), -1) {
		if all[m[1]] == nil {
			t.Errorf("nothing makes plots/%s.svg", m[1])
		}
	}
	return all
}

// Every command of the guide runs, for a moment, and its plot is there and small.
func TestTheGuidesCommandsRun(t *testing.T) {
	for name, args := range commands(t) {
		if info, err := os.Stat("../../docs/plots/" + name + ".svg"); err != nil || info.Size() > 60_000 {
			t.Errorf("%s: %v, or too large", name, err)
		}
		short := []string{"-warmup", "100ms", "-duration", "200ms", "-o", filepath.Join(t.TempDir(), "a.svg")}
		if i := strings.Index(strings.Join(args, " "), "-keys"); i >= 0 {
			short = append(short, "-keys", "1000")
		}
		var progress strings.Builder
		if code := run(append(args, short...), io.Discard, &progress); code != 0 {
			t.Errorf("%s: exit code %d: %s", name, code, progress.String())
		}
	}
}

// The plots are what the commands make. All of them take half a minute, so without LB_FULL=1 there is one.
func TestThePlotsAreThoseOfTheCommands(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other machines round otherwise")
	}
	for name, args := range commands(t) {
		if name != "fail" && os.Getenv("LB_FULL") != "1" {
			continue
		}
		file := filepath.Join(t.TempDir(), name+".svg")
		if code := run(append(args, "-o", file), io.Discard, io.Discard); code != 0 {
			t.Fatalf("%s: exit code %d", name, code)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile("../../docs/plots/" + name + ".svg"); err != nil || string(got) != string(want) {
			t.Errorf("docs/plots/%s.svg is not what its command makes: %v", name, err)
		}
	}
}

// What the guide says of latencies, shares and failures is in the plots, which have their tables.
func TestTheGuidesNumbersAreInThePlots(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(string(text), "## What a pick costs")
	for _, section := range strings.Split(page, "\n## ")[1:] {
		plot := regexp.MustCompile(`\]\(plots/(\w+\.svg)\)`).FindStringSubmatch(section)
		if plot == nil {
			continue
		}
		drawn, err := os.ReadFile("../../docs/plots/" + plot[1])
		if err != nil {
			t.Fatal(err)
		}
		_, said, _ := strings.Cut(section, plot[0])
		said, _, _ = strings.Cut(said, "What the model does not")
		for _, number := range regexp.MustCompile(`\b\d+\.\d\d s|\b\d+ ms|\b\d+\.\d\d %`).FindAllString(said, -1) {
			if !strings.Contains(string(drawn), " "+number) {
				t.Errorf("%s has no %s, which the guide says", plot[1], number)
			}
		}
	}
}
