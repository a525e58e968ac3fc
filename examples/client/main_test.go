package main

import (
	"strings"
	"testing"
)

// Each server gets its share, and none fails when one stops.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(out.String(), "two has stopped")
	for _, name := range []string{"one", "two", "three"} {
		if n := strings.Count(before, "by "+name+"\n"); n != 2 {
			t.Errorf("%s answered %d of 6", name, n)
		}
	}
	if strings.Contains(after, "by two") || strings.Count(after, "answered by") != 3 {
		t.Errorf("after two has stopped:\n%s", after)
	}
}
