package picker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

const (
	maxProbes = 16 // probes for a pick, and probes removed by one
	maxPool   = 64
	// pooled is the number of backends from which on there is a pool. A pool of half of fewer ones
	// would hardly be a choice, and three probes for a pick tell of most of them anyway.
	pooled = 8
)

// PrequalConfig is what a Prequal does, and how it asks. The zero value is as in the paper, and asks
// by HTTP what package loadreport answers.
type PrequalConfig struct {
	// Ask sends a probe to a backend by other means than Run's, such as an RPC; Answer is called with
	// what comes of it. Pick calls it, so it must not block. Nil means that Run asks by HTTP.
	Ask func(*lb.Backend)

	// Quantile says who is hot: a backend with more requests in flight than that share, 0 to 1, of the
	// latest 128 answers. Near 0 requests in flight alone decide, and the larger it is the more the
	// latency does. Zero means 2^-0.25, about 0.84; the paper recommends 0.6 to 0.9, for backends that can
	// borrow several times what they need. Where they cannot, queues grow, and with them what counts as
	// normal: there 0.3 is far better, and hardly worse elsewhere (docs/policies.md). One and above would
	// go by latency alone, and is an error: what has ended on a backend that stalls is what was short,
	// so it looks fast while it drowns. At 0.99 little is left of what prevents that.
	Quantile float64
	// Probes is how many backends are asked for each pick, up to 16. It need not be whole: the mean is
	// exact. Zero means 3. Below about one, what is known gets old and the tail grows.
	Probes float64
	// Remove is how many answers are dropped after each pick, up to 16, the oldest and the worst by
	// turns. It need not be whole. Zero means 1, negative none.
	Remove float64
	// PoolSize is how many answers are kept, up to 64, and never more than half the number of
	// backends. Zero means 16.
	PoolSize int
	// MaxAge is how long an answer is of use. Zero means 1s.
	MaxAge time.Duration
	// Delta is how fast the pool grows while picks use it up, in the formula for how often an answer
	// may be used. Zero means 1.
	Delta float64

	// Path is where Run asks, below a backend's URL. Empty means "/.well-known/load".
	Path string
	// Timeout bounds one probe of Run. Zero means 250ms, or MaxAge if that is less.
	Timeout time.Duration
	// Parallel bounds the probes that Run has under way at a time. Zero means 16.
	Parallel int
	// Retry is how often a backend that does not answer probes is asked again, give or take a fifth.
	// Zero means 10s.
	Retry time.Duration
	// Transport sends the probes of Run. Nil means a transport of its own.
	Transport http.RoundTripper
}

// Prequal picks by what backends themselves say of their load: the policy that Wydrowski, Kleinberg,
// Rumble and Archer describe in "Load is not what you should balance: introducing Prequal" (NSDI
// 2024). Each pick has some backends asked, drawn anew, how many requests they have in flight, from
// whatever client, and how long one takes now. A pool keeps the latest answers. A pick takes the best
// in it: backends with few in flight, as the latest answers have it, before those with many, which are
// hot; of the first the one with the lowest latency; if all are hot, the one with the pooled in flight.
// Picks never wait for an answer.
//
//	prequal := lb.Must(picker.NewPrequal(picker.PrequalConfig{}))
//	balancer := lb.Must(lb.New(lb.Config{Pool: pool, Policy: prequal.Policy}))
//	go lb.Run(ctx, prequal)
//
// It is made for many balancers before many backends, where what one balancer sees tells little:
// there it holds the tail of the latency down while some backends have far less capacity than
// others. One balancer, or a few, see enough themselves: PowerOfTwo and PeakEWMA are as good there, and
// cost less. Answers are counted as used with each pick, thrown out when they are used up, old or the
// worst, and the pick itself is added to the requests in flight. With fewer than eight backends there
// is no pool: two are drawn, and the one with fewer in flight is taken.
//
// Requests in flight and latency are taken by effective weight: a backend of twice the weight is as hot
// with twice as many. To fail fast is not to be fast: failures that this balancer sees make a backend
// dearer, as in PeakEWMA, and put one that fails more than half of them behind all others.
//
// While Run is not running, and for backends that have never answered a probe, or now answer without a
// report, what the balancer sees itself stands in for an answer: its own requests in flight, and its
// own latency. Such backends should be all or none, since what one balancer sees is less than what a
// backend does. One that has answered and falls silent is left alone.
//
// One Prequal is for one balancer. Its methods may be called by any number of goroutines. They, and
// picks, share a mutex that each holds for some hundred nanoseconds; a pick costs the same for any
// number of backends, and allocates nothing.
type Prequal struct {
	cfg   PrequalConfig
	own   *transport.Transport // that Run asks by; nil if it was given another
	queue chan *peer           // to be asked by Run

	mu      sync.Mutex
	running bool
	peers   map[string]*peer // by ID: all backends of the balancer's pool
	pool    []probe          // oldest first
	size    int              // the most probes in pool; 0: there is none
	reuse   float64          // picks for which a probe is good
	recent  recent
	typical float64 // latency of late, in nanoseconds
	probes  rate
	removes rate
	worst   bool  // the next to be removed is the worst, not the oldest
	draws   draws // of the last pick, for what answers need
}

// NewPrequal returns a Prequal, or an error that names every field that is wrong. It starts nothing.
func NewPrequal(cfg PrequalConfig) (*Prequal, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	cfg.Quantile = cmp.Or(cfg.Quantile, math.Pow(2, -0.25))
	cfg.Probes = cmp.Or(cfg.Probes, 3)
	cfg.Remove = max(0, cmp.Or(cfg.Remove, 1))
	cfg.PoolSize = cmp.Or(cfg.PoolSize, 16)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Second)
	cfg.Delta = cmp.Or(cfg.Delta, 1)
	cfg.Path = cmp.Or(cfg.Path, "/.well-known/load")
	cfg.Timeout = cmp.Or(cfg.Timeout, min(cfg.MaxAge, 250*time.Millisecond))
	cfg.Parallel = cmp.Or(cfg.Parallel, 16)
	cfg.Retry = cmp.Or(cfg.Retry, 10*time.Second)
	var own *transport.Transport
	if cfg.Transport == nil {
		own = transport.New(transport.Config{})
		cfg.Transport = own
	}
	return &Prequal{
		cfg: cfg, own: own, queue: make(chan *peer, 256), peers: make(map[string]*peer), pool: make([]probe, 0, cfg.PoolSize+1),
		probes: newRate(cfg.Probes), removes: newRate(cfg.Remove),
	}, nil
}

// faults lists what is wrong with a PrequalConfig, each with its cure.
func (cfg PrequalConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("picker: PrequalConfig."+format, args...))
		}
	}
	add(!(cfg.Quantile >= 0 && cfg.Quantile < 1), "Quantile %v is not between 0 and 1; 1 would go by latency alone, try 0.84", cfg.Quantile)
	add(!(cfg.Probes >= 0 && cfg.Probes <= maxProbes), "Probes %v is not between 0 and %d; zero means 3", cfg.Probes, maxProbes)
	add(!(cfg.Remove <= maxProbes), "Remove %v is not at most %d; zero means 1, negative none", cfg.Remove, maxProbes)
	add(cfg.PoolSize < 0 || cfg.PoolSize > maxPool || cfg.PoolSize == 1, "PoolSize %d is not between 2 and %d; zero means 16", cfg.PoolSize, maxPool)
	add(cfg.MaxAge < 0, "MaxAge %v is negative; zero means 1s", cfg.MaxAge)
	add(!(cfg.Delta >= 0 && cfg.Delta <= 1e6), "Delta %v is not between 0 and a million; zero means 1", cfg.Delta)
	add(cfg.Path != "" && !isPath(cfg.Path), "Path %q is not a path like /.well-known/load", cfg.Path)
	add(cfg.Timeout < 0, "Timeout %v is negative; zero means 250ms", cfg.Timeout)
	add(cfg.Parallel < 0, "Parallel %d is negative; zero means 16", cfg.Parallel)
	add(cfg.Retry < 0, "Retry %v is negative; zero means 10s", cfg.Retry)
	return errs
}

// peer is what a Prequal knows of a backend. Prequal.mu guards it.
type peer struct {
	backend *lb.Backend // as it was last seen eligible, or last seen at all
	scale   float64     // what a request in flight counts for: less, the greater its weight

	report   lb.Report // its last answer
	answered int64     // when that came, in Unix nanoseconds; 0: never
	picked   int64     // picks since then

	asked   int64 // when a probe was first sent that is not answered, in Unix nanoseconds; 0: none is
	mute    bool  // it does not answer probes
	retry   int64 // when a mute one is asked again
	waiting bool  // it is in Run's hands
}

// Policy builds a picker over a set of backends: give it to lb.Config. What is known of backends is the
// Prequal's and stays, however often and in whatever other policy it is called. Inside Prefer or Region
// all groups share one pool of answers, each with eyes for its own.
func (p *Prequal) Policy(set lb.Set) lb.Picker {
	q := &prequal{Prequal: p, members: set.Eligible, peerOf: make([]*peer, len(set.Eligible))}
	known := make(map[string]bool, len(set.Eligible)+len(set.Others))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range set.Others {
		known[b.ID()] = true
	}
	mean := sum(set.Eligible) / float64(len(set.Eligible))
	q.index = make(map[*peer]int, len(set.Eligible))
	for i, c := range set.Eligible {
		known[c.ID()] = true
		e := p.peers[c.ID()]
		if e == nil {
			e = new(peer)
			p.peers[c.ID()] = e
		}
		e.backend, e.scale = c.Backend, mean/c.Weight
		q.peerOf[i], q.index[e] = e, i
		q.most = max(q.most, c.Weight)
	}
	for id := range p.peers {
		if !known[id] {
			p.forgetLocked(id)
		}
	}
	p.resizeLocked(len(set.Eligible))
	for i := range p.pool { // whoever picks next looks for it in its own set
		p.pool[i].owner, p.pool[i].backend = nil, nil
	}
	return q
}

// forgetLocked drops what is known of a backend that has left.
func (p *Prequal) forgetLocked(id string) {
	gone := p.peers[id]
	delete(p.peers, id)
	for i := range p.pool {
		if p.pool[i].peer == gone {
			p.dropLocked(i)
			return // it has one
		}
	}
}

// resizeLocked makes the pool fit for n backends.
func (p *Prequal) resizeLocked(n int) {
	p.size = 0
	if n >= pooled {
		p.size = min(p.cfg.PoolSize, n/2)
	}
	for len(p.pool) > p.size {
		p.dropLocked(0)
	}
	p.reuse = reuse(p.size, n, p.cfg.Probes, p.cfg.Remove, p.cfg.Delta)
}

// reuse returns for how many picks a probe is good, at least one: b_reuse in section 4 of the paper,
// for a pool of m and n backends. Where no more probes come in than are removed it is infinite.
func reuse(m, n int, probes, remove, delta float64) float64 {
	net := (1-float64(m)/float64(n))*probes - remove
	if net <= 0 {
		return math.Inf(1)
	}
	return max(1, (1+delta)/net)
}

// Answer tells what a backend said to a probe, at a time. It uses InFlight and Latency; a latency of
// zero is one that the backend does not know yet. A report with a negative one of them is none, and
// backends that are not in the balancer's pool are passed over.
func (p *Prequal) Answer(b *lb.Backend, r lb.Report, now time.Time) {
	if r.InFlight < 0 || r.Latency < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.peers[b.ID()]
	if e == nil {
		return
	}
	e.report, e.answered, e.picked = r, now.UnixNano(), 0
	e.asked, e.mute = 0, false
	p.addLocked(e, r, e.backend.Load(now).ErrorRate, now)
}
