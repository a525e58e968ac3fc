package transport

import (
	"io"
	"net"
	"sync"
)

// tunnel is a response's body after a 101.
type tunnel struct {
	net.Conn
	x    *Exchange
	once sync.Once

	mu       sync.Mutex
	buffered []byte
}

func newTunnel(x *Exchange) *tunnel {
	tn := &tunnel{x: x}
	tn.Conn, tn.buffered = x.Tunnel()
	return tn
}

// Read returns what was read along with the head, and then the connection's bytes.
func (tn *tunnel) Read(p []byte) (int, error) {
	tn.mu.Lock()
	n := copy(p, tn.buffered)
	tn.buffered = tn.buffered[n:]
	tn.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return tn.Conn.Read(p)
}

// WriteTo lets the kernel move what comes, where it can.
func (tn *tunnel) WriteTo(w io.Writer) (int64, error) {
	tn.mu.Lock()
	first := tn.buffered
	tn.buffered = nil
	tn.mu.Unlock()
	var n int64
	if len(first) > 0 {
		m, err := w.Write(first)
		if n = int64(m); err != nil {
			return n, err
		}
	}
	m, err := io.Copy(w, tn.Conn)
	return n + m, err
}

// ReadFrom lets the kernel move what goes, where it can.
func (tn *tunnel) ReadFrom(r io.Reader) (int64, error) { return io.Copy(tn.Conn, r) }

// CloseWrite tells the backend that nothing follows.
func (tn *tunnel) CloseWrite() error {
	if half, ok := tn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection.
func (tn *tunnel) Close() error {
	err := tn.Conn.Close()
	tn.once.Do(tn.x.Close)
	return err
}
