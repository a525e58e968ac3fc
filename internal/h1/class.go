package h1

import "encoding/binary"

// Classes of bytes, as bits of class.
const (
	token  = 1 << iota // RFC 9110 section 5.6.2
	lower              // a to z
	upper              // A to Z
	inHost             // RFC 3986: reg-name, IP-literal, port
)

// class holds the classes of each byte. It is never written again.
var class = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] |= token | inHost
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= token | inHost | lower
		t[c-'a'+'A'] |= token | inHost | upper
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= token
	}
	for _, c := range "!$%&'()*+,-.:;=[]_~" {
		t[c] |= inHost
	}
	return t
}()

// all reports whether every byte of s is in one class.
func all[S string | []byte](s S, c uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

func isToken[S string | []byte](s S) bool { return len(s) > 0 && all(s, token) }

// keyForm reports whether a key is a token, and whether it is in net/textproto's canonical form
// if it is.
func keyForm(key string) (isToken, canonical bool) {
	every, some, wrong := uint8(token), uint8(0), uint8(lower)
	for i := 0; i < len(key); i++ {
		c := class[key[i]]
		every &= c
		some |= c & wrong
		wrong = upper
		if key[i] == '-' {
			wrong = lower
		}
	}
	return key != "" && every != 0, some == 0
}

// validValue reports whether a field's value has no control bytes but tabs. It looks at eight
// bytes at once: (x - 0x20..) & ^x has the top bit of a byte set if and only if one is below
// 0x20, and the same with x ^ 0x7f.. and one for DEL.
func validValue(v []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(v) >= 8 {
		x := binary.LittleEndian.Uint64(v)
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&tops != 0 && !validBytes(v[:8]) {
			return false
		}
		v = v[8:]
	}
	return validBytes(v)
}

func validBytes(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// equalFold compares ASCII without regard to case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && (a[i]^b[i] != 0x20 || class[a[i]]&(lower|upper) == 0) {
			return false
		}
	}
	return true
}

// trim takes spaces and tabs from both ends.
func trim[S string | []byte](s S) S {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}
