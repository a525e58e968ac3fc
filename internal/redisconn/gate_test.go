package redisconn

import (
	"testing"
	"time"
)

// A script is a sequence of steps at seconds since the beginning: "enter" and what is expected
// of it, or a result.
func TestGateScripts(t *testing.T) {
	type step struct {
		at   float64
		does string // fail, ok, trial fails, trial ok, or the answer that enter must give: pass, trial, refuse
	}
	scripts := map[string][]step{
		"a success between failures": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "ok"}, {0, "fail"}, {0, "pass"},
		},
		"five in a row": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "pass"}, {0, "fail"}, {0, "refuse"}, {0.999, "refuse"},
		},
		"one trial a second": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"},
			{1, "trial"}, {1, "refuse"}, {1.5, "trial fails"}, {2, "refuse"}, {2.5, "trial"}, {2.5, "refuse"},
		},
		"a trial that is never judged": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"},
			{5, "trial"}, {5.9, "refuse"}, {6, "trial"}, {6.1, "trial ok"}, {6.1, "pass"},
		},
		"results from before do not count": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"},
			{0.1, "ok"}, {0.1, "refuse"}, {0.9, "fail"}, {1, "trial"}, {1, "ok"}, {1, "refuse"},
		},
		"closed again after a single failure? no": {
			{0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"}, {0, "fail"},
			{1, "trial"}, {1, "trial ok"}, {1, "fail"}, {1, "fail"}, {1, "fail"}, {1, "fail"}, {1, "pass"}, {1, "fail"}, {1, "refuse"},
		},
	}
	zero := time.Unix(0, 0)
	for name, script := range scripts {
		var g gate
		for i, s := range script {
			now := zero.Add(time.Duration(s.at * float64(time.Second)))
			switch s.does {
			case "fail", "ok":
				g = g.judge(now, false, s.does == "ok")
			case "trial fails", "trial ok":
				g = g.judge(now, true, s.does == "trial ok")
			default:
				next, trial, ok := g.enter(now)
				got := map[[2]bool]string{{false, true}: "pass", {true, true}: "trial", {false, false}: "refuse"}[[2]bool{trial, ok}]
				if got != s.does {
					t.Errorf("%s: step %d: enter at %v: %s, want %s", name, i, s.at, got, s.does)
				}
				g = next
			}
		}
	}
}
