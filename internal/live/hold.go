package live

import (
	"io"
	"sync"
)

// held is what does not end by itself: tunnels and streams.
type held struct {
	mu   sync.Mutex
	open map[io.Closer]struct{}
	cut  bool
}

// Hold has Cut close c, which must not block and must bear being closed at any time. After Cut it is
// closed at once. Of each Hold there is one Release.
func (l *Load) Hold(c io.Closer) {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	if l.held.cut {
		c.Close()
		return
	}
	if l.held.open == nil {
		l.held.open = make(map[io.Closer]struct{})
	}
	l.held.open[c] = struct{}{}
}

// Release says that c has ended.
func (l *Load) Release(c io.Closer) {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	delete(l.held.open, c)
}

// Cut closes all that is held, for a backend that has left its pool for good.
func (l *Load) Cut() {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	l.held.cut = true
	for c := range l.held.open {
		c.Close()
	}
}
