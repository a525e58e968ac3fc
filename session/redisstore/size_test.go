package redisstore

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// instant is a Redis that does everything at once and knows every session on "a".
type instant struct {
	s         *Store
	ttl       time.Duration
	prolonged int // sessions whose time was half over
	assigned  int
	until     map[string]time.Time // nil: nothing is kept
}

func (r *instant) get(_ context.Context, key string) (string, bool, error) {
	return r.s.codec.seal(key, "a"), true, nil
}

func (r *instant) assign(_ context.Context, key string, a assignment) (string, time.Duration, error) {
	now := time.Now()
	if r.until != nil && now.Before(r.until[key]) {
		left := r.until[key].Sub(now)
		if 2*left < r.ttl {
			r.prolonged++
			r.until[key], left = now.Add(r.ttl), r.ttl
		}
		return r.s.codec.seal(key, "a"), left, nil
	}
	if r.until != nil {
		r.until[key] = now.Add(r.ttl)
	}
	r.assigned++
	if a.value == "" {
		a.value = r.s.codec.seal(key, "a")
	}
	return a.value, r.ttl, nil
}

func (r *instant) assignLater(key string, a assignment, done func(string, time.Duration, error)) {
	done(r.assign(context.Background(), key, a))
}

func (r *instant) set(context.Context, string, string) error { return nil }

func (r *instant) down() bool { return false }

func newInstant(ttl time.Duration, sessions int) (*Store, *instant) {
	s := newStore(Config{Secret: secret, TTL: ttl, MaxSessions: sessions}.filled())
	r := &instant{s: s, ttl: ttl}
	s.redis = r
	close(s.ready)
	return s, r
}

// names returns names of sessions as cookies have them: 22 characters.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%022d", i)
	}
	return all
}

func TestWhatIsKnownCostsNoAllocation(t *testing.T) {
	s, _ := newInstant(time.Hour, 1000)
	session := names(1)[0]
	lookup(t, s, session)
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Lookup(t.Context(), session) }); n != 0 {
		t.Errorf("Lookup: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Seen(session, "a") }); n != 0 {
		t.Errorf("Seen: %v allocations", n)
	}
	if n := s.count.memory.Load(); n < 1000 {
		t.Errorf("%d found in memory", n)
	}
}

// TestTouchesSecondBySecond is how often Redis is told, by a balancer whose sessions are all in use:
// with LB_FULL=1 a million of them, else ten thousand. They begin evenly within an hour, the TTL, and
// each is used every 6 minutes.
func TestTouchesSecondBySecond(t *testing.T) {
	sessions := 10_000
	if os.Getenv("LB_FULL") == "1" {
		sessions = 1_000_000
	}
	synctest.Test(t, func(t *testing.T) {
		const ttl, gap, hours = time.Hour, 6 * time.Minute, 3
		s, r := newInstant(ttl, 5*sessions/4)
		r.until = make(map[string]time.Time, sessions)
		all := names(sessions)
		perSecond := make([]int, 0, hours*3600)
		uses := 0
		for sec := range hours * 3600 {
			before := r.prolonged + r.assigned
			// Session i begins in second i*3600/sessions, and is used each 360 s from then on.
			for start := sec % 360; start < 3600 && start <= sec; start += 360 {
				for i := start * sessions / 3600; i < (start+1)*sessions/3600; i++ {
					s.Seen(all[i], "a")
					uses++
				}
			}
			perSecond = append(perSecond, r.prolonged+r.assigned-before)
			time.Sleep(time.Second)
		}
		late := perSecond[3600:]
		sum, most := 0, 0
		for _, n := range late {
			sum += n
			most = max(most, n)
		}
		mean := float64(sum) / float64(len(late))
		rate := float64(sessions) / ttl.Seconds()
		t.Logf("%d sessions, TTL %v: %.1f touches a second, at most %d, for %.0f uses a second; the last ten seconds: %v",
			sessions, ttl, mean, most, float64(uses)/float64(len(perSecond)), perSecond[len(perSecond)-10:])
		if mean > 2*rate || float64(most) > 4*rate+2 || mean < rate/2 {
			t.Errorf("%.1f touches a second, at most %d; the bound is %.1f", mean, most, 2*rate)
		}
		if s.known.Stats().Len != sessions {
			t.Errorf("%d sessions are known", s.known.Stats().Len)
		}
	})
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestBytesPerSession is what a session takes in memory.
func TestBytesPerSession(t *testing.T) {
	sessions := 100_000
	if os.Getenv("LB_FULL") == "1" {
		sessions = 1_000_000
	}
	before := heap()
	s, _ := newInstant(time.Hour, sessions)
	for i := range sessions {
		s.Seen(fmt.Sprintf("%022d", i), fmt.Sprint("http://10.0.0.", i%100, ":8080"))
	}
	for i := range sessions { // the small shards that chance made full have evicted by now
		s.Seen(fmt.Sprintf("%022d", sessions+i), "http://10.0.0.1:8080")
	}
	took := float64(heap() - before)
	stats := s.known.Stats()
	t.Logf("%d sessions: %.1f bytes each, %.1f by the estimate", stats.Len, took/float64(stats.Len), float64(stats.Bytes)/float64(stats.Len))
	if per := took / float64(stats.Len); per > 150 {
		t.Errorf("%.1f bytes per session", per)
	}
	if estimate := float64(stats.Bytes); estimate < .8*took || estimate > 1.2*took {
		t.Errorf("estimated %.0f bytes of %.0f", estimate, took)
	}
	runtime.KeepAlive(s)
}

func BenchmarkLookupHit(b *testing.B) {
	for name, sessions := range map[string]int{"1000": 1000, "1000000": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			s, _ := newInstant(time.Hour, 5*sessions/4) // chance fills some shards before others
			all := names(sessions)
			for _, session := range all {
				lookup(b, s, session)
			}
			ctx, i := context.Background(), 0
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Lookup(ctx, all[i])
				if i++; i == sessions { // next to each other here, and anywhere in the store
					i = 0
				}
			}
		})
	}
}

func BenchmarkLookupHitParallel(b *testing.B) {
	const sessions = 100_000
	s, _ := newInstant(time.Hour, 5*sessions/4)
	all := names(sessions)
	for _, session := range all {
		lookup(b, s, session)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, _ = s.Lookup(context.Background(), all[i%sessions])
		}
	})
}

func BenchmarkSeen(b *testing.B) {
	const sessions = 100_000
	s, _ := newInstant(time.Hour, 5*sessions/4)
	all := names(sessions)
	for _, session := range all {
		s.Seen(session, "a")
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		s.Seen(all[i%sessions], "a")
		i++
	}
}

// BenchmarkSeenAtTheBound is a newcomer for whom another session has to go, with what Redis is told.
func BenchmarkSeenAtTheBound(b *testing.B) {
	for name, sessions := range map[string]int{"10000": 10_000, "1000000": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			s, _ := newInstant(time.Hour, sessions)
			n := 0
			next := func() { n++; s.Seen(fmt.Sprintf("%022d", n), "a") }
			for range sessions + sessions/10 {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}
