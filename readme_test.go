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
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/how-it-works.md", "docs/extending.md", "docs/operations.md", "docs/performance.md"} {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(m[1]); err != nil && !strings.HasPrefix(doc, "docs/") {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}
