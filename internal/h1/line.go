package h1

import "bytes"

// Lines that are remembered, and how long they may be with their CRLF: at most 4 KiB and as much
// again of headers for them.
const (
	maxLines = 16
	maxLine  = 256
)

// Cache remembers the field lines of the last head on one connection. A line that comes again at
// the same place costs one comparison: key, value and meaning are those of the last time. What
// is parsed does not depend on it. The zero value is ready; a nil one remembers nothing.
type Cache struct{ lines [maxLines]line }

// line is a field line and what was made of it, which depends on raw alone.
type line struct {
	raw        string // with CRLF
	key, value string // value is a part of raw, and key may be
	meaning    meaning
}

// slot returns the place of the line with this index, or nil if it is not to be remembered.
func (c *Cache) slot(i int) *line {
	if c == nil || i >= maxLines {
		return nil
	}
	return &c.lines[i]
}

// begins reports whether b begins with the line. Since raw ends with its only LF, b's first line is equal then.
func (l *line) begins(b []byte) bool {
	n := len(l.raw)
	return n > 0 && len(b) >= n && string(b[:n]) == l.raw
}

// parseLine reads the field line at the beginning of b, which has an LF.
func parseLine(b []byte) (line, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 || b[end-1] != '\r' {
		return line{}, malformed("a line does not end with CRLF")
	}
	colon := bytes.IndexByte(b[:end], ':')
	if colon < 0 {
		return line{}, malformed("a field line has no colon")
	}
	if !validValue(b[colon+1 : end-1]) {
		return line{}, malformed("a control byte in a field's value")
	}
	l := line{raw: string(b[:end+1])}
	name := l.raw[:colon]
	if l.key = common(name); l.key == "" {
		if !isToken(name) {
			return line{}, malformed("a field's name is not a token")
		}
		l.key = nameOf(name)
	}
	l.meaning = meaningOf(l.key)
	l.value = trim(l.raw[colon+1 : end-1])
	return l, nil
}
