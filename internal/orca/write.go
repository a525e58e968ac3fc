package orca

import (
	"strconv"
	"strings"
)

// value is a metric's number in a report.
func (r *Report) value(f Fields) float64 {
	switch f {
	case Application:
		return r.Application
	case CPU:
		return r.CPU
	case Memory:
		return r.Memory
	case Rate:
		return r.Rate
	case Errors:
		return r.Errors
	case InFlight:
		return float64(r.InFlight)
	default:
		return r.Latency.Seconds()
	}
}

// clamped is value within the bounds of Parse; no number and what is below zero are zero.
func (r *Report) clamped(m *metric) float64 {
	v := r.value(m.field)
	if !(v > 0) {
		return 0
	}
	return min(v, m.most)
}

// AppendText appends the header's value in the format TEXT: what is in Said, within the bounds of
// Parse. It appends nothing if nothing was said.
func (r *Report) AppendText(dst []byte) []byte {
	separator := "TEXT "
	for i := range known {
		m := &known[i]
		if !r.Has(m.field) {
			continue
		}
		dst = append(dst, separator...)
		dst = append(dst, m.name...)
		dst = append(dst, '=')
		dst = strconv.AppendFloat(dst, r.clamped(m), 'g', -1, 64)
		separator = ","
	}
	return dst
}

// AppendJSON is AppendText in the format JSON.
func (r *Report) AppendJSON(dst []byte) []byte {
	if r.Said == 0 {
		return dst
	}
	dst = append(dst, "JSON {"...)
	dst, begun := r.members(dst, "")
	if r.Said&(InFlight|Latency) != 0 {
		if begun {
			dst = append(dst, ',')
		}
		dst = append(dst, `"named_metrics":{`...)
		dst, _ = r.members(dst, named)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// members appends what was said of the metrics whose names begin with a prefix, or with none.
func (r *Report) members(dst []byte, prefix string) (_ []byte, begun bool) {
	for i := range known {
		m := &known[i]
		if !r.Has(m.field) || strings.HasPrefix(m.name, named) != (prefix == named) {
			continue
		}
		if begun {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, m.name[len(prefix):]...)
		dst = append(dst, `":`...)
		dst = strconv.AppendFloat(dst, r.clamped(m), 'g', -1, 64)
		begun = true
	}
	return dst, begun
}
