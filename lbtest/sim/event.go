package sim

import "math"

// kind says what an event is.
type kind uint8

const (
	arrival  kind = iota // a client's next request; ref: client
	reach                // an attempt comes to its backend; ref: attempt
	settled              // a fault has taken its time; ref: attempt
	answer               // an attempt's answer is back; ref: attempt
	deadline             // a request's time is up; ref: request
	expiry               // an attempt's time is up; ref: attempt
	retry                // a request is tried again; ref: request
	hedge                // an attempt gets a second one beside it; ref: attempt
	probed               // a probe's answer is back; ref: probe
	poll                 // a client asks all backends; ref: client
	edit                 // the world changes; ref: index of Config.Changes
	notice               // a client learns of it; ref: client
	swap                 // antagonists move
	window               // a part of the series ends
	measure              // what arrives from now on counts
	closing              // what arrives from now on does not
	depart               // a backend is ready with a request; ref: backend. It is in no queue, but due.
)

// event is a thing that will happen. Those at the same time happen in the order in which they were
// planned. One whose gen is not that of what it refers to is about something that has ended.
type event struct {
	at, seq uint64
	ref     int32
	gen     uint32
	kind    kind
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// agenda is a heap of events with four children to a parent, which halves its depth.
type agenda []event

func (h *agenda) push(e event) {
	*h = append(*h, e)
	q := *h
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
}

// pop removes the first event of a heap that is not empty.
func (h *agenda) pop() event {
	q := *h
	first, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	i := 0
	for {
		child := 4*i + 1
		if child >= len(q) {
			break
		}
		for c := child + 1; c < min(4*i+5, len(q)); c++ {
			if q[c].before(&q[child]) {
				child = c
			}
		}
		if !q[child].before(&last) {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = last
	}
	return first
}

// lane is a queue for events that are planned in the order in which they happen, because all lie
// equally far ahead: deadlines, mostly. It costs less than a heap, and keeps the heap small.
type lane struct {
	ring        []event // its length is a power of two
	first, size int
}

func (l *lane) push(e event) {
	if l.size == len(l.ring) {
		grown := make([]event, max(64, 2*len(l.ring)))
		n := copy(grown, l.ring[l.first:])
		copy(grown[n:], l.ring[:l.first])
		l.ring, l.first = grown, 0
	}
	l.ring[(l.first+l.size)&(len(l.ring)-1)] = e
	l.size++
}

func (l *lane) head() *event { return &l.ring[l.first] }

func (l *lane) pop() event {
	e := l.ring[l.first]
	l.first = (l.first + 1) & (len(l.ring) - 1)
	l.size--
	return e
}

// never is later than any event.
const never = math.MaxUint64

// due says when each backend will be ready with its next request: a heap of all backends, in which
// each knows its place, so that its time can be moved.
type due struct {
	at    []uint64 // by backend
	heap  []int32
	place []int32 // by backend
}

func newDue(n int) due {
	d := due{at: make([]uint64, n), heap: make([]int32, n), place: make([]int32, n)}
	for i := range d.at {
		d.at[i], d.heap[i], d.place[i] = never, int32(i), int32(i)
	}
	return d
}

// first returns the backend that is ready first, and when.
func (d *due) first() (backend int32, at uint64) { return d.heap[0], d.at[d.heap[0]] }

// set moves a backend's time.
func (d *due) set(backend int32, at uint64) {
	old := d.at[backend]
	if at == old {
		return
	}
	d.at[backend] = at
	i := int(d.place[backend])
	if at < old {
		d.up(i)
	} else {
		d.down(i)
	}
}

func (d *due) up(i int) {
	b := d.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if d.at[b] >= d.at[d.heap[parent]] {
			break
		}
		d.put(i, d.heap[parent])
		i = parent
	}
	d.put(i, b)
}

func (d *due) down(i int) {
	b := d.heap[i]
	for {
		child := 4*i + 1
		if child >= len(d.heap) {
			break
		}
		for c := child + 1; c < min(4*i+5, len(d.heap)); c++ {
			if d.at[d.heap[c]] < d.at[d.heap[child]] {
				child = c
			}
		}
		if d.at[d.heap[child]] >= d.at[b] {
			break
		}
		d.put(i, d.heap[child])
		i = child
	}
	d.put(i, b)
}

func (d *due) put(i int, backend int32) {
	d.heap[i] = backend
	d.place[backend] = int32(i)
}
