package picker

import (
	"net/textproto"
	"strings"
)

// maxCookies bounds how many cookies of a request are looked at. Browsers keep about 180 for
// a site.
const maxCookies = 257

// cookie returns the value of the first cookie of that name in the lines of a Cookie header, or
// "". It reads no other's value, and allocates nothing.
func cookie(lines []string, name string) string {
	left := maxCookies
	for _, rest := range lines {
		for more := true; more; left-- {
			if left == 0 {
				return ""
			}
			var pair string
			pair, rest, more = strings.Cut(rest, ";")
			key, value, ok := strings.Cut(textproto.TrimString(pair), "=")
			if ok && textproto.TrimString(key) == name {
				return unquote(value)
			}
		}
	}
	return ""
}

// unquote takes off the quotes that RFC 6265 allows around a value.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
