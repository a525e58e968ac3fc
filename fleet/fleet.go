package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// lookEvery is the time between two looks at what has happened.
const lookEvery = 50 * time.Millisecond

// Fleet learns from other balancers of the same pool which backends are bad, and tells them. See the
// package's comment for what it believes.
type Fleet struct {
	cfg      Config
	open     func(Config) (bus, error)
	records  atomic.Pointer[map[string]*record] // by ID, never changed
	slow     atomic.Int64                       // from where on a success is slow
	running  atomic.Bool
	overflow atomic.Uint64 // messages that came faster than they were looked at

	// mu is not held while anything waits for Redis, and the request path does not take it.
	mu            sync.Mutex
	snap          *lb.Snapshot // that the records were made for
	bus           bus          // while it runs
	peers         peers
	out           outbox
	sent          uint64
	commands      uint64 // of earlier runs
	ejections     uint64
	disagreements uint64
}

// New returns a Fleet that has yet to Run, or an error that names every field that is wrong. It does
// not connect to Redis.
func New(cfg Config) (*Fleet, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	f := &Fleet{cfg: cfg, open: openRedis}
	f.peers = peers{codec: newCodec(cfg.Secret, cfg.Name), all: make(map[instance]*peer)}
	rand.Read(f.peers.me[:])
	f.records.Store(new(map[string]*record))
	f.slow.Store(int64(maxLatency))
	f.renewLocked(cfg.Pool.Snapshot())
	return f, nil
}

// Observer returns what to put into lb.Config.Observers. Several balancers of the pool may share it.
// A result costs some atomic additions.
func (f *Fleet) Observer() lb.Observer { return lb.Observer{Attempt: f.attempt, Change: f.change} }

// attempt counts one result. It is on the request path.
func (f *Fleet) attempt(res lb.Result) {
	if res.Outcome == lb.Neutral {
		return
	}
	r := (*f.records.Load())[res.Backend.ID()]
	if r == nil {
		return
	}
	failed := res.Outcome == lb.Failure || f.cfg.Slow > 0 && res.Latency > f.cfg.Slow
	r.add(failed, res.Latency, time.Duration(f.slow.Load()))
}

// change counts breakers that are not closed.
func (f *Fleet) change(c lb.Change) {
	before, after := c.BreakerBefore != lb.Closed, c.BreakerAfter != lb.Closed && !c.Removed
	if before == after {
		return
	}
	r := f.meet(c.Backend.ID())
	switch {
	case r == nil:
	case after:
		r.tripping.Add(1)
	default:
		r.tripping.Add(-1)
	}
}

// meet returns the record of a backend, if need be a new one, or nil if it is not in the pool.
func (f *Fleet) meet(id string) *record {
	for {
		old := f.records.Load()
		if r := (*old)[id]; r != nil {
			return r
		}
		snap := f.cfg.Pool.Snapshot()
		if snap.Find(id) == nil {
			return nil
		}
		next := renewed(*old, snap)
		f.records.CompareAndSwap(old, &next)
	}
}

// renewLocked makes the records those of the backends in snap.
func (f *Fleet) renewLocked(snap *lb.Snapshot) {
	for snap != f.snap {
		old := f.records.Load()
		next := renewed(*old, snap)
		if f.records.CompareAndSwap(old, &next) {
			f.snap = snap
		}
	}
}

func renewed(old map[string]*record, snap *lb.Snapshot) map[string]*record {
	next := make(map[string]*record, snap.Len())
	for i := range snap.Len() {
		id := snap.At(i).ID()
		if next[id] = old[id]; next[id] == nil {
			next[id] = new(record)
		}
	}
	return next
}

// parcel is a message that has come.
type parcel struct {
	message string
	kept    bool
}

// queued is how many messages may wait to be looked at.
const queued = 1024

// Run listens to the others and tells them what is seen here, until ctx is done. Then it lets back
// what it has ejected, tells the others that it has nothing more to say, and closes its connection,
// which takes up to two seconds if Redis does not answer. That Redis is away is no error: this
// instance goes on alone. It returns an error only if it is running already.
func (f *Fleet) Run(ctx context.Context) error {
	if !f.running.CompareAndSwap(false, true) {
		return errors.New("fleet: it is running already")
	}
	defer f.running.Store(false)
	b, err := f.open(f.cfg)
	if err != nil {
		return err
	}
	f.setBus(b)
	defer f.stop(b)
	inbox, again := make(chan parcel, queued), make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_ = b.listen(ctx, func(message string) {
			select {
			case inbox <- parcel{message: message}:
			default:
				f.overflow.Add(1)
			}
		})
	})
	wg.Go(func() { f.recall(ctx, b, inbox, again) })
	f.work(ctx, b, inbox, again)
	return nil
}

func (f *Fleet) setBus(b bus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bus = b
}

// work does what is due until ctx is done.
func (f *Fleet) work(ctx context.Context, b bus, inbox <-chan parcel, again chan<- struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	wasDown := false
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-inbox:
			f.receive(p)
		case <-tick.C:
			f.look(b, time.Now())
			_, down := b.stats()
			if wasDown && !down {
				select {
				case again <- struct{}{}:
				default:
				}
			}
			wasDown = down
		}
	}
}

func (f *Fleet) receive(p parcel) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peers.receive(p.message, p.kept, time.Now(), f.known(f.cfg.Pool.Snapshot()))
}

// recallEvery is how often kept messages are read, which only finds those that nobody keeps fresh.
const recallEvery = 30 * time.Second

// recall reads what others have left in Redis, at once and whenever again says so.
func (f *Fleet) recall(ctx context.Context, b bus, inbox chan<- parcel, again <-chan struct{}) {
	for ctx.Err() == nil {
		wait := recallEvery
		kept, err := b.kept(ctx)
		if err != nil {
			wait = time.Second
		}
		for _, message := range kept {
			select {
			case inbox <- parcel{message: message, kept: true}:
			case <-ctx.Done():
			}
		}
		f.tidy(kept, time.Now())
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-again:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// stop lets all back and says good-bye.
func (f *Fleet) stop(b bus) {
	f.mu.Lock()
	for id, r := range *f.records.Load() {
		f.releaseLocked(id, r, time.Now(), "fleet: it has stopped")
		r.tried = time.Time{}
	}
	m := f.out.pack(nil, f.peers.me, time.Now())
	message := string(f.peers.codec.seal(m, time.Now()))
	f.bus = nil
	f.peers.all = make(map[instance]*peer)
	stale := []string{f.peers.me.String()}
	f.mu.Unlock()
	b.send(f.peers.me, message, false, stale)
	b.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	commands, _ := b.stats()
	f.commands += commands
}
