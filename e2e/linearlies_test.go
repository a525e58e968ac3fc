package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func sorted(ops []porcupine.Operation) []porcupine.Operation {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	return ops
}

// mustFindLies plants a move for no reason at the end of each session's history, and returns how many moves
// there were.
func (r *race) mustFindLies() (moves int) {
	r.t.Helper()
	whole := model()
	whole.Partition = nil
	for _, part := range bySession(r.history.ops) {
		part = sorted(part)
		lie := slices.Clone(part)
		name := bySessionName(part)
		for i, backend := range []string{"b10", "b11"} { // neither has gone, and the session is on the first
			at := int64(1<<60 + 10*i)
			lie = append(lie, porcupine.Operation{Input: deed{session: name, from: at, to: at + 1, ttl: time.Hour}, Output: backend, Call: at, Return: at + 1})
		}
		if porcupine.CheckOperationsTimeout(whole, lie, patience) == porcupine.Ok {
			r.t.Error("a session that moves for no reason passes")
		}
		home := ""
		for _, op := range part {
			if now := op.Output.(string); op.Input.(deed).session != "" && now != home {
				if home != "" {
					moves++
				}
				home = now
			}
		}
	}
	return moves
}

func bySessionName(part []porcupine.Operation) string {
	i := slices.IndexFunc(part, func(op porcupine.Operation) bool { return op.Input.(deed).session != "" })
	return part[i].Input.(deed).session
}

// seq makes a history of deeds one after the other, of which each is a session's move, or, with a "-", a
// backend's end.
func seq(deeds ...string) (ops []porcupine.Operation) {
	for i, d := range deeds {
		session, backend := "s", d
		if d[0] == '-' {
			session, backend = "", d[1:]
		}
		from, to := int64(10*i), int64(10*i+5)
		ops = append(ops, porcupine.Operation{Input: deed{session: session, from: from, to: to, ttl: 100}, Output: backend, Call: from, Return: to})
	}
	return ops
}

// The checker takes what is right and finds what is wrong.
func TestTheLawIsChecked(t *testing.T) {
	for _, right := range [][]string{
		{"a", "a", "a"}, {"a", "-a", "b", "b"}, {"a", "-b", "a"}, {"a", "-a", "b", "-b", "c", "c"}, {"a", "-a", "-b", "c"},
	} {
		if !porcupine.CheckOperations(model(), seq(right...)) {
			t.Errorf("%v is refused", right)
		}
	}
	for _, wrong := range [][]string{
		{"a", "b"}, {"a", "b", "a"}, {"a", "-a", "b", "a"}, {"a", "-b", "b"}, {"a", "-a", "b", "c"}, {"-a", "a"}, {"a", "b", "-a"},
	} {
		if porcupine.CheckOperations(model(), seq(wrong...)) {
			t.Errorf("%v passes", wrong)
		}
	}
	expired := seq("a", "b")
	expired[1].Input = deed{session: "s", from: 55, to: 56, ttl: 100}
	expired[1].Call, expired[1].Return = 55, 56
	if !porcupine.CheckOperations(model(), expired) {
		t.Error("a move after half of the TTL is refused")
	}
	overlapping := seq("a", "-a", "b")
	overlapping[1].Return = 100 // the move may have come after it
	overlapping[1].Call, overlapping[2].Call = 20, 15
	if !porcupine.CheckOperations(model(), overlapping) {
		t.Error("a move while its backend is being ejected is refused")
	}
}
