package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// guides are the pages that the commands are in, and the plots that TestTimelines makes.
func guides() map[string]string {
	return map[string]string{
		"../../docs/policies.md":   "",
		"../../docs/resilience.md": "adaptive ejection slowstart",
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commands returns the arguments of each command in the guides by the name of its plot.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for path, drawn := range guides() {
		text, before := read(t, path), len(all)
		for _, m := range regexp.MustCompile(`(?m)^go run ./examples/simulate (.+) -o docs/plots/(\w+)\.svg$`).FindAllStringSubmatch(text, -1) {
			all[m[2]] = strings.Fields(m[1])
		}
		if n := strings.Count(text, "go run ./examples/simulate "); n != len(all)-before || n < 2 {
			t.Fatalf("%s: %d commands, %d of which make a plot of their own", path, n, len(all)-before)
		}
		for _, m := range regexp.MustCompile(`\]\(plots/(\w+)\.svg\)`).FindAllStringSubmatch(text, -1) {
			if all[m[1]] == nil && !slices.Contains(strings.Fields(drawn), m[1]) {
				t.Errorf("nothing makes plots/%s.svg", m[1])
			}
		}
	}
	return all
}

// Every command of the guides runs, for a moment, and its plot is there and small.
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

// What the guides say of latencies, shares and failures is in the plots, which have their tables.
func TestTheGuidesNumbersAreInThePlots(t *testing.T) {
	for path := range guides() {
		page, _, _ := strings.Cut(read(t, path), "## What a pick costs")
		for _, section := range strings.Split(page, "\n## ")[1:] {
			plot := regexp.MustCompile(`\]\(plots/(\w+\.svg)\)`).FindStringSubmatch(section)
			if plot == nil {
				continue
			}
			drawn := read(t, "../../docs/plots/"+plot[1])
			_, said, _ := strings.Cut(section, plot[0])
			said, _, _ = strings.Cut(said, "What the model does not")
			for _, number := range regexp.MustCompile(`\b\d+\.\d\d s|\b\d+(?:\.\d+)? ms|\b\d+\.\d\d %|\b\d\.\d\d\d\b`).FindAllString(said, -1) {
				if !strings.Contains(drawn, " "+number) {
					t.Errorf("%s has no %s, which the guide says", plot[1], number)
				}
			}
		}
	}
}
