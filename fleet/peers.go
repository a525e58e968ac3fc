package fleet

import (
	"slices"
	"strings"
	"time"
)

const (
	maxPeers = 1024
	// lifetime is how long a message counts, from when it was sent, if clocks agree, and no longer than
	// that from when it came.
	lifetime = 10 * time.Second
	// ahead is how far a sender's clock may be ahead of ours.
	ahead = 5 * time.Second
	// memory is how long the last sequence of an instance is remembered. A message that is older can
	// come from nobody who has been forgotten.
	memory = lifetime + ahead + time.Second
)

// What is taken in a second: of all, and of one instance. Of the former a core has done with a tenth
// of its time.
const (
	mostBytes    = 8 << 20
	mostMessages = 4000
	mostOfOne    = 20
)

// peer is another instance.
type peer struct {
	sequence uint64
	heard    time.Time
	until    time.Time // what it said last counts until then
	lines    []line    // about backends of the pool
	against  int       // of these
	rate     meter
}

// peers are all others. It belongs to whoever holds Fleet.mu.
type peers struct {
	me      instance
	codec   *codec
	all     map[instance]*peer
	bytes   meter
	number  meter
	dropped [faults]uint64
	taken   uint64
}

// meter is a token bucket that is full after a second.
type meter struct {
	spent float64
	at    time.Time
}

// take spends n of so many a second, if they are there.
func (m *meter) take(n, most float64, now time.Time) bool {
	m.spent = max(0, m.spent-most*now.Sub(m.at).Seconds())
	m.at = now
	if m.spent+n > most {
		return false
	}
	m.spent += n
	return true
}

// receive takes a message in, or says why not. Known returns a backend's ID as the pool has it, or "".
// One that was kept in Redis may well be known already.
func (p *peers) receive(s string, kept bool, now time.Time, known func(string) string) fault {
	f := p.admit(s, now, known)
	switch {
	case f == fine:
		p.taken++
	case !kept || f != ours && f != tooOld && f != replayed:
		p.dropped[f]++
	}
	return f
}

func (p *peers) admit(s string, now time.Time, known func(string) string) fault {
	switch {
	case len(s) < headLen+codeLen || len(s) > maxMessage:
		return wrongSize
	case s[0] == version && sender(s) == p.me:
		return ours
	case !p.number.take(1, mostMessages, now) || !p.bytes.take(float64(len(s)), mostBytes, now):
		return flooding
	}
	m, f := p.codec.open(s, now)
	if f != fine {
		return f
	}
	age := time.Duration(now.UnixMilli()-m.at) * time.Millisecond
	switch {
	case now.UnixMilli()-m.at > lifetime.Milliseconds():
		return tooOld
	case m.at-now.UnixMilli() > ahead.Milliseconds():
		return tooNew
	}
	from := p.all[m.from]
	switch {
	case from == nil && len(p.all) >= maxPeers:
		return crowded
	case from == nil:
		from = new(peer)
		p.all[m.from] = from
	case m.sequence <= from.sequence:
		return replayed
	case !from.rate.take(1, mostOfOne, now):
		return flooding
	}
	from.sequence, from.heard, from.until = m.sequence, now, now.Add(lifetime-max(0, age))
	from.lines, from.against = m.lines[:0], 0
	for _, l := range m.lines {
		if l.id = known(l.id); l.id == "" {
			continue
		}
		if from.lines = append(from.lines, l); l.standing != in || l.row > 0 {
			from.against++
		}
	}
	return fine
}

// expire lets go of what no longer counts, and of those who have not been heard for long.
func (p *peers) expire(now time.Time) {
	for id, from := range p.all {
		if now.After(from.until) {
			from.lines, from.against = nil, 0
		}
		if now.Sub(from.heard) > memory {
			delete(p.all, id)
		}
	}
}

// present lists those whose word counts, in an order that does not matter.
func (p *peers) present(now time.Time) (ids []instance) {
	for id, from := range p.all {
		if !now.After(from.until) {
			ids = append(ids, id)
		}
	}
	return ids
}

// of returns what the instance says of a backend.
func (p *peer) of(id string) (word, bool) {
	i, ok := slices.BinarySearchFunc(p.lines, id, func(l line, id string) int { return strings.Compare(l.id, id) })
	if !ok {
		return word{}, false
	}
	return p.lines[i].word, true
}
