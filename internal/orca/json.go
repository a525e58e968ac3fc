package orca

import "strings"

// scanner reads the JSON of a report: an object of numbers, and of objects of numbers. It is
// stricter than JSON: there are no strings but names, and no escapes in these.
type scanner struct {
	rest  string
	count int // of metrics
}

// json reads an object.
func (r *Report) json(object string) bool {
	s := scanner{rest: object}
	ok := s.object(func(name string) bool {
		if s.peek() != '{' {
			return r.set(name, false, s.number())
		}
		if !isName(name) {
			return false
		}
		isNamed := name == "named_metrics" || name == "namedMetrics"
		return s.object(func(inner string) bool {
			number := s.number()
			if isNamed {
				return r.set(inner, true, number)
			}
			_, ok := parseNumber(number)
			return ok && isName(inner)
		})
	})
	s.space()
	return ok && s.rest == ""
}

// object reads {"name": value, ...} and has each value read by member.
func (s *scanner) object(member func(name string) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for range maxMetrics {
		name, ok := s.name()
		if s.count++; !ok || s.count > maxMetrics || !s.take(':') || !member(name) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
	return false
}

// name reads a string.
func (s *scanner) name() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	name, rest, ok := strings.Cut(s.rest, `"`)
	s.rest = rest
	return name, ok && strings.IndexByte(name, '\\') < 0
}

// number takes what may be a number.
func (s *scanner) number() string {
	s.space()
	end := strings.IndexAny(s.rest, ",} \t")
	if end < 0 {
		end = len(s.rest)
	}
	number := s.rest[:end]
	s.rest = s.rest[end:]
	return number
}

// take takes a byte if it is the next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// peek returns the next byte that is no space, or 0.
func (s *scanner) peek() byte {
	s.space()
	if s.rest == "" {
		return 0
	}
	return s.rest[0]
}

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }
