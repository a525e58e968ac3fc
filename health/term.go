package health

import (
	"math/rand/v2"
	"time"
)

// term is how long a backend stays out. The zero value is that of a backend that never was.
type term struct {
	times int       // ejections in a row that have not been forgotten
	turn  time.Time // when it has to come back, or when it came back
}

// begin starts the next ejection: min(Time*times, MaxTime), as in Envoy's outlier detection, and up to
// a share of Jitter less.
func (t term) begin(now time.Time, cfg EjectorConfig) term {
	forgotten := int(min(max(0, now.Sub(t.turn)/cfg.Time), time.Duration(t.times)))
	most := int((cfg.MaxTime + cfg.Time - 1) / cfg.Time) // times beyond that would be forgotten too late
	t.times = min(t.times-forgotten+1, most)
	whole := min(time.Duration(t.times)*cfg.Time, cfg.MaxTime)
	t.turn = now.Add(max(1, whole-time.Duration(rand.Float64()*cfg.Jitter*float64(whole))))
	return t
}

// end ends an ejection.
func (t term) end(now time.Time) term {
	t.turn = now
	return t
}
