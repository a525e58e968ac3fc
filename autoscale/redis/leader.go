package redis

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"github.com/go-loadbalancer/lb/autoscale"
	"github.com/go-loadbalancer/lb/internal/redisconn"
)

const (
	maxState   = 1 << 20 // bytes; some thousands of backends
	maxReports = 4096    // instances
	reportAge  = 30      // seconds for which a report counts
)

var (
	read    = redisconn.NewScript(readScript)
	swap    = redisconn.NewScript(swapScript)
	report  = redisconn.NewScript(reportScript)
	reports = redisconn.NewScript(reportsScript)
)

// Leader is an autoscale.Leader in Redis: one for each Scaler. Its methods may be called by
// several goroutines at once.
type Leader struct {
	cfg                     Config
	conn                    *redisconn.Conn
	seal                    seal
	lock, stateKey, listKey string

	mu    sync.Mutex
	last  stored
	stats Stats
}

// stored is the State that was last read or written here, as it stands in Redis.
type stored struct {
	state autoscale.State
	raw   string
}

// New returns a Leader, or an error that names every wrong field. That Redis cannot be reached is
// no error. Call [Leader.Close] when the Scaler has ended.
func New(cfg Config) (*Leader, error) {
	cfg = cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conn, err := redisconn.New(cfg.conn())
	if err != nil {
		return nil, fmt.Errorf("autoscale/redis: %w", err)
	}
	name := cfg.Prefix + "scale:" + cfg.Name
	return &Leader{
		cfg: cfg, conn: conn, seal: newSeal(cfg.Secret),
		lock: name, stateKey: name + ":state", listKey: name + ":reports",
	}, nil
}

// conn is what of it a connection needs.
func (cfg Config) conn() redisconn.Config {
	return redisconn.Config{URL: cfg.URL, TLS: cfg.TLS, Timeout: cfg.Timeout, OnState: cfg.OnState}
}

// Close closes the connections to Redis. Calls from now on return an error.
func (l *Leader) Close() { l.conn.Close() }

// Lead waits for the lock: see autoscale.Leader.
func (l *Leader) Lead(ctx context.Context) (held context.Context, resign func(), err error) {
	locked, release, err := l.conn.Lock(ctx, l.lock, l.cfg.Validity)
	if err != nil {
		return nil, nil, fmt.Errorf("autoscale/redis: %w", err)
	}
	held, cancel := context.WithCancel(locked)
	l.note(func(s *Stats) { s.Leading, s.Terms = 1, s.Terms+1 })
	resigned := make(chan struct{})
	resign = sync.OnceFunc(func() { close(resigned) })
	go func() {
		select {
		case <-resigned:
		case <-locked.Done():
			if ctx.Err() == nil {
				l.note(func(s *Stats) { s.Lost++ })
			}
		}
		l.note(func(s *Stats) { s.Leading = 0 })
		cancel()
		release() // may wait for Redis
	}()
	return held, resign, nil
}

// Read returns the State, and the zero State in place of one that none of ours has written.
func (l *Leader) Read(ctx context.Context) (autoscale.State, error) {
	got, err := l.conn.Eval(ctx, read, []string{l.stateKey}, []string{strconv.Itoa(maxState)})
	if err != nil {
		return autoscale.State{}, l.failed(err)
	}
	var now stored
	if len(got) > 0 {
		now.raw = got[0]
	}
	if now.raw != "" && !l.seal.open(l.stateKey, now.raw, &now.state) {
		now.state = autoscale.State{}
		l.note(func(s *Stats) { s.Rejected++ })
	}
	l.keep(now)
	return now.state, nil
}

// Swap replaces the State if it is the old one: see autoscale.Leader.
func (l *Leader) Swap(ctx context.Context, old, next autoscale.State) (bool, error) {
	expected, err := l.raw(old)
	if err != nil {
		return false, l.failed(err)
	}
	raw, err := l.seal.write(l.stateKey, next)
	if err == nil && len(raw) > maxState {
		err = fmt.Errorf("a State of %d bytes is more than %d", len(raw), maxState)
	}
	if err != nil {
		return false, l.failed(err)
	}
	got, err := l.conn.Eval(ctx, swap, []string{l.stateKey}, []string{strconv.Itoa(maxState), expected, raw})
	if err != nil {
		return false, l.failed(err)
	}
	if len(got) != 1 || got[0] != "1" {
		l.note(func(s *Stats) { s.Conflicts++ })
		return false, nil
	}
	l.keep(stored{state: next, raw: raw})
	return true, nil
}

// raw is how a State stands in Redis: as it was read, whoever wrote it, and though it may be
// nothing that can be believed; else as it would be written.
func (l *Leader) raw(s autoscale.State) (string, error) {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if reflect.DeepEqual(last.state, s) {
		return last.raw, nil
	}
	if s.Revision == 0 {
		return "", nil
	}
	return l.seal.write(l.stateKey, s)
}

// keep notes what stands in Redis.
func (l *Leader) keep(now stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = now
	l.stats.Generation, l.stats.Desired = now.state.Generation, now.state.Desired
}

// Report leaves a Report: see autoscale.Leader.
func (l *Leader) Report(ctx context.Context, instance string, r *autoscale.Report) error {
	value := ""
	if r != nil {
		var err error
		if value, err = l.seal.write(l.listKey+" "+instance, r); err != nil {
			return l.failed(err)
		}
	}
	got, err := l.conn.Eval(ctx, report, []string{l.listKey}, []string{instance, value, strconv.Itoa(2 * reportAge)})
	if err != nil {
		return l.failed(err)
	}
	if len(got) == 1 {
		n, _ := strconv.Atoi(got[0])
		l.note(func(s *Stats) { s.Instances = n })
	}
	return nil
}

// Reports returns those of the last half a minute, by the clock of Redis.
func (l *Leader) Reports(ctx context.Context) (map[string]autoscale.Report, error) {
	got, err := l.conn.Eval(ctx, reports, []string{l.listKey}, []string{strconv.Itoa(reportAge), strconv.Itoa(maxReports)})
	if err == nil && len(got)%2 != 0 {
		err = errors.New("an odd number of fields and values")
	}
	if err != nil {
		return nil, l.failed(err)
	}
	all := make(map[string]autoscale.Report, len(got)/2)
	for i := 0; i < len(got); i += 2 {
		var r autoscale.Report
		if l.seal.open(l.listKey+" "+got[i], got[i+1], &r) {
			all[got[i]] = r
		} else {
			l.note(func(s *Stats) { s.Rejected++ })
		}
	}
	return all, nil
}

// failed counts an error and says whose it is.
func (l *Leader) failed(err error) error {
	l.note(func(s *Stats) { s.Failures++ })
	return fmt.Errorf("autoscale/redis: %w", err)
}

// note changes the stats.
func (l *Leader) note(change func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.stats)
}
