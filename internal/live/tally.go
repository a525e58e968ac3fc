package live

// Each request that has entered is waited for until it calls one of Heard and Ignored.
const answer = 1 << 32

// Heard notes that the head of an answer has come to a request that was waited for, which it is no
// longer.
func (l *Load) Heard() { l.ended.Add(answer + 1) }

// HeardMore notes the head of an answer to a request that was ignored before.
func (l *Load) HeardMore() { l.ended.Add(answer) }

// Ignored notes that a request is no longer waited for: it has ended without an answer, or the
// backend may wait for the rest of it.
func (l *Load) Ignored() { l.ended.Add(1) }

// Tally returns how many requests have entered, how many of those are not waited for any more, and
// how many answers have come. They wrap around, so that only differences count; when ended
// does, one answer too many is counted, which is of no consequence. Never
// too many are seen to be waited for, but for those that are being refused at this moment.
func (l *Load) Tally() (entered, ended, answers uint32) {
	places := l.places.Load() // first: requests only move from there to the others
	e := l.ended.Load()
	return begun(places), uint32(e), uint32(e >> 32)
}
