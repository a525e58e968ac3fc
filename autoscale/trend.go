package autoscale

import "time"

// trend is a line through what is needed: Holt's linear method (C. C. Holt, 1957; NIST/SEMATECH
// e-Handbook, 6.4.3.3), with weights from time constants since intervals may differ:
//
//	level' = (1-a)*(level + slope*dt) + a*need      a = 1 - exp(-3*dt/window)
//	slope' = (1-b)*slope + b*(level'-level)/dt      b = 1 - exp(-dt/window)
//	forecast = level + slope*ahead
type trend struct {
	known        bool    // else there is no line yet
	level, slope float64 // backends, and backends per second
}

// next takes one more need in. After a jump, as in a panic or an outage, the line begins anew.
func (t trend) next(need float64, interval, window time.Duration, jump bool) trend {
	if !t.known || jump {
		return trend{known: !jump, level: need}
	}
	dt := interval.Seconds()
	keepLevel, keepSlope := decay(interval, window/3), decay(interval, window)
	level := keepLevel*(t.level+t.slope*dt) + (1-keepLevel)*need
	return trend{known: true, level: level, slope: keepSlope*t.slope + (1-keepSlope)*(level-t.level)/dt}
}

// at is the forecast, never below zero.
func (t trend) at(ahead time.Duration) float64 { return max(0, t.level+t.slope*ahead.Seconds()) }
