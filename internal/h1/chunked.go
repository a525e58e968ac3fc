package h1

import "bytes"

// Bounds of what surrounds the data of a chunked body.
const (
	maxDigits    = 16
	maxExtension = 256
	maxSizeLine  = maxDigits + maxExtension + len("\r\n")
	maxOverhead  = 16 << 10 // extensions of all chunks together
)

// phase is what a chunked body goes on with.
type phase uint8

const (
	atSize phase = iota
	inData
	afterData
	inTrailer
	ended
)

// Chunked takes a chunked body apart where it lies. The zero value is at a body's beginning.
type Chunked struct {
	phase    phase
	left     int64 // of the chunk's data
	overhead int   // bytes of extensions so far
	trailing int   // bytes of trailers so far
	lines    int   // of trailers so far
	fields   []Field
}

// Reset makes c ready for another body. What [Chunked.Trailer] returned must not be used any more.
func (c *Chunked) Reset() { *c = Chunked{fields: c.fields[:0]} }

// Decode takes the next piece of the body out of buf. data is a part of buf and may be empty; n
// says how much of buf was used up, data included, and the next call begins after that. done says
// that the last chunk and the trailers are behind. If n is 0 without done and error, more bytes
// are needed: call again with these and more. A line of the trailers must fit into buf, so when
// buf cannot grow any more the body is to be given up. Bytes that stand before an error are
// returned first.
//
// The error is [ErrTooLarge] or an [*Error], and comes again with every further call.
func (c *Chunked) Decode(buf []byte) (data []byte, n int, done bool, err error) {
	for c.phase != ended { // every turn uses bytes up, or returns
		if c.phase == inData {
			if data != nil || n == len(buf) {
				return data, n, false, nil
			}
			size := min(c.left, int64(len(buf)-n))
			data = buf[n : n+int(size) : n+int(size)]
			n += int(size)
			if c.left -= size; c.left == 0 {
				c.phase = afterData
			}
			continue
		}
		used, err := c.control(buf[n:])
		if err != nil && n == 0 {
			return nil, 0, false, err
		}
		if used == 0 || err != nil {
			return data, n, false, nil
		}
		n += used
	}
	return data, n, true, nil
}

// Trailer returns the fields after the body, once Decode has said done. They are valid until
// Reset. Fields that must not trail (RFC 9110 section 6.5.1) are left out.
func (c *Chunked) Trailer() []Field { return c.fields }

// control reads the line between two pieces of data that b begins with. It returns its length, or 0
// if it is not whole yet; nothing has changed then, nor after an error.
func (c *Chunked) control(b []byte) (int, error) {
	switch c.phase {
	case afterData:
		return c.dataEnd(b)
	case inTrailer:
		return c.trailerLine(b)
	}
	return c.sizeLine(b)
}

func (c *Chunked) dataEnd(b []byte) (int, error) {
	const crlf = "\r\n"
	got := b[:min(len(b), len(crlf))]
	if string(got) != crlf[:len(got)] {
		return 0, malformed("a chunk's data is not followed by CRLF")
	}
	if len(got) < len(crlf) {
		return 0, nil
	}
	c.phase = atSize
	return len(crlf), nil
}

// sizeLine reads a chunk's size and its extensions, which are dropped. Spaces and tabs may stand
// before the CRLF, as some backends pad the size.
func (c *Chunked) sizeLine(b []byte) (int, error) {
	end := bytes.IndexByte(b[:min(len(b), maxSizeLine)], '\n')
	if end < 0 {
		if len(b) >= maxSizeLine {
			return 0, malformed("a chunk's size line is too long")
		}
		return 0, nil
	}
	if end < 1 || b[end-1] != '\r' {
		return 0, malformed("a chunk's size line does not end with CRLF")
	}
	size, digits, ok := parseSize(b[:end-1])
	if !ok {
		return 0, malformed("a chunk's size is not a number")
	}
	extension := b[digits : end-1]
	if len(extension) > maxExtension || c.overhead+len(extension) > maxOverhead {
		return 0, malformed("chunk extensions are too long")
	}
	if !validValue(extension) || len(trim(extension)) > 0 && extension[0] != ';' {
		return 0, malformed("a chunk's size is followed by something else")
	}
	c.overhead += len(extension)
	c.left, c.phase = size, inData
	if size == 0 {
		c.phase = inTrailer
	}
	return end + 1, nil
}

// parseSize reads the hexadecimal digits that b begins with.
func parseSize(b []byte) (size int64, digits int, ok bool) {
	for ; digits < len(b); digits++ {
		var d byte
		switch c := b[digits]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		default:
			return size, digits, digits > 0
		}
		if digits == maxDigits || size >= 1<<59 {
			return 0, 0, false
		}
		size = size<<4 | int64(d)
	}
	return size, digits, digits > 0
}

func (c *Chunked) trailerLine(b []byte) (int, error) {
	room := defaultBytes - c.trailing
	end := bytes.IndexByte(b[:min(len(b), room)], '\n')
	switch {
	case end < 0 && len(b) >= room:
		return 0, ErrTooLarge
	case end < 0:
		return 0, nil
	case end == 1 && b[0] == '\r':
		c.phase = ended
		return 2, nil
	case c.lines == defaultFields:
		return 0, ErrTooLarge
	}
	l, err := parseLine(b[:end+1])
	if err != nil {
		return 0, err
	}
	c.trailing += end + 1
	c.lines++
	if mayTrail(l.key) {
		c.fields = append(c.fields, Field{Key: l.key, Value: l.value})
	}
	return end + 1, nil
}
