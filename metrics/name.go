package metrics

import "strings"

// seriesName returns family{key="value",…} as the Prometheus text format has it. Labels are keys
// and values in turn; a last key without a value gets an empty one. Whatever it is given, the
// result is valid: families and keys get underscores for what they may not have, values are
// escaped and made valid UTF-8.
func seriesName(family string, labels ...string) string {
	var s strings.Builder
	s.WriteString(identifier(family))
	for i := 0; i < len(labels); i += 2 {
		value := ""
		if i+1 < len(labels) {
			value = labels[i+1]
		}
		if i == 0 {
			s.WriteByte('{')
		} else {
			s.WriteByte(',')
		}
		s.WriteString(strings.ReplaceAll(identifier(labels[i]), ":", "_"))
		s.WriteString(`="`)
		s.WriteString(escaped(value))
		s.WriteByte('"')
	}
	if len(labels) > 0 {
		s.WriteByte('}')
	}
	return s.String()
}

// identifier returns s with an underscore for each byte that a name may not have.
func identifier(s string) string {
	name := []byte(s)
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			name[i] = '_'
		}
	}
	if len(name) == 0 {
		return "_"
	}
	return string(name)
}

// escaped returns a label's value as it stands between quotes.
func escaped(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value)
}
