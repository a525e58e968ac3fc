package redisconn

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
			g = g.judge(r == 'F' || r == 'S', r == 's' || r == 'S', enough)
			got.WriteByte("ox"[map[bool]int{true: 1}[g.shut]])
		}
		if got.String() != script[1] {
			t.Errorf("%s: %s after %s, want %s", name, got.String(), script[0], script[1])
		}
	}
}

// The first lane takes five failures; while one is shut, another takes one, and those that serve stay open.
func TestLanesOfALostMember(t *testing.T) {
	var told []bool
	c := &Conn{lanes: make([]lane, clusterLanes), timeout: time.Hour, closed: true, // so that nothing probes
		cfg: Config{OnState: func(reachable bool, _ error) { told = append(told, reachable) }}}
	end := func(lane int, probe bool, err error) {
		c.judge(&call{lane: lane, key: "k", probe: probe, began: time.Now()}, err)
	}
	for i := range enough {
		if c.shut != 0 {
			t.Errorf("shut after %d failures", i)
		}
		end(0, false, ErrTimeout)
	}
	for lane := 1; lane < clusterLanes; lane++ {
		if lane%3 == 0 {
			end(lane, false, ErrTimeout)
		} else {
			end(lane, false, nil)
		}
		if c.lanes[lane].shut != (lane%3 == 0) {
			t.Errorf("lane %d is shut: %v", lane, c.lanes[lane].shut)
		}
	}
	if s := c.Stats(); s.Down || !s.Partly || s.Opened != 1 || c.shut != 22 {
		t.Errorf("%+v, %d shut", s, c.shut)
	}
	for lane := range clusterLanes {
		end(lane, true, nil)
	}
	if s := c.Stats(); s.Partly || c.shut != 0 || fmt.Sprint(told) != "[false true]" {
		t.Errorf("%+v, told %v", s, told)
	}
}
