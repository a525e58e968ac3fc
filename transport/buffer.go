package transport

import "sync"

const (
	headSize = 4 << 10  // a connection's buffer while a request is under way
	copySize = 63 << 10 // bodies; one segment of the loopback interface, of which 64 KiB would be two
)

// buffers are lent while a request is under way.
type buffers struct{ head, copy sync.Pool }

// get returns a buffer of at least size bytes.
func (b *buffers) get(size int) *[]byte {
	from, size := b.class(size)
	if from != nil {
		if buf, ok := from.Get().(*[]byte); ok {
			return buf
		}
	}
	buf := make([]byte, size)
	return &buf
}

// put takes a buffer back.
func (b *buffers) put(buf *[]byte) {
	if from, size := b.class(len(*buf)); from != nil && size == len(*buf) {
		from.Put(buf)
	}
}

func (b *buffers) class(size int) (*sync.Pool, int) {
	switch {
	case size <= headSize:
		return &b.head, headSize
	case size <= copySize:
		return &b.copy, copySize
	}
	return nil, size
}
