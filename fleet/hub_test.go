package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// hub is what Redis is for a fleet, without one.
type hub struct {
	mu      sync.Mutex
	down    bool
	members map[*wire]func(string)
	kept    map[string]string
	sent    int
}

func newHub() *hub { return &hub{members: map[*wire]func(string){}, kept: map[string]string{}} }

func (h *hub) set(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down = down; down {
		clear(h.kept)
	}
}

// wire is one instance's end.
type wire struct{ hub *hub }

func (w *wire) send(from instance, message string, keep bool, stale []string) {
	time.AfterFunc(time.Millisecond, func() { w.hub.publish(from, message, keep, stale) })
}

func (h *hub) publish(from instance, message string, keep bool, stale []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return
	}
	h.sent++
	for _, s := range stale {
		delete(h.kept, s)
	}
	if keep {
		h.kept[from.String()] = message
	}
	for _, got := range h.members {
		got(message)
	}
}

func (w *wire) listen(ctx context.Context, got func(string)) error {
	w.hub.mu.Lock()
	w.hub.members[w] = got
	w.hub.mu.Unlock()
	<-ctx.Done()
	w.hub.mu.Lock()
	delete(w.hub.members, w)
	w.hub.mu.Unlock()
	return nil
}

func (w *wire) kept(context.Context) (map[string]string, error) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.hub.down {
		return nil, errors.New("down")
	}
	kept := map[string]string{}
	for k, v := range w.hub.kept {
		kept[k] = v
	}
	return kept, nil
}

func (w *wire) stats() (uint64, bool) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	return 0, w.hub.down
}

func (w *wire) close() {}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
