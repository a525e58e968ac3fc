package lb_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The programs of the README are the programs that are compiled and tested.
func TestReadmeIsCompiled(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) != 3 {
		t.Fatalf("the README has %d programs, want 3", len(blocks))
	}
	if _, minimal, _ := strings.Cut(read(t, "examples/minimal/main.go"), "\npackage"); "package"+minimal != blocks[0][1] {
		t.Error("the first program of the README is not examples/minimal")
	}
	for i, compiled := range []string{"picker_sketch_test.go", "example_all_test.go"} {
		code := read(t, compiled)
		for line := range strings.Lines(blocks[i+1][1]) {
			if !strings.Contains(code, strings.TrimSpace(line)) {
				t.Errorf("the README has a line that %s has not: %s", compiled, line)
			}
		}
	}
}

// Files that the documents name exist.
func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/how-it-works.md", "docs/extending.md", "docs/operations.md", "docs/performance.md", "docs/policies.md", "docs/resilience.md"} {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

// Every policy of package picker is in the README's table and in the guide, and what links lead to in the
// guide is there.
func TestPoliciesAreInTheTables(t *testing.T) {
	readme, guide := read(t, "README.md"), read(t, "docs/policies.md")
	_, table, _ := strings.Cut(read(t, "picker/doc.go"), "take it when")
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) `).FindAllStringSubmatch(table, -1) {
		if name := "`" + m[1] + "`"; !strings.Contains(readme, name) || !strings.Contains(guide, name) {
			t.Errorf("%s is not in both", name)
		}
	}
	anchors := headings(guide)
	for _, m := range regexp.MustCompile(`\]\((?:docs/policies\.md)?#([^)]+)\)`).FindAllStringSubmatch(readme+guide, -1) {
		if !anchors[m[1]] {
			t.Errorf("no heading for #%s", m[1])
		}
	}
}

// What docs/resilience.md says of flags, metrics and fields is there, and its links lead to headings.
func TestResilienceNamesWhatThereIs(t *testing.T) {
	page := read(t, "docs/resilience.md")
	source := func(dirs ...string) (text string) {
		for _, dir := range dirs {
			files, err := filepath.Glob(filepath.Join(dir, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatal(dir, err)
			}
			for _, file := range files {
				text += read(t, file)
			}
		}
		return text
	}
	demo, metrics := source("examples/standalone"), source("examples/standalone", "metrics")
	for _, m := range regexp.MustCompile("`-([a-z-]+)").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(demo, `"`+m[1]+`"`) {
			t.Errorf("the demo has no flag -%s", m[1])
		}
	}
	for _, name := range regexp.MustCompile(`loadbalancer_\w+`).FindAllString(page, -1) {
		if !strings.Contains(metrics, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
	packages := map[string]string{"lb": ".", "health": "health", "breaker": "breaker", "limit": "limit"}
	for _, m := range regexp.MustCompile("`(lb|health|breaker|limit)\\.(\\w+)(?:\\.(\\w+))?(?:\\.(\\w+))?").FindAllStringSubmatch(page, -1) {
		text := source(packages[m[1]])
		for _, name := range m[2:] {
			if !regexp.MustCompile(`(?m)^(func|type|\t|func \([^)]*\)).*\b` + name + `\b`).MatchString(text) {
				t.Errorf("%s has no %s", m[1], name)
			}
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([\w-]*\.md)?#([^)]+)\)`).FindAllStringSubmatch(page, -1) {
		if in := "docs/" + cmp.Or(m[1], "resilience.md"); !headings(read(t, in))[m[2]] {
			t.Errorf("%s has no heading for #%s", in, m[2])
		}
	}
}

// headings returns the anchors of a page.
func headings(page string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(kept, " ", "-")] = true
	}
	return all
}
