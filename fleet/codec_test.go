package fleet

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var secret = bytes.Repeat([]byte("0123456789abcdef"), 2)

func letter(sequence uint64, lines ...line) message {
	return message{from: instance{1, 2, 3}, sequence: sequence, at: noon.UnixMilli(), lines: lines}
}

func TestMessagesArriveAsTheyWere(t *testing.T) {
	var lines []line
	for i := range 200 {
		w := failWord(i % 7)
		if w.row == 0 {
			w = wellWord()
		}
		w.standing, w.latency = standing(i%int(standings)), time.Duration(i)*time.Millisecond
		lines = append(lines, line{fmt.Sprintf("b%03d", i), w})
	}
	want := letter(9, lines...)
	c := newCodec(secret, "shop")
	got, f := c.open(string(c.seal(want, noon)), noon)
	if f != fine || !reflect.DeepEqual(got, want) {
		t.Errorf("fault %d: %+v", f, got)
	}
}

// Any other bit, any other key, any other pool is not believed.
func TestForgeriesAreNotTaken(t *testing.T) {
	c := newCodec(secret, "shop")
	sealed := string(c.seal(letter(1, line{"b", failWord(2)}), noon))
	for i := range len(sealed) * 8 {
		b := []byte(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, f := c.open(string(b), noon); f == fine {
			t.Fatalf("bit %d of %d makes no difference", i, len(sealed)*8)
		}
	}
	for n := range len(sealed) {
		if _, f := c.open(sealed[:n], noon); f == fine {
			t.Fatalf("%d of %d bytes suffice", n, len(sealed))
		}
	}
	for _, other := range []*codec{newCodec(secret, "shop2"), newCodec(secret, ""), newCodec(append(bytes.Clone(secret), 1), "shop")} {
		if _, f := other.open(sealed, noon); f != wrongCode {
			t.Errorf("another's message is taken: %d", f)
		}
	}
	if _, f := c.open(sealed+strings.Repeat("x", maxMessage), noon); f != wrongSize {
		t.Errorf("fault %d", f)
	}
}

// What is sealed well and nonsense is malformed.
func TestNonsenseOfMembersIsNotTaken(t *testing.T) {
	c := newCodec(secret, "shop")
	long := line{strings.Repeat("x", maxID+1), failWord(1)}
	early := failWord(1)
	early.last = early.began.Add(-time.Second)
	for name, lines := range map[string][]line{
		"order": {{"b", failWord(1)}, {"a", failWord(1)}}, "twice": {{"b", failWord(1)}, {"b", failWord(1)}}, "long": {long},
		"standing": {{"b", word{standing: standings}}}, "early": {{"b", early}}, "no time": {{"b", word{row: 1}}},
	} {
		if _, f := c.open(string(c.seal(letter(1, lines...), noon)), noon); f != malformed {
			t.Errorf("%s: fault %d", name, f)
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := newCodec(secret, "shop")
	f.Add(c.seal(letter(1), noon)[headLen:])
	f.Add(c.seal(letter(1, line{"a", failWord(2)}, line{"b", wellWord()}), noon)[headLen:])
	f.Add([]byte{1, 200, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := c.seal(letter(1), noon)[:headLen]
		b = append(b, body...)
		b = append(b, c.sum(b)...)
		m, fault := c.open(string(b), noon)
		c.open(string(body), noon)
		if fault != fine {
			return
		}
		if len(m.lines) > len(body) {
			t.Fatalf("%d lines of %d bytes", len(m.lines), len(body))
		}
		again, fault := c.open(string(c.seal(m, noon)), noon)
		if fault != fine || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}
