package limit

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
)

// Limiter is the limit of one process. Its methods may be called by many goroutines at once.
type Limiter struct {
	trusted   clientip.Proxies
	onLimited func(*http.Request)
	terms     terms
	seed      maphash.Seed // so that nobody can choose addresses that share a shard
	shards    []shard
	spare     spare // of newcomers for whom there is no bucket
}

func newLimiter(cfg Config, trusted clientip.Proxies) *Limiter {
	l := &Limiter{
		trusted:   trusted,
		onLimited: cfg.OnLimited,
		terms:     terms{rate: cfg.Rate, burst: cfg.Burst},
		seed:      maphash.MakeSeed(),
		shards:    make([]shard, min(max(cfg.MaxClients/256, 1), 64)),
	}
	for i := range l.shards {
		l.shards[i].limit = cfg.MaxClients / len(l.shards)
		l.shards[i].clients = make(map[netip.Addr]*client)
	}
	l.spare.bucket = l.terms.bucket()
	return l
}

// Wrap returns a handler that passes requests on to next within the limit, and answers others
// with 429 and Retry-After, after which one request of that client passes. For a client that is
// known, a request that passes costs no allocation; the number of clients makes no difference.
func (l *Limiter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := l.trusted.Client(clientip.Peer(r), r.Header)
		wait := l.take(clientip.Subscriber(addr), time.Now())
		if wait == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if l.onLimited != nil {
			l.onLimited(r)
		}
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
	})
}

// Clients returns how many clients have a bucket of their own: at most Config.MaxClients, and
// mostly those whose bucket is not full. It costs the same whatever their number.
func (l *Limiter) Clients() (n int) {
	for i := range l.shards {
		n += l.shards[i].len()
	}
	return n
}

// take counts a request. It returns 0 if that is within the limit, else the seconds until one
// will be.
func (l *Limiter) take(addr netip.Addr, now time.Time) (wait int) {
	wait, ok := l.shard(addr).take(addr, now, l.terms)
	if !ok {
		return l.spare.take(now, l.terms)
	}
	return wait
}

func (l *Limiter) shard(addr netip.Addr) *shard {
	b := addr.As16()
	return &l.shards[maphash.Bytes(l.seed, b[:])%uint64(len(l.shards))]
}
