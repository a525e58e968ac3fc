package metrics

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Each number of a struct has its series, under a name that says what it is.
func TestFigures(t *testing.T) {
	type stats struct {
		HitsMemory uint64
		InFlight   int
		Down       bool
		WaitTotal  time.Duration
		Share      float64
		Name       string
		Dropped    struct{ Own, TooOld uint64 }
		Waits      [2]uint64
		hidden     int
	}
	now := stats{HitsMemory: 3, InFlight: 2, Down: true, WaitTotal: 1500 * time.Millisecond, Share: 0.5, Waits: [2]uint64{7, 8}, hidden: 1}
	now.Dropped.TooOld = 9
	r := New(Config{})
	r.Figures("f", func() any { return now })
	r.Figures("g", func() any { return 1 })
	r.Figures("h", func() any { return nil })
	now.HitsMemory = 4
	var text bytes.Buffer
	r.set.WritePrometheus(&text)
	for _, want := range []string{"f_hits_memory_total 4", "f_in_flight 2", "f_down 1", "f_wait_total_seconds 1.5", "f_share 0.5",
		`f_dropped_total{part="own"} 0`, `f_dropped_total{part="too_old"} 9`, `f_waits_total{part="0"} 7`, `f_waits_total{part="1"} 8`} {
		if !strings.Contains("\n"+text.String(), "\n"+want+"\n") {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	for _, odd := range []string{"hidden", "name", "\ng", "\nh"} {
		if strings.Contains("\n"+text.String(), "f_"+odd) || strings.Contains(text.String(), odd+"_") {
			t.Errorf("%q is shown", odd)
		}
	}
}
