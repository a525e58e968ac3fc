package autoscale

import (
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// FuzzPlans lets plans live through anything: three bytes are one interval.
func FuzzPlans(f *testing.F) {
	f.Add([]byte("000000000000\x00\x00\x00\x00\x00\x00zzzzzzzzz"), uint8(0))
	f.Add([]byte("\xff\xff\x00\xff\x00\x01a0000000000000000\xff\x10\xff\x20\xff\x30"), uint8(1))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		first := []Plan{
			lb.Must(Utilization(UtilizationConfig{Slots: 2})),
			lb.Must(Requests(RequestsConfig{Rate: 3, Pace: Pace{Ahead: 20 * time.Second}})),
			lb.Must(Utilization(UtilizationConfig{Slots: 3, Staffing: 2, Pace: Pace{Ahead: time.Minute, Hold: time.Minute}})),
		}[kind%3]
		cfg := Config{Plan: first, Min: 2, Max: 40}.defaults()
		var ls []Load
		var wants []int
		plan, n, starting := cfg.Plan, 3, 0
		now := instant
		for i := 0; i+3 <= len(data) && i < 1500; i += 3 {
			l := anything(data[i:i+3], now, n, starting)
			now = l.Now
			next, want := plan.Next(l)
			down := want < n
			switch {
			case want < cfg.Min || want > cfg.Max:
				t.Fatalf("%d backends under %+v", want, l)
			case down && panics(next, l.Now), down && l.crippled():
				t.Fatalf("down from %d to %d under %+v", n, want, l)
			case down && want*2 < n && want > cfg.Min:
				t.Fatalf("from %d to %d at once", n, want)
			case want > n && l.crippled():
				t.Fatalf("up from %d to %d in an outage", n, want)
			}
			ls, wants, plan = append(ls, l), append(wants, want), next
			n, starting = want, min(want, starting/2+max(0, want-n))
		}
		plan = cfg.Plan
		for i, l := range ls { // and the same once more
			var want int
			if plan, want = plan.Next(l); want != wants[i] {
				t.Fatalf("interval %d: %d the second time, %d the first", i, want, wants[i])
			}
		}
	})
}

// anything makes a load of three bytes.
func anything(b []byte, now time.Time, n, starting int) Load {
	l := Load{Backends: n, Starting: starting, Begun: int64(b[0]) * int64(1+b[1]%8), InFlight: int64(b[1])}
	l.Interval = time.Duration(b[2]%5) * 1700 * time.Millisecond
	l.Now, l.Moved = now.Add(l.Interval), now
	l.Fit = (n - starting) * int(b[2]>>4) / 15
	l.Warming = l.Fit * int(b[1]>>6) / 4
	l.Concurrency = float64(b[1]) * float64(b[0]) / 64
	if b[2]&8 != 0 {
		l.Failed = l.Begun / 3
	}
	l.Requests = l.Begun - l.Failed
	l.Ended = max(0, l.Begun+int64(b[2])-128)
	return l
}

// TestOutageNeverShrinks has total outages of any length begin at any time of any load: when the
// fails outnumber a tenth of a long window, nothing goes until they do not.
func TestOutageNeverShrinks(t *testing.T) {
	for seed := range uint64(40) {
		w := loads()["sine"]
		w.length, w.first = 1500, 30
		begin := 200 + 20*float64(seed)
		w.broken, w.unfit = func(t float64) bool { return t >= begin && t < begin+400 }, seed%2 == 0
		r := w.play(compared()["Utilization"], seed)
		for _, m := range r.moved(begin+10, -1) {
			if m.at < begin+400 {
				t.Errorf("outage since %.0fs: %+v", begin, m)
			}
		}
	}
}
