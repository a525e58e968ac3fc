package health

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-loadbalancer/lb"
)

// letter abbreviates what a backend is out for.
func letter(f lb.Facts) string {
	switch f & (lb.Down | lb.Ejected) {
	case 0:
		return "."
	case lb.Down:
		return "d"
	case lb.Ejected:
		return "e"
	}
	return "b"
}

// TestHistoryScripts plays checks: + passes, - fails, and before a check D, E, d and e are facts
// that somebody else marks and clears. Want has one letter for each check.
func TestHistoryScripts(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rise, fall int
		checks     string
		want       string
	}{
		{"falls after three in a row", 2, 3, "--+--- -", ".....d d"},
		{"comes back after two in a row", 2, 3, "---+-++", "..dddd."},
		{"one is enough", 1, 1, "+-+-+", ".d.d."},
		{"a fit one is not disturbed", 2, 3, "+++--+--+", "........."},
		{"what passed before does not count", 2, 3, "++++D+-++", "....ddd."},
		{"an ejection ends after two", 2, 3, "++E++", "..e."},
		{"a failure begins the count anew", 2, 3, "E+-++", "eee."},
		{"both end together", 2, 2, "E--+++", "ebb.."},
		{"the second ejection needs four", 2, 3, "E++E++++E++++++", "e.eee.eeeee."},
		{"one is forgotten with each two passed", 2, 3, "E++E++++ ++++ E++", "e.eee. .... e."},
		{"another let it back, nothing is remembered", 2, 3, "E+e+E++", "e.e."},
		{"down is judged apart", 2, 2, "E++E--++++", "e.ebbee."},
	} {
		var h history
		var facts lb.Facts
		var got strings.Builder
		cfg := Config{Rise: tt.rise, Fall: tt.fall}
		for _, step := range tt.checks {
			switch step {
			case 'D':
				facts |= lb.Down
			case 'E':
				facts |= lb.Ejected
			case 'd':
				facts &^= lb.Down
			case 'e':
				facts &^= lb.Ejected
			case ' ':
				got.WriteByte(' ')
			default:
				var mark, clear lb.Facts
				h, mark, clear = h.add(step == '+', facts, cfg)
				facts = facts&^clear | mark
				got.WriteString(letter(facts))
			}
		}
		if got.String() != tt.want {
			t.Errorf("%s: %s: got %s, want %s", tt.name, tt.checks, &got, tt.want)
		}
	}
}

// TestHistoryLaws compares long random histories with the rule as it is written down: Down is
// set by Fall failures in a row and taken back by Rise passes in a row.
func TestHistoryLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		cfg := Config{Rise: 1 + random.IntN(4), Fall: 1 + random.IntN(4)}
		var h history
		var facts lb.Facts
		var all strings.Builder
		bias := random.Float64()
		for range 100 {
			passed := random.Float64() < bias
			all.WriteByte("-+"[map[bool]int{true: 1}[passed]])
			before := facts
			next, mark, clear := h.add(passed, facts, cfg)
			h, facts = next, facts&^clear|mark
			want := before
			if strings.HasSuffix(all.String(), strings.Repeat("-", cfg.Fall)) {
				want = lb.Down
			}
			if strings.HasSuffix(all.String(), strings.Repeat("+", cfg.Rise)) {
				want = 0
			}
			if facts != want {
				t.Fatalf("rise %d, fall %d, after %s: %v, want %v", cfg.Rise, cfg.Fall, &all, facts, want)
			}
			if mark != 0 && clear != 0 || h.passed > 0 && h.failed > 0 {
				t.Fatalf("after %s: mark %v, clear %v, %+v", &all, mark, clear, h)
			}
		}
	}
}

// With KeepEjected, checks have no say in ejections, and the same in all else.
func TestHistoryKeepsEjected(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		cfg := Config{Rise: 1 + random.IntN(3), Fall: 1 + random.IntN(3), KeepEjected: true}
		var with, without history
		var down lb.Facts
		for range 100 {
			passed := random.IntN(2) == 0
			var mark, clear, mark2, clear2 lb.Facts
			with, mark, clear = with.add(passed, down|lb.Ejected, cfg)
			without, mark2, clear2 = without.add(passed, down, cfg)
			if clear.Has(lb.Ejected) || mark != mark2 || clear != clear2 && with.passed == without.passed {
				t.Fatalf("%+v: mark %v, clear %v; without an ejection %v, %v", cfg, mark, clear, mark2, clear2)
			}
			down = down&^clear | mark
		}
	}
}

func TestGap(t *testing.T) {
	for _, tt := range []struct {
		jitter float64
		first  bool
		u      float64
		want   float64 // of the interval
	}{
		{0.1, true, 0, 0}, {0.1, true, 0.5, 0.5}, {0.1, true, 0.999, 0.999},
		{0.1, false, 0, 0.9}, {0.1, false, 0.5, 1}, {0.1, false, 1, 1.1},
		{1, false, 0, 0}, {1, false, 1, 2},
		{0, true, 0.3, 1}, {0, false, 0.3, 1},
	} {
		cfg := Config{Interval: 1e9, Jitter: tt.jitter}
		if got := float64(cfg.gap(tt.first, tt.u)) / 1e9; got < tt.want-1e-6 || got > tt.want+1e-6 {
			t.Errorf("jitter %v, first %v, u %v: got %v, want %v", tt.jitter, tt.first, tt.u, got, tt.want)
		}
	}
}

func TestBrief(t *testing.T) {
	for _, text := range []string{"", "plain", "two\nlines\r\n", "esc \x1b[31m \u2028 \xff", strings.Repeat("ä", 300), strings.Repeat("x", 201)} {
		err := errors.New(text)
		line := brief{err}.Error()
		if len(line) > maxBrief || !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x1b\u2028") {
			t.Errorf("%q became %q", text, line)
		}
		if !errors.Is(brief{err}, err) {
			t.Errorf("%q is lost", text)
		}
	}
	if got := (brief{errors.New("connection refused")}).Error(); got != "connection refused" {
		t.Errorf("a plain line became %q", got)
	}
}
