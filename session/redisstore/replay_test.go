package redisstore

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// What was decided while Redis was away is told to it when it is back: once, by whoever decided, and
// without anybody asking.
func TestRedisHearsOfWhatWasDecided(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s, other := open(), open()
		bind(t, s, "moved", "", "a")
		w.set(true, false)
		if got := bind(t, s, "moved", "a", "b"); got != "b" {
			t.Errorf("moved to %q", got)
		}
		if got := bind(t, s, "moved", "a", "c"); got != "b" {
			t.Errorf("moved, though not by who asked: %q", got)
		}
		if got := bind(t, s, "moved", "b", "c"); got != "c" {
			t.Errorf("moved again to %q", got)
		}
		bind(t, s, "begun", "", "a")
		s.Seen("seen", "b")
		s.Seen("seen", "c")
		time.Sleep(time.Second)
		if n := s.dirty.len.Load(); n != 3 {
			t.Errorf("%d changes to tell, want 3", n)
		}
		w.set(false, false)
		time.Sleep(2 * time.Second)
		for session, want := range map[string]string{"moved": "c", "begun": "a", "seen": "b"} {
			if got := w.has(session); got != want {
				t.Errorf("%s: Redis has %q, want %q", session, got, want)
			}
			if got := lookup(t, other, session); got != want {
				t.Errorf("%s: another store has %q, want %q", session, got, want)
			}
		}
		if s.dirty.len.Load() != 0 || s.count.replayed.Load() != 3 || s.count.adopted.Load() != 0 {
			t.Errorf("%d changes to tell, %d told", s.dirty.len.Load(), s.count.replayed.Load())
		}
	})
}

// What has ended before Redis could hear of it is not told.
func TestTheEndedAreNotTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		w.set(true, false)
		bind(t, s, "s", "", "a")
		bind(t, s, "t", "", "a")
		time.Sleep(w.ttl / 2)
		lookup(t, s, "t")
		time.Sleep(w.ttl/2 + time.Second)
		w.set(false, false)
		if got := lookup(t, s, "s"); got != "" {
			t.Errorf("ended and found on %q", got)
		}
		time.Sleep(2 * time.Second)
		if s, t2 := w.has("s"), w.has("t"); s != "" || t2 != "a" {
			t.Errorf("Redis has the one that ended on %q, the one that did not on %q", s, t2)
		}
		if n := s.dirty.len.Load(); n != 0 {
			t.Errorf("%d changes to tell", n)
		}
	})
}

// Who asks before Redis has heard is told what was decided.
func TestWhatWasDecidedIsFoundAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		for i := range 50 {
			bind(t, s, fmt.Sprint("s", i), "", "a")
		}
		w.set(true, false)
		for i := range 50 {
			bind(t, s, fmt.Sprint("s", i), "a", "b")
		}
		w.set(false, false)
		for i := range 50 {
			if got := lookup(t, s, fmt.Sprint("s", 49-i)); got != "b" {
				t.Errorf("s%d is on %q", 49-i, got)
			}
		}
	})
}

// Two that decide alone may decide differently: who tells Redis first is right, and the other one
// finds out by itself.
func TestTheLoserAdoptsTheWinner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		stores := []*Store{open(), open(), open()}
		bind(t, stores[0], "old", "", "x")
		time.Sleep(time.Second)
		for _, s := range stores {
			lookup(t, s, "old")
		}
		w.set(true, false)
		for n, s := range stores {
			for i := range 50 {
				bind(t, s, fmt.Sprint("new", i), "", fmt.Sprint("b", n))
			}
			bind(t, s, "old", "x", fmt.Sprint("b", n))
		}
		time.Sleep(3 * time.Second)
		w.set(false, false)
		time.Sleep(3 * time.Second)
		adopted := uint64(0)
		for _, s := range stores {
			adopted += s.count.adopted.Load()
			for i := range 51 {
				session := fmt.Sprint("new", i)
				if i == 50 {
					session = "old"
				}
				if got, want := s.recall(id(session)), w.has(session); got != want || want == "" {
					t.Errorf("%s: remembered on %q, and Redis has %q", session, got, want)
				}
			}
		}
		if adopted != 2*51 {
			t.Errorf("%d adopted, want 102", adopted)
		}
	})
}

// Redis is told of as much as fits: the oldest go.
func TestTheOldestChangesGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		s.dirty.most = 100
		w.set(true, false)
		for i := range 1000 {
			bind(t, s, fmt.Sprint("s", i), "", "a")
			if i%3 == 0 {
				bind(t, s, fmt.Sprint("s", i), "a", "b") // which does not make it younger
			}
		}
		if n, lost := s.dirty.len.Load(), s.dirty.lost.Load(); n != 100 || lost != 900 || len(s.dirty.order) > 300 {
			t.Errorf("%d changes to tell in an order of %d, %d lost", n, len(s.dirty.order), lost)
		}
		w.set(false, false)
		time.Sleep(3 * time.Second)
		for i := range 1000 {
			if got := w.has(fmt.Sprint("s", i)); (got == "") != (i < 900) {
				t.Errorf("s%d: Redis has %q", i, got)
			}
		}
	})
}

func TestDirtyKeepsTheFirstBase(t *testing.T) {
	d := dirty{most: 10}
	k := id("s")
	d.put(k, change{base: "a", to: "b"})
	first, _ := d.find(k)
	d.put(k, change{base: "b", to: "c"})
	if c, _ := d.find(k); c.base != "a" || c.to != "c" {
		t.Errorf("%+v", c)
	}
	d.heard(k, first, "b") // of the first change only
	if c, ok := d.find(k); !ok || c.base != "b" || c.to != "c" {
		t.Errorf("%+v, %v", c, ok)
	}
	c, _ := d.find(k)
	d.heard(k, c, "c")
	if _, ok := d.find(k); ok || d.len.Load() != 0 || len(d.oldest(1)) != 0 || d.order != nil {
		t.Errorf("%+v", d.by)
	}
}

// What was decided is not undone by a client that has not heard of it.
func TestWhatWasDecidedIsNotUndone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		w.set(true, false)
		for i := range 50 {
			bind(t, s, fmt.Sprint("s", i), "", "b")
		}
		w.set(false, false)
		for i := range 50 {
			s.Seen(fmt.Sprint("s", 49-i), "c")
		}
		time.Sleep(3 * time.Second)
		for i := range 50 {
			if got := w.has(fmt.Sprint("s", i)); got != "b" {
				t.Errorf("Redis has s%d on %q", i, got)
			}
		}
	})
}

// A session that is forgotten before Redis has heard of it is not told.
func TestTheForgottenAreNotTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s := open()
		s.dirty.put(id("s"), change{to: "a"})
		if err := s.Forget(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		s.mend()
		time.Sleep(time.Second)
		if got := w.has("s"); got != "" {
			t.Errorf("Redis has it on %q", got)
		}
	})
}

// A use that Redis could not be told of binds nothing later.
func TestAUseThatWasNotHeardBindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newInstant(time.Minute, 10)
		defer s.end()
		s.redis = deafInstant{r}
		if got := lookup(t, s, "s"); got != "a" {
			t.Fatalf("bound to %q", got)
		}
		if n := s.dirty.len.Load(); n != 0 {
			t.Errorf("%d changes to tell", n)
		}
	})
}

// deafInstant answers, and hears nothing else.
type deafInstant struct{ *instant }

func (deafInstant) assignLater(_ string, _ assignment, done func(string, time.Duration, error)) {
	done("", 0, errLost)
}

// One failure is enough to be told again, by itself.
func TestOneFailureIsMended(t *testing.T) {
	inBubble(t, func(t *testing.T, m *miniredis.Miniredis, s *Store) {
		m.SetError("BUSY")
		s.Seen("s", "a")
		synctest.Wait()
		m.SetError("")
		time.Sleep(2 * time.Second)
		m.SetError("BUSY")
		bind(t, s, "t", "", "a")
		m.SetError("")
		time.Sleep(2 * time.Second)
		if n := len(m.Keys()); n != 2 {
			t.Errorf("%d keys", n)
		}
	})
}

// What was on its way when something was decided does not undo it.
func TestAnAnswerFromBeforeDecidesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s, k := open(), id("s")
		bind(t, s, "s", "", "a")
		o := s.call(k)
		if got, moved := s.decide(k, "a", "b"); got != "b" || !moved {
			t.Errorf("moved to %q", got)
		}
		s.learn(o, fact{backend: "a", tracked: true})
		s.calls.remove(o)
		if got := lookup(t, s, "s"); got != "b" {
			t.Errorf("moved to b and found on %q", got)
		}
	})
}

// What was decided while Redis was being told of something else is told, too.
func TestWhatIsDecidedMeanwhileIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, open func(...func(*Config)) *Store) {
		s, k := open(), id("s")
		bind(t, s, "s", "", "a")
		s.dirty.put(k, change{base: "a", to: "b", used: s.now()})
		first, _ := s.dirty.find(k)
		s.dirty.put(k, change{base: "b", to: "c", used: s.now()})
		if got, err := s.replay(t.Context(), k, first); got != "b" || err != nil {
			t.Errorf("told of %q, %v", got, err)
		}
		s.mend()
		time.Sleep(time.Second)
		if got := w.has("s"); got != "c" {
			t.Errorf("Redis has %q", got)
		}
	})
}
