package redistest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a Redis and makes faults. It begins without any. Each fault
// holds until another one or Normal is chosen. All methods may be called by any goroutine.
type Proxy struct {
	t         testing.TB
	to        string
	address   string
	onClose   sync.WaitGroup
	mu        sync.Mutex
	listener  net.Listener   // nil while it refuses
	links     map[*link]bool // open ones
	latency   time.Duration  // each way
	blackhole bool           // nothing passes
	cut       bool           // new connections are reset
	changed   chan struct{}  // closed when any of these changes
	dials     []time.Time
	closed    bool
}

// StartProxy listens until the test ends, and passes connections on to that address.
func StartProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, to: to, links: map[*link]bool{}, changed: make(chan struct{})}
	for range portTries {
		p.address = loopback(freePort(t, false))
		if p.listen() == nil {
			break
		}
	}
	if p.listener == nil {
		t.Fatal("the proxy finds no port")
	}
	t.Cleanup(p.close)
	return p
}

// Address returns host:port for clients. It stays the same for good.
func (p *Proxy) Address() string { return p.address }

// Normal passes all on, at once. What a Blackhole has kept is passed on, too.
func (p *Proxy) Normal() { p.set(0, false, false); p.open() }

// Latency delays all that passes by so much in each direction, and loses nothing.
func (p *Proxy) Latency(each time.Duration) { p.set(each, false, false); p.open() }

// Blackhole keeps all connections, takes new ones, and passes nothing on.
func (p *Proxy) Blackhole() { p.set(0, true, false); p.open() }

// Cut resets all connections, and each new one at once. Dials are counted.
func (p *Proxy) Cut() { p.set(0, false, true); p.open(); p.Reset() }

// Refuse resets all connections, and the system refuses new ones: those are not counted.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	l := p.listener
	p.listener = nil
	p.mu.Unlock()
	if l != nil {
		l.Close()
	}
	p.Reset()
}

// Reset resets the connections that are open now. New ones are as before.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Dials returns how many connections have been taken up to now.
func (p *Proxy) Dials() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.dials)
}

// MostDials returns the largest number of connections taken within any time of that length, since
// a moment.
func (p *Proxy) MostDials(since time.Time, within time.Duration) (most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := 0
	for i, at := range p.dials {
		for first < i && (p.dials[first].Before(since) || at.Sub(p.dials[first]) >= within) {
			first++
		}
		if !at.Before(since) {
			most = max(most, i-first+1)
		}
	}
	return most
}

func (p *Proxy) set(latency time.Duration, blackhole, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency, p.blackhole, p.cut = latency, blackhole, cut
	close(p.changed)
	p.changed = make(chan struct{})
}

// open listens again after Refuse.
func (p *Proxy) open() {
	if err := p.listen(); err != nil {
		p.t.Errorf("the proxy cannot listen again: %v", err)
	}
}

func (p *Proxy) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return nil
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	p.listener = l
	p.onClose.Go(func() { p.accept(l) })
	return nil
}

func (p *Proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.take(conn)
		}
	}
}

// take counts a connection and passes it on.
func (p *Proxy) take(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{proxy: p, client: conn}
	p.dials = append(p.dials, time.Now())
	if p.cut || p.closed || p.listener == nil {
		l.reset()
		return
	}
	p.links[l] = true
	p.onClose.Go(l.run)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Refuse()
	p.set(0, false, true) // nobody waits any more
	p.onClose.Wait()
}
