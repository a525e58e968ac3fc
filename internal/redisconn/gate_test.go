package redisconn

import (
	"strings"
	"testing"
)

// A script is a sequence of results: f and s of calls, F and S of probes, and after each whether the gate
// is shut (x) or open (o).
func TestGateScripts(t *testing.T) {
	for name, script := range map[string][2]string{
		"a success between failures":       {"ffffsffff", "ooooooooo"},
		"five in a row":                    {"fffff", "oooox"},
		"results from before do not count": {"fffffsssff", "ooooxxxxxx"},
		"a probe opens it":                 {"fffffFFS", "ooooxxxo"},
		"open is as good as new":           {"fffffSfffff", "ooooxooooox"},
	} {
		var g gate
		var got strings.Builder
		for _, r := range script[0] {
			g = g.judge(r == 'F' || r == 'S', r == 's' || r == 'S')
			got.WriteByte("ox"[map[bool]int{true: 1}[g.shut]])
		}
		if got.String() != script[1] {
			t.Errorf("%s: %s after %s, want %s", name, got.String(), script[0], script[1])
		}
	}
}
