package lb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/go-loadbalancer/lb"

// allowed says what each package may import besides the standard library, a path standing for
// what is below it, too. Examples may import anything.
var allowed = map[string][]string{
	"":                    {"/internal/budget", "/internal/clientip", "/internal/live", "/internal/orca", "/transport"},
	"/transport":          {"/internal/h1"},
	"/internal/budget":    nil,
	"/internal/clientip":  nil,
	"/internal/h1":        nil,
	"/internal/keep":      nil,
	"/internal/live":      nil,
	"/internal/orca":      nil,
	"/internal/estimate":  nil,
	"/loadreport":         {"/internal/estimate", "/internal/orca"},
	"/internal/demo":      {"/", "/loadreport", "/picker", "github.com/coder/websocket"},
	"/internal/redisconn": {"github.com/redis/rueidis"},
	"/internal/redistest": nil,
	"/picker":             {"/", "/internal/orca", "/transport", "github.com/cespare/xxhash/v2"},
	"/breaker":            {"/", "github.com/failsafe-go/failsafe-go"},
	"/session":            {"/"},
	"/session/redisstore": {"/", "/internal/keep", "/internal/redisconn", "github.com/redis/rueidis"},
	"/fleet":              {"/", "/internal/redisconn", "github.com/redis/rueidis"},
	"/health":             {"/", "/transport"},
	"/autoscale":          {"/"},
	"/autoscale/redis":    {"/autoscale", "/internal/redisconn"},
	"/limit":              {"/", "/internal/clientip", "golang.org/x/time/rate"},
	"/limit/redis":        {"/internal/clientip", "/internal/redisconn", "/limit", "github.com/redis/rueidis"},
	"/metrics":            {"/", "github.com/VictoriaMetrics/metrics"},
	"/metrics/dashboard":  {"/", "/metrics"},
	"/tracing":            {"/", "/internal/clientip", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/propagation"},
	"/lbtest":             {"/", "/internal/live"},
	"/internal/testbed":   {"/", "/lbtest/sim"},
	"/lbtest/sim":         {"/", "/internal/budget", "/internal/estimate", "/internal/live"},
}

// Arrows point inward, and each third-party library has one package that knows it.
func TestArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		name := strings.TrimPrefix(imports[0], root)
		rules, known := allowed[name]
		if strings.HasPrefix(name, "/examples/") {
			continue
		}
		if !known {
			t.Errorf("%s has no place in the architecture", imports[0])
		}
		for _, imp := range imports[1:] {
			if !mayImport(rules, imp) {
				t.Errorf("%s imports %s", imports[0], imp)
			}
		}
	}
}

func mayImport(rules []string, imp string) bool {
	if !strings.Contains(strings.Split(imp, "/")[0], ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(rules, func(rule string) bool {
		switch {
		case rule == "/":
			return imp == root
		case strings.HasPrefix(rule, "/"):
			return imp == root+rule
		}
		return imp == rule || strings.HasPrefix(imp, rule+"/")
	})
}

// Who imports the root, or the root and picker, links no third-party package but one hash.
func TestWhatAnImporterLinks(t *testing.T) {
	for pkg, may := range map[string]string{".": "", "./picker": "github.com/cespare/xxhash/v2", "./session": "", "./loadreport": "", "./transport": ""} {
		out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if !strings.HasPrefix(dep, root) && dep != may {
				t.Errorf("%s links %s", pkg, dep)
			}
		}
	}
}

// banned are calls that have no place in the library, with the reason.
var banned = map[string]*regexp.Regexp{
	"a timer that cannot be stopped":     regexp.MustCompile(`\btime\.(After|Tick)\(`),
	"the library prints nothing":         regexp.MustCompile(`\bfmt\.Print`),
	"the library logs nothing":           regexp.MustCompile(`\blog\.[A-Z]|\bslog\.(Debug|Info|Warn|Error)\(`),
	"write any":                          regexp.MustCompile(`interface\{\}`),
	"use net/netip":                      regexp.MustCompile(`\bnet\.ParseIP\(`),
	"no state that nobody asked for":     regexp.MustCompile(`^func init\(\)`),
	"Rewrite has taken Director's place": regexp.MustCompile(`\bDirector:`),
}

// Files, functions and words stay within the bounds that CONTRIBUTING.md gives.
func TestShape(t *testing.T) {
	walkGo(t, func(path string, src []byte) {
		if n := strings.Count(string(src), "\n"); n > 500 && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines", path, n)
		}
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "examples") || strings.HasPrefix(path, "internal/demo") {
			return
		}
		for i, line := range strings.Split(string(src), "\n") {
			code, _, _ := strings.Cut(line, "//")
			for why, re := range banned {
				if re.MatchString(code) {
					t.Errorf("%s:%d: %s: %s", path, i+1, why, strings.TrimSpace(line))
				}
			}
		}
		checkFile(t, path, src)
	})
}

func walkGo(t *testing.T, visit func(path string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (nested == nil || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err == nil {
			visit(path, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkFile finds long functions and exported names without a comment.
func checkFile(t *testing.T, path string, src []byte) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if n := files.Position(d.End()).Line - files.Position(d.Pos()).Line + 1; n > 60 {
				t.Errorf("%s: %s has %d lines", path, d.Name.Name, n)
			}
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) {
				t.Errorf("%s: %s has no comment", path, d.Name.Name)
			}
		case *ast.GenDecl:
			checkNames(t, path, d)
		}
	}
}

// exportedReceiver leaves out the methods by which an unexported type satisfies an interface.
func exportedReceiver(d *ast.FuncDecl) bool {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

func checkNames(t *testing.T, path string, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				t.Errorf("%s: %s has no comment", path, s.Name.Name)
			}
		case *ast.ValueSpec:
			if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				t.Errorf("%s: %s has no comment", path, s.Names[0].Name)
			}
		}
	}
}
