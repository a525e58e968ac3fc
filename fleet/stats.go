package fleet

import (
	"slices"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Stats is what a Fleet has done and knows. All but Instances, Claims, Ejected and Down are counts
// since New.
type Stats struct {
	Instances     int     // whose word counts now, this one included
	Sent          uint64  // messages handed to Redis
	Received      uint64  // messages taken in
	Dropped       Dropped // messages that were not
	Claims        int     // words of others against backends that count now
	Ejected       int     // backends that are out on the word of the fleet now
	Ejections     uint64  // of these, since New
	Disagreements uint64  // times that a backend was out elsewhere and well here
	Commands      uint64  // sent to Redis, or tried to
	Down          bool    // Redis is believed to be unreachable, or Run is not running
}

// Dropped counts messages by why they were not taken in.
type Dropped struct {
	Size      uint64 // shorter than any message, or longer than 64 KiB
	Version   uint64 // of a version that is not known
	Code      uint64 // not from somebody with the secret, or not for this pool
	Malformed uint64 // sealed well, and yet not to be understood
	Own       uint64 // from this instance itself
	Old       uint64 // more than 10 s, or sent with a clock that is behind
	Future    uint64 // more than 5 s ahead of the clock here
	Replayed  uint64 // not newer than what the instance had said before
	Flood     uint64 // more than is taken in a second, of all or of one instance
	Crowd     uint64 // from one more than 1,024 other instances
}

// Stats returns the counts up to now. It locks for a moment, and costs time in the number of instances.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	d := f.peers.dropped
	s := Stats{
		Instances: 1, Sent: f.sent, Received: f.peers.taken, Ejections: f.ejections, Disagreements: f.disagreements, Down: true,
		Dropped: Dropped{
			Size: d[wrongSize], Version: d[wrongVersion], Code: d[wrongCode], Malformed: d[malformed], Own: d[ours],
			Old: d[tooOld], Future: d[tooNew], Replayed: d[replayed], Flood: d[flooding] + f.overflow.Load(), Crowd: d[crowded],
		},
	}
	for _, id := range f.peers.present(now) {
		s.Instances++
		s.Claims += f.peers.all[id].against
	}
	for _, r := range *f.records.Load() {
		if r.held.why != stays {
			s.Ejected++
		}
	}
	if f.bus != nil {
		s.Commands, s.Down = f.bus.stats()
	}
	s.Commands += f.commands
	return s
}

// Backend is what the fleet has seen of one backend within the last seconds, this instance included.
type Backend struct {
	ID       string
	Ejected  bool          // here, on the word of the fleet
	Out      int           // instances that have it out by what they have seen themselves
	Failing  int           // instances that have it in, and whose last result was a failure
	Well     int           // instances whose last result was a success
	Results  int           // of all instances
	Failures int           // of these
	Latency  time.Duration // mean time until the head of an answer, or an error; 0 without results
	Slowest  time.Duration // the largest mean of one instance
}

// Backends returns what the fleet knows, sorted by ID. It costs the number of backends times that of
// instances.
func (f *Fleet) Backends() []Backend {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	present := f.peers.present(now)
	all := make([]Backend, 0, len(*f.records.Load()))
	for id, r := range *f.records.Load() {
		b := Backend{ID: id, Ejected: r.held.why != stays}
		b.add(r.say(now), now)
		for _, p := range present {
			if w, ok := f.peers.all[p].of(id); ok {
				b.add(w, now)
			}
		}
		if b.Results > 0 {
			b.Latency /= time.Duration(b.Results)
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Backend) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// add takes one instance's word in. Latency is a sum until all have been.
func (b *Backend) add(w word, now time.Time) {
	switch {
	case w.standing.out():
		b.Out++
	case w.row > 0:
		b.Failing++
	case w.well(now):
		b.Well++
	}
	results := min(w.results, 1<<20) // a liar's must not overflow the sum
	b.Results += results
	b.Failures += min(w.failures, results)
	b.Latency += time.Duration(results) * min(w.latency, time.Minute)
	b.Slowest = max(b.Slowest, w.latency)
}

// known returns the ID as the pool has it.
func (f *Fleet) known(snap *lb.Snapshot) func(string) string {
	return func(id string) string {
		if b := snap.Find(id); b != nil {
			return b.ID()
		}
		return ""
	}
}
