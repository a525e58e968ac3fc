package redistest

import (
	"net"
	"sync"
	"time"
)

// link is one connection through a proxy.
type link struct {
	proxy  *Proxy
	client net.Conn

	mu    sync.Mutex
	redis net.Conn // nil until it is dialled
	gone  bool
}

// piece is what was read at once, and when.
type piece struct {
	data []byte
	at   time.Time
}

// run passes data on in both directions until one side ends.
func (l *link) run() {
	defer l.forget()
	redis, err := net.DialTimeout("tcp", l.proxy.to, doTime)
	if err != nil || !l.join(redis) {
		l.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(l.client, redis) })
	both.Go(func() { l.pass(redis, l.client) })
	both.Wait()
}

func (l *link) join(redis net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		redis.Close()
		return false
	}
	l.redis = redis
	return true
}

func (l *link) forget() {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.links, l)
}

// reset ends both sides, the client's by a reset.
func (l *link) reset() {
	if tcp, ok := l.client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	l.close()
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	l.client.Close()
	if l.redis != nil {
		l.redis.Close()
	}
}

// pass reads ahead, so that latency does not bound how much passes: at most 1,024 pieces wait.
func (l *link) pass(from, to net.Conn) {
	pieces := make(chan piece, 1024)
	var writer sync.WaitGroup
	writer.Go(func() {
		for p := range pieces {
			l.proxy.hold(p.at)
			if _, err := to.Write(p.data); err != nil {
				l.close()
			}
		}
	})
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		if n > 0 {
			pieces <- piece{buf[:n], time.Now()}
		}
		if err != nil {
			break
		}
	}
	close(pieces)
	writer.Wait()
	l.close()
}

// hold waits until what was read at that time may pass.
func (p *Proxy) hold(at time.Time) {
	for {
		p.mu.Lock()
		changed, blackhole, wait := p.changed, p.blackhole, p.latency-time.Since(at)
		p.mu.Unlock()
		if !blackhole && wait <= 0 {
			return
		}
		if blackhole {
			<-changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}
