package orca

import (
	"strconv"
	"strings"
	"time"
)

// Header is the name of the header, and of the trailer.
const Header = "Endpoint-Load-Metrics"

const (
	maxBytes   = 4096 // of a header that is read at all
	maxMetrics = 64   // in a header, known or not
	maxName    = 128  // bytes
	maxNumber  = 32   // bytes
	named      = "named_metrics."
)

// Fields says which of a Report's fields were said.
type Fields uint8

const (
	Application Fields = 1 << iota // Report.Application
	CPU                            // Report.CPU
	Memory                         // Report.Memory
	Rate                           // Report.Rate
	Errors                         // Report.Errors
	InFlight                       // Report.InFlight
	Latency                        // Report.Latency
)

// Report is what a header says. What is not in Said is zero.
type Report struct {
	Said Fields

	Application float64       // share of what the application can do; may exceed 1
	CPU         float64       // share of the processors that it may use; may exceed 1
	Memory      float64       // 0 to 1
	Rate        float64       // requests per second
	Errors      float64       // failed requests per second
	InFlight    int64         // requests that have come and not ended
	Latency     time.Duration // typical, while as many are in flight as now
}

// Has reports whether all of f were said.
func (r Report) Has(f Fields) bool { return r.Said&f == f }

// Utilization is Application, or CPU where that was not said or is zero, as gRPC takes them.
func (r Report) Utilization() float64 {
	if r.Application > 0 {
		return r.Application
	}
	return r.CPU
}

// metric is one of the names we know: its bounds, and where it goes.
type metric struct {
	name, camel string // of protocol buffers, and of their JSON
	field       Fields
	most        float64
}

// known are the metrics that a Report has room for. What is above most is taken for a lie.
var known = [...]metric{
	{"application_utilization", "applicationUtilization", Application, 1000},
	{"cpu_utilization", "cpuUtilization", CPU, 1000},
	{"mem_utilization", "memUtilization", Memory, 1},
	{"rps_fractional", "rpsFractional", Rate, 1e9},
	{"eps", "eps", Errors, 1e9},
	{named + "in_flight", "", InFlight, 1e9},
	{named + "latency_seconds", "", Latency, 3600},
}

// Parse reads the value of a header. It reports false, and says nothing, for a value that is
// malformed, too long, in another format than TEXT and JSON, or has none of the fields of a Report,
// and for one in which a field of a Report stands twice or is negative, no number, infinite or
// beyond belief. Other metrics are passed over. It allocates nothing.
func Parse(value string) (Report, bool) {
	var r Report
	if len(value) > maxBytes {
		return r, false
	}
	ok := false
	if list, text := strings.CutPrefix(value, "TEXT "); text {
		ok = r.text(list)
	} else if object, json := strings.CutPrefix(value, "JSON "); json {
		ok = r.json(object)
	}
	if !ok || r.Said == 0 {
		return Report{}, false
	}
	return r, true
}

// text reads a list of name=value. Envoy has also read name:value.
func (r *Report) text(list string) bool {
	count := 0
	for element := range strings.SplitSeq(list, ",") {
		element = strings.Trim(element, " \t")
		at := strings.IndexAny(element, "=:")
		if count++; at < 0 || count > maxMetrics {
			return false
		}
		name := element[:at]
		inner, isNamed := strings.CutPrefix(name, named)
		if !r.set(inner, isNamed, element[at+1:]) {
			return false
		}
	}
	return true
}

// set notes one metric. It reports whether that is well-formed.
func (r *Report) set(name string, isNamed bool, number string) bool {
	value, ok := parseNumber(number)
	if !ok || !isName(name) {
		return false
	}
	for i := range known {
		if m := &known[i]; m.called(name, isNamed) {
			return r.Said&m.field == 0 && value >= 0 && value <= m.most && number[0] != '-' && r.put(m.field, value)
		}
	}
	return true
}

// called reports whether the metric has a name.
func (m *metric) called(name string, isNamed bool) bool {
	own, isOwn := strings.CutPrefix(m.name, named)
	if isNamed {
		return isOwn && own == name
	}
	return !isOwn && (m.name == name || m.camel == name)
}

// put stores a value that is within its bounds.
func (r *Report) put(f Fields, v float64) bool {
	r.Said |= f
	switch f {
	case Application:
		r.Application = v
	case CPU:
		r.CPU = v
	case Memory:
		r.Memory = v
	case Rate:
		r.Rate = v
	case Errors:
		r.Errors = v
	case InFlight:
		r.InFlight = int64(v)
		return float64(r.InFlight) == v // a request is whole
	case Latency:
		r.Latency = time.Duration(v*float64(time.Second) + 0.5)
	}
	return true
}

// isName reports whether s may be the name of a metric.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == ',' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// parseNumber reads a number as JSON has them: no hexadecimal, no Inf, no NaN.
func parseNumber(s string) (float64, bool) {
	if s == "" || len(s) > maxNumber {
		return 0, false
	}
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || !isDigit(digits[0]) || digits[0] == '0' && len(digits) > 1 && isDigit(digits[1]) {
		return 0, false
	}
	for i := range len(digits) {
		switch c := digits[i]; {
		case isDigit(c), c == 'e', c == 'E':
		case c == '.' && i+1 < len(digits) && isDigit(digits[i+1]):
		case (c == '+' || c == '-') && digits[i-1]|0x20 == 'e':
		default:
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64) // an error, too, if it is out of range
	return v, err == nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
