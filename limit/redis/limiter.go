package redis

import (
	"crypto/rand"
	"hash/maphash"
	random "math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// Limiter is one instance's part of a limit that many share. Its methods may be called by many
// goroutines at once.
type Limiter struct {
	cfg     Config
	trusted clientip.Proxies
	keys    keys
	id      string // of this instance
	redis   asker
	conn    *redisconn.Conn
	began   time.Time

	terms atomic.Pointer[terms]
	seed  maphash.Seed // so that nobody can choose addresses that share a shard
	shard []shard

	beat  atomic.Int64 // when the next is due, since began
	beats atomic.Uint64
}

// asker is what is needed of a redisconn.Conn.
type asker interface {
	Later(s redisconn.Script, keys, args []string, done func([]string, error))
}

const (
	beatGap = 5 * time.Second // between the signs of life of an instance that has requests
	beatTTL = 3 * beatGap     // after which it is not counted
)

func newLimiter(cfg Config, trusted clientip.Proxies, conn asker) *Limiter {
	l := &Limiter{
		cfg: cfg, trusted: trusted, keys: newKeys(cfg), id: rand.Text(), redis: conn, began: time.Now(),
		seed:  maphash.MakeSeed(),
		shard: make([]shard, min(max(cfg.Limit.MaxClients/256, 1), 64)),
	}
	for i := range l.shard {
		l.shard[i].limit = cfg.Limit.MaxClients / len(l.shard)
		l.shard[i].at = make(map[name]int32)
	}
	first := newTerms(cfg, 1)
	l.terms.Store(&first)
	return l
}

// Wrap returns a handler that passes requests on to next within the limit, and answers others with
// 429 and Retry-After, after which one request of that client passes as far as is known here. No
// request waits for Redis. For a client that is known, a request that passes costs no allocation
// unless Redis is asked with it; the number of clients and of instances makes no difference.
func (l *Limiter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wait := l.take(l.client(r), time.Since(l.began))
		if wait == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if l.cfg.Limit.OnLimited != nil {
			l.cfg.Limit.OnLimited(r)
		}
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
	})
}

// Close waits until Redis has answered what it was asked, for two seconds at most, and closes the
// connection, but for Config.Client. Requests from now on have this instance's share.
func (l *Limiter) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

func (l *Limiter) client(r *http.Request) name {
	if l.cfg.Everybody {
		return name{kind: everybody}
	}
	return nameOf(l.trusted.Client(clientip.Peer(r), r.Header))
}

// take counts a request. It returns 0 if that is within the limit, else the seconds until one will be.
func (l *Limiter) take(n name, now time.Duration) (wait int) {
	if due := l.beat.Load(); int64(now) >= due && l.beat.CompareAndSwap(due, int64(now+beatGap)) {
		l.tell()
	}
	s, t := l.of(n), l.terms.Load()
	v, long, q, due := s.take(n, now, t)
	if due {
		l.ask(s, n, t, q)
	}
	if v != refused {
		return 0
	}
	return max(1, int((long+time.Second-1)/time.Second))
}

func (l *Limiter) of(n name) *shard {
	return &l.shard[maphash.Comparable(l.seed, n)%uint64(len(l.shard))]
}

// ask sends a question about a client. It waits for nothing.
func (l *Limiter) ask(s *shard, n name, t *terms, q ask) {
	l.redis.Later(leaseScript, []string{l.keys.client(n)}, leaseArgs(*t, q), func(reply []string, err error) {
		s.answer(n, time.Since(l.began), t, q, reply, err, random.Float64())
	})
}

// tell sends a sign of life, and learns how many instances there are.
func (l *Limiter) tell() {
	l.beats.Add(1)
	args := []string{l.id, strconv.FormatInt(beatTTL.Milliseconds(), 10)}
	l.redis.Later(beatScript, []string{l.keys.instances()}, args, func(reply []string, err error) {
		if err != nil {
			return // as many as were there last
		}
		if n, err := parseBeat(reply); err == nil && n != l.terms.Load().instances {
			t := newTerms(l.cfg, n)
			l.terms.Store(&t)
		}
	})
}
