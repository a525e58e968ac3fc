package metrics

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxReaders   = 32              // of streams at a time
	writeTimeout = 5 * time.Second // for one frame to one reader
	streamPeriod = time.Second
)

// Run asks the source once a second how things stand, so that changes are noticed without
// requests, and sends a Report to all streams. It is an lb.Runner: when ctx is done, it ends all
// streams and returns nil. Only one Run at a time; another returns an error.
func (e *Export) Run(ctx context.Context) error {
	if !e.readers.open() {
		return errors.New("metrics: Export.Run is already running; call it once")
	}
	defer e.readers.close()
	tick := time.NewTicker(streamPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			e.tick(now)
		}
	}
}

// tick encodes a frame, once for all, if anybody reads.
func (e *Export) tick(now time.Time) {
	if e.readers.none() {
		e.source.Status()
		e.recorder.turn(now)
		return
	}
	e.readers.send(e.frame(now))
}

// frame returns a Report as a server-sent event.
func (e *Export) frame(now time.Time) []byte {
	return slices.Concat([]byte("data: "), encode(e.report(now)), []byte("\n\n"))
}

// Stream serves a Report at once and then one a second, as server-sent events whose data is what
// JSON serves. At most 32 clients read at a time, and only while Run runs; further ones get 503.
// A client that reads slowly gets the newest Report when it is ready for one, and holds up nobody
// else; one that takes nothing for five seconds is cut off. The Shutdown of an http.Server waits
// for streams: let Run end first.
func (e *Export) Stream() http.Handler {
	return readOnly(func(w http.ResponseWriter, r *http.Request) {
		frames, ok := e.readers.join()
		if !ok {
			w.Header().Set("Retry-After", "5")
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
		defer e.readers.leave(frames)
		w.Header().Set("Content-Type", "text/event-stream")
		if r.ProtoMajor == 1 {
			// The deadline of the last write stays with the connection.
			w.Header().Set("Connection", "close")
		}
		if r.Method == http.MethodHead {
			return
		}
		_ = pass(r.Context(), w, e.frame(time.Now()), frames)
	})
}

// pass writes frames, beginning with the first, until there are no more, ctx is done or w fails.
func pass(ctx context.Context, w http.ResponseWriter, first []byte, frames <-chan []byte) error {
	control := http.NewResponseController(w)
	for frame, ok := first, true; ok; {
		err := control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(frame); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
		select {
		case frame, ok = <-frames:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// readers are those of a stream. Each has a channel with room for the newest frame. The zero
// value is closed.
type readers struct {
	mu      sync.Mutex
	opened  bool                     // guarded by mu
	waiting map[chan []byte]struct{} // guarded by mu
}

// open lets readers in, or reports that it has done so already.
func (rs *readers) open() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.opened {
		return false
	}
	rs.opened, rs.waiting = true, make(map[chan []byte]struct{})
	return true
}

// close ends all streams.
func (rs *readers) close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for frames := range rs.waiting {
		close(frames)
	}
	rs.opened, rs.waiting = false, nil
}

func (rs *readers) none() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.waiting) == 0
}

// join returns where a new reader gets its frames, or false if there are too many.
func (rs *readers) join() (chan []byte, bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !rs.opened || len(rs.waiting) == maxReaders {
		return nil, false
	}
	frames := make(chan []byte, 1)
	rs.waiting[frames] = struct{}{}
	return frames, true
}

func (rs *readers) leave(frames chan []byte) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.waiting, frames)
}

// send gives every reader the frame, in place of one that it has not taken. It never waits: only
// it sends, and the lock lets one send at a time.
func (rs *readers) send(frame []byte) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for frames := range rs.waiting {
		select {
		case <-frames:
		default:
		}
		frames <- frame
	}
}
