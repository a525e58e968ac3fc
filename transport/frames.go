package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
)

// Kinds and flags of HTTP/2's frames, a setting and a size: RFC 9113, sections 3.4, 4.1, 6 and 6.5.2.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameWindow, frameContinuation = 0, 1, 3, 4, 8, 9

	flagEnd, flagAck      = 1, 1
	settingWindow         = 4
	initialWindow         = 65535
	frameHead             = 9
	lengthOfPreface       = 24
	lengthOfSetting       = 6
	maxEmptyInARow        = 10_000 // frames of a backend that carry nothing, while nothing else passes
	perUnknown            = 500    // a frame of an unknown kind counts as so many more
	maxWindow             = math.MaxInt32
	streamMask            = math.MaxInt32
	endedHere, endedThere = 1, 2
)

var errFlood = fmt.Errorf("http2: more than %d frames in a row that carry nothing", maxEmptyInARow)
var errWindow = errors.New("http2: a stream's window grew too large")

// frames watches an HTTP/2 connection to a backend for what net/http's client does not bear: it
// locks itself up for ever, with all that share its connections, when a stream's window
// overflows, and it answers pings and the like without end.
type frames struct {
	net.Conn
	in, out parser

	mu      sync.Mutex
	window  int64              // that streams begin with
	streams map[uint32]*credit // that are open
	empty   int                // frames without content since the last with
}

// credit is what is known of a stream.
type credit struct {
	more  int64 // its window, less what it began with
	ended uint8 // by which side
}

func watchFrames(c net.Conn) *frames {
	f := &frames{Conn: c, window: initialWindow, streams: make(map[uint32]*credit)}
	f.in.seen = f.received
	f.out.seen = f.sent
	f.out.skip = lengthOfPreface
	return f
}

// Read is net.Conn's. What comes behind a frame that is refused is not given to anybody.
func (f *frames) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if refused := f.in.parse(p[:n]); refused != nil {
		return 0, refused
	}
	return n, err
}

// Write is net.Conn's. What it writes counts from before it is written: the backend may answer it at once.
func (f *frames) Write(p []byte) (int, error) {
	if err := f.out.parse(p); err != nil {
		return 0, err
	}
	return f.Conn.Write(p)
}

// received is called for a frame of the backend: once with part nil, and for SETTINGS and
// WINDOW_UPDATE with each part of its payload.
func (f *frames) received(h header, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case part == nil:
		f.endLocked(h, endedThere)
		return f.countLocked(h)
	case h.kind == frameSettings && h.flags&flagAck == 0:
		if binary.BigEndian.Uint16(part) == settingWindow {
			f.window = int64(binary.BigEndian.Uint32(part[2:]))
		}
	case h.kind == frameWindow:
		s := f.streams[h.stream]
		if s == nil {
			return nil
		}
		if s.more += int64(binary.BigEndian.Uint32(part) & streamMask); f.window+s.more > maxWindow {
			return errWindow
		}
	}
	return nil
}

// countLocked bounds the frames that carry nothing.
func (f *frames) countLocked(h header) error {
	if h.length > 0 && (h.kind == frameData || h.kind == frameHeaders || h.kind == frameContinuation) {
		f.empty = 0
		return nil
	}
	f.empty++
	if h.kind > frameContinuation {
		f.empty += perUnknown // net/http logs each
	}
	if f.empty > maxEmptyInARow {
		return errFlood
	}
	return nil
}

// sent is called for a frame of ours.
func (f *frames) sent(h header, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if part != nil {
		return nil
	}
	switch h.kind {
	case frameHeaders:
		f.empty = 0
		if f.streams[h.stream] == nil {
			f.streams[h.stream] = new(credit)
		}
	case frameData:
		f.empty = 0
		if s := f.streams[h.stream]; s != nil {
			s.more -= int64(h.length)
		}
	}
	f.endLocked(h, endedHere)
	return nil
}

// endLocked forgets a stream that both sides have ended, or one has reset.
func (f *frames) endLocked(h header, side uint8) {
	s := f.streams[h.stream]
	if s == nil {
		return
	}
	if (h.kind == frameData || h.kind == frameHeaders) && h.flags&flagEnd != 0 {
		s.ended |= side
	}
	if h.kind == frameReset || s.ended == endedHere|endedThere {
		delete(f.streams, h.stream)
	}
}

// header is a frame's.
type header struct {
	length      uint32
	kind, flags byte
	stream      uint32
}

// parser finds the frames in what passes in one direction. It is not for several goroutines.
type parser struct {
	seen func(h header, part []byte) error
	skip uint32 // bytes that are of no interest
	part uint32 // how long the next part of the payload is; zero: a header comes
	left uint32 // of the payload, from that part on
	h    header
	buf  [frameHead]byte
	n    uint32 // of buf
}

// parse takes the next bytes.
func (p *parser) parse(b []byte) error {
	for len(b) > 0 {
		if p.skip > 0 {
			n := min(p.skip, uint32(len(b)))
			p.skip, b = p.skip-n, b[n:]
			continue
		}
		want := p.part
		if want == 0 {
			want = frameHead
		}
		n := uint32(copy(p.buf[p.n:want], b))
		p.n, b = p.n+n, b[n:]
		if p.n < want {
			return nil
		}
		p.n = 0
		if err := p.take(want); err != nil {
			return err
		}
	}
	return nil
}

// take deals with what is in buf: a header, or a part of a payload.
func (p *parser) take(size uint32) error {
	if p.part > 0 {
		if err := p.seen(p.h, p.buf[:size]); err != nil {
			return err
		}
		p.left -= size
	} else {
		first := binary.BigEndian.Uint32(p.buf[:])
		p.h = header{first >> 8, byte(first), p.buf[4], binary.BigEndian.Uint32(p.buf[5:]) & streamMask}
		if err := p.seen(p.h, nil); err != nil {
			return err
		}
		p.left = p.h.length
	}
	p.part = 0
	switch {
	case p.h.kind == frameSettings && p.left >= lengthOfSetting:
		p.part = lengthOfSetting
	case p.h.kind == frameWindow && p.left >= 4:
		p.part = 4
	default:
		p.skip = p.left
	}
	return nil
}
