package lb_test

import (
	"os"
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
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/how-it-works.md", "docs/extending.md", "docs/operations.md", "docs/performance.md", "docs/policies.md"} {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(m[1]); err != nil && !strings.HasPrefix(doc, "docs/") {
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
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(guide, -1) {
		kept := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		headings[strings.ReplaceAll(kept, " ", "-")] = true
	}
	for _, m := range regexp.MustCompile(`\]\((?:docs/policies\.md)?#([^)]+)\)`).FindAllStringSubmatch(readme+guide, -1) {
		if !headings[m[1]] {
			t.Errorf("no heading for #%s", m[1])
		}
	}
}
