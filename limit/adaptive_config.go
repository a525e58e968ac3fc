package limit

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
)

// AdaptiveConfig bounds a limit that finds itself. The zero value is what most want.
type AdaptiveConfig struct {
	// Min is the least limit. For most of the time it is 5 at least. Zero means 1.
	Min int
	// Max is the greatest limit. Zero means 1000.
	Max int
	// Start is the limit before anything is known. Zero means 50, or Min or Max if that is nearer.
	Start int

	// Priority says how important a request is: zero or more is as important as can be, and each
	// step below leaves a fifth of the limit to those that are above, and the first four places more.
	// So what is less important is refused first (trunk reservation: Key, 1990). Less than -4 is -4. It is called for every request
	// before anything else, on its goroutine. Nil means that all are alike. Only Adaptive.Wrap asks.
	Priority func(*http.Request) int
	// Exempt says which requests pass whatever the limit, and are not counted: those that last for
	// long without being work. Nil means those that ask to switch to another protocol, as
	// WebSockets, or for an event stream. Only Adaptive.Wrap asks.
	Exempt func(*http.Request) bool
	// ReasonHeader names a header in which refusals say why: overload. Empty means none.
	ReasonHeader string
	// OnRefused is told of each request that Adaptive.Wrap refuses, before it is answered, on the
	// request's goroutine. Nil means nobody.
	OnRefused func(*http.Request)
}

func (cfg AdaptiveConfig) withDefaults() AdaptiveConfig {
	cfg.Min = cmp.Or(cfg.Min, 1)
	cfg.Max = cmp.Or(cfg.Max, max(1000, cfg.Min))
	cfg.Start = cmp.Or(cfg.Start, min(max(50, cfg.Min), cfg.Max))
	if cfg.Exempt == nil {
		cfg.Exempt = lasting
	}
	return cfg
}

// faults lists what is wrong with a Config that has its defaults, each with its cure.
func (cfg AdaptiveConfig) faults() error {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("limit: AdaptiveConfig."+format, args...))
		}
	}
	add(cfg.Min < 1, "Min %d is negative; zero means 1", cfg.Min)
	add(cfg.Max < 1 || cfg.Max > 1_000_000, "Max %d is not between 1 and 1,000,000; zero means 1000", cfg.Max)
	add(cfg.Min > cfg.Max && cfg.Max > 0, "Min %d is more than Max %d", cfg.Min, cfg.Max)
	add(cfg.Start < min(cfg.Min, cfg.Max) || cfg.Start > max(cfg.Min, cfg.Max), "Start %d is not between Min %d and Max %d; zero means 50", cfg.Start, cfg.Min, cfg.Max)
	add(!isToken(cfg.ReasonHeader), "ReasonHeader %q is not the name of a header", cfg.ReasonHeader)
	return errors.Join(errs...)
}

// isToken reports whether s has only characters that header names may have: RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '!' || c >= '#' && c <= '\'' || c == '*' || c == '+' || c == '-' || c == '.' || c >= '^' && c <= '`' || c == '|' || c == '~':
		default:
			return false
		}
	}
	return true
}
