package picker

import "slices"

// spare is whose turn it is when it is one of the rests'.
const spare = -1

// class is the members of a cycle that have the same number of turns in it.
type class struct {
	turns   int64 // of each
	members []int // in ascending order
	served  int64 // turns that all of them have had
	next    int   // who has the next one, as an index of members
}

// interleave lays a cycle of turns out as nginx does it: in each turn every member earns as many
// credits as it has turns in the cycle, and the richest, of equals the first from the given one on,
// gets the turn and pays as many as the cycle is long. After a cycle all are where they began. The richest of n has
// at least the mean, cycle/n, before it pays: so since the cycle's start nobody is ever more than
// 1-1/n turns ahead of its share. What the members leave of the cycle are spare turns, which are
// laid out as those of one more member.
//
// Of members with equally many turns the one is richest that has waited longest. So a turn costs
// the number of classes, which a cycle of c turns has at most sqrt(2c) of.
func interleave(turns []int, cycle, from int) []int32 {
	if cycle == len(turns) && !slices.ContainsFunc(turns, func(n int) bool { return n != 1 }) {
		return byTurns(cycle, from)
	}
	classes, order := classify(slices.Concat(turns[from:], turns[:from]), cycle), make([]int32, cycle)
	for t := range order {
		richest, most := 0, int64(0)
		for i := range classes {
			c := &classes[i]
			credit := c.turns*int64(t+1) - int64(cycle)*c.served
			if i == 0 || credit > most || credit == most && c.first() < classes[richest].first() {
				richest, most = i, credit
			}
		}
		order[t] = spare
		if i := classes[richest].serve(); i < len(turns) {
			order[t] = int32((i + from) % len(turns))
		}
	}
	return order
}

// byTurns is the cycle in which each of n has one turn.
func byTurns(n, from int) []int32 {
	order := make([]int32, n)
	for t := range order {
		order[t] = int32((from + t) % n)
	}
	return order
}

// classify groups members that have turns by how many they have. The spare turns belong to one
// more member, behind the others.
func classify(turns []int, cycle int) []class {
	counts, left := make(map[int]int), cycle
	for _, n := range turns {
		counts[n]++
		left -= n
	}
	counts[left]++
	delete(counts, 0)
	var classes []class
	index := make(map[int]int, len(counts))
	join := func(member, n int) {
		if n == 0 {
			return
		}
		i, ok := index[n]
		if !ok {
			i = len(classes)
			index[n] = i
			classes = append(classes, class{turns: int64(n), members: make([]int, 0, counts[n])})
		}
		classes[i].members = append(classes[i].members, member)
	}
	for i, n := range turns {
		join(i, n)
	}
	join(len(turns), left)
	return classes
}

func (c *class) first() int { return c.members[c.next] }

// serve gives the class a turn and returns who gets it.
func (c *class) serve() int {
	member := c.first()
	if c.next++; c.next == len(c.members) {
		c.next = 0
		c.served++
	}
	return member
}
