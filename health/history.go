package health

import (
	"strings"
	"unicode"

	"github.com/go-loadbalancer/lb"
)

// history is what the checks of one backend have shown so far. The zero value is that of a
// backend that was never checked.
type history struct {
	passed, failed int      // in a row; at most one is above zero
	out            lb.Facts // what kept requests away after the last check
	pardons        int      // ejections in a row that passed checks have ended
}

// add takes in one check of a backend that had these facts when it was asked. It returns which
// facts to mark and which to clear.
func (h history) add(passed bool, facts lb.Facts, cfg Config) (next history, mark, clear lb.Facts) {
	out := facts & (lb.Down | lb.Ejected)
	if out&^h.out != 0 {
		h.passed = 0 // what it passed before that proves nothing
	}
	h.out = out
	if !passed {
		h.passed, h.failed = 0, h.failed+1
		if h.failed >= cfg.Fall {
			mark = lb.Down &^ facts
		}
		return h, mark, 0
	}
	h.passed, h.failed = h.passed+1, 0
	if h.passed >= cfg.Rise {
		clear = out & lb.Down
	}
	switch {
	case out.Has(lb.Ejected):
		if !cfg.KeepEjected && h.passed >= cfg.Rise*(h.pardons+1) {
			h.pardons++
			clear |= lb.Ejected
		}
	case h.pardons > 0 && h.passed%cfg.Rise == 0:
		h.pardons--
	}
	h.out &^= clear // so that the next time is seen to be another
	return h, 0, clear
}

// brief is an error on one short line: probes may say what backends have told them.
type brief struct{ error }

// maxBrief bounds the line, in bytes.
const maxBrief = 200

// Error returns the line.
func (b brief) Error() string {
	line := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(b.error.Error(), "?"))
	if len(line) <= maxBrief {
		return line
	}
	return strings.ToValidUTF8(line[:maxBrief-len("...")], "") + "..."
}

// Unwrap returns the probe's own error.
func (b brief) Unwrap() error { return b.error }
