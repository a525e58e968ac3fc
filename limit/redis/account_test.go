package redis

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever happens to an account, it never lets more pass unpaid than its line, gives nothing that is
// overdue, has one question on its way at most, and is never stuck.
func TestAnAccountKeepsItsLine(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		rate := []float64{0.3, 5, 300}[r.IntN(3)]
		tt := newTerms(per(rate, 1+r.IntN(int(4*rate)+2)), 1+r.IntN(6))
		now := time.Duration(0)
		a := openAccount(now, tt)
		var q ask
		for range 2000 {
			now += time.Duration(r.ExpFloat64() * float64([]time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second}[r.IntN(3)]))
			v, due := a.take(now, tt)
			switch {
			case due && a.asking:
				t.Fatalf("seed %d: asks twice", seed)
			case due:
				q = a.ask(now, tt)
			case v == leased && now >= a.ends:
				t.Fatalf("seed %d: a lease of %v ago is used", seed, now-a.ends)
			}
			if a.gone && a.debt > tt.line {
				t.Fatalf("seed %d: %+v in an outage", seed, a)
			}
			if a.asking && r.IntN(4) == 0 {
				switch r.IntN(4) {
				case 0:
					a.fail(now, r.Float64())
				default:
					k := r.Int32N(q.want + 1)
					a.answer(now, tt, q, k, r.Float64()*(tt.burst+tt.over)-tt.over, r.Float64())
				}
			}
			if v == granted && !due && a.debt > tt.line || a.debt < 0 || a.lease < 0 || a.line < 0 || a.line > float64(tt.line) {
				t.Fatalf("seed %d: %+v with a line of %d", seed, a, tt.line)
			}
		}
		if a.asking {
			a.fail(now, 0)
		}
		now += seconds((tt.over+2)/tt.own) + time.Second
		if v, _ := a.take(now, tt); v == refused {
			t.Errorf("seed %d: refused after a long pause: %+v", seed, a)
		}
	}
}

// Unused tokens of a lease are gone after 300 ms, and then pay for others.
func TestALeaseEnds(t *testing.T) {
	tt := newTerms(per(100, 200), 2)
	for _, late := range []time.Duration{valid - 1, valid} {
		a := openAccount(0, tt)
		a.debt, a.line = 40, 0
		q := a.ask(0, tt)
		q.want = 30
		a.answer(time.Millisecond, tt, q, 30, 0, 0)
		a.debt = 20
		if a.grow(late, tt); late < valid && a.lease != 30 || late >= valid && (a.lease != 0 || a.debt != 0) {
			t.Errorf("after %v: %+v", late, a)
		}
	}
}

// Nothing is forgotten that a newcomer would not have, but for debts too small to tell that are old.
func TestWhatMayBeForgotten(t *testing.T) {
	tt := newTerms(per(10, 20), 2) // full after 2 s
	for _, c := range []struct {
		what       string
		idle       time.Duration
		debt       int32
		asking     bool
		free, need bool
	}{
		{"who has just asked", time.Second, 0, false, false, false},
		{"who has been idle", 3 * time.Second, 0, false, true, true},
		{"who owes", 3 * time.Second, 2, false, false, true},
		{"who owes for long", memory, 2, false, true, true},
		{"of whom Redis is asked", 3 * time.Second, 0, true, false, false},
	} {
		a := openAccount(0, tt)
		a.debt, a.asking = c.debt, c.asking
		if free, need := a.forgettable(c.idle, &tt, false), a.forgettable(c.idle, &tt, true); free != c.free || need != c.need {
			t.Errorf("%s: %v, and %v if need be", c.what, free, need)
		}
	}
}

// An answer that comes when its client's account was given to another changes nothing.
func TestAnAnswerForSomebodyElse(t *testing.T) {
	tt := newTerms(per(10, 20), 2)
	s := shard{limit: 1, at: map[name]int32{}}
	s.take(client, 0, &tt)
	before := s.slots[0].account
	s.answer(client, time.Second, &tt, ask{want: 5}, []string{"5", "0"}, nil, 0)
	s.answer(name{9}, time.Second, &tt, ask{want: 5}, []string{"5", "0"}, nil, 0)
	s.answer(client, time.Second, &tt, ask{want: 5}, nil, errReply, 0)
	if s.slots[0].account != before || s.stats.leased+s.stats.failed != 0 {
		t.Errorf("%+v became %+v", before, s.slots[0].account)
	}
}

// Newcomers for whom there is no account share one that is the instance's own: it asks nothing.
func TestNewcomersShareAnAccount(t *testing.T) {
	tt := newTerms(per(10, 20), 2)
	s := shard{limit: 1, at: map[name]int32{}}
	s.take(client, 0, &tt)
	n := 0
	for i := range 1000 {
		v, _, _, due := s.take(name{9, byte(i), byte(i >> 8)}, time.Duration(i)*time.Millisecond, &tt)
		if v != refused {
			n++
		}
		if due || v == granted || v == leased {
			t.Fatal("it asks, or promises to pay")
		}
	}
	if n < 14 || n > 15 {
		t.Errorf("%d requests passed in a second, want the share of Burst and of Rate: 15", n)
	}
}
