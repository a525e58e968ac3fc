package redisstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A value that is not ours neither gets into memory nor pushes out what is there.
func TestHostileValuesDoNotGetIn(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		key := s.codec.key(id("s"))
		for name, value := range map[string]string{
			"a plain ID":        "b",
			"another session's": s.codec.seal(s.codec.key(id("t")), "b"),
			"long":              strings.Repeat("x", 1<<20),
		} {
			bind(t, s, "s", "", "a")
			time.Sleep(6 * time.Second)
			if err := m.Set(key, value); err != nil {
				t.Fatal(err)
			}
			if got := lookup(t, s, "s"); got != "a" {
				t.Errorf("%s: bound to %q", name, got)
			}
			if got, _ := m.Get(key); got != s.codec.seal(key, "a") {
				t.Errorf("%s: %.40q stands in Redis", name, got)
			}
			if err := m.Set(key, value); err != nil {
				t.Fatal(err)
			}
			s.forgetHere("s")
			s.Seen("s", "c")
			synctest.Wait()
			if got, _ := m.Get(key); got != s.codec.seal(key, "c") || lookup(t, s, "s") != "c" {
				t.Errorf("%s: seen on c, and %.40q stands in Redis", name, got)
			}
			if err := s.Forget(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// scripted is a Redis that answers as a test says.
type scripted struct {
	instant
	answers []string
	asked   []assignment
}

func (r *scripted) assign(_ context.Context, _ string, a assignment) (string, time.Duration, error) {
	r.asked = append(r.asked, a)
	answer := r.answers[0]
	r.answers = r.answers[1:]
	return answer, r.ttl, nil
}

// Values that are not ours, or marks of the forgotten, do not make a compare-and-swap forget what it
// compares with; and it does not go on for ever.
func TestForeignValuesCountAsNone(t *testing.T) {
	s, _ := newInstant(time.Hour, 10)
	key := s.codec.key(id("s"))
	r := &scripted{instant: instant{s: s, ttl: time.Hour}, answers: []string{"x", s.codec.seal(key, ""), s.codec.seal(key, "b")}}
	s.redis = r
	if got := bind(t, s, "s", "a", "b"); got != "b" || len(r.asked) != 3 {
		t.Errorf("bound to %q after %d commands", got, len(r.asked))
	}
	for i, void := range []string{s.codec.seal(key, ""), "x", s.codec.seal(key, "")} {
		if want := (assignment{old: s.codec.seal(key, "a"), void: void, value: s.codec.seal(key, "b")}); r.asked[i] != want {
			t.Errorf("command %d: %+v, want %+v", i, r.asked[i], want)
		}
	}
	r.answers = []string{"x", "y", "z"}
	if _, err := s.Bind(t.Context(), "s", "a", "b"); !errors.Is(err, errContested) || len(r.answers) != 0 {
		t.Errorf("contested for ever: %v", err)
	}
}
