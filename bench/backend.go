package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// backends is how many backends every proxy has.
const backends = 3

// block is what long answers are made of.
var block = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

// listenBackends opens the backends' ports and serves them until the process ends. They share a
// process, because they are not what is measured, and switching between processes costs time on
// the core that they share with the clients.
func listenBackends() (addrs []string, err error) {
	for range backends {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, listener.Addr().String())
		go acceptAll(listener)
	}
	return addrs, nil
}

// accepted counts the connections that backends of this process have accepted.
var accepted atomic.Int64

func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		accepted.Add(1)
		go answerAll(conn)
	}
}

// answerAll answers the requests of one connection. The path is the length of the answer; what
// is uploaded is swallowed; an upgrade is followed by an echo.
func answerAll(conn net.Conn) {
	defer conn.Close()
	in := newWire(conn, 64<<10)
	var out []byte
	for {
		head, err := in.head()
		if err != nil {
			return
		}
		if key := field(head, "Sec-WebSocket-Key"); key != nil {
			echo(conn, in, key)
			return
		}
		length, ok := wanted(head)
		if !ok {
			fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if _, err := in.body(head, false); err != nil {
			return
		}
		if out, err = answer(conn, out[:0], length); err != nil {
			return
		}
	}
}

// wanted returns the length that a request's path asks for.
func wanted(head []byte) (int64, bool) {
	_, rest, _ := bytes.Cut(head, []byte(" /"))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	length, err := strconv.ParseInt(string(path), 10, 64)
	return length, err == nil && length >= 0
}

// answer writes a head and length bytes: a short answer in one call, a long one without copying.
// It returns the buffer that it used, for the next answer.
func answer(conn io.Writer, out []byte, length int64) ([]byte, error) {
	out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: "...)
	out = strconv.AppendInt(out, length, 10)
	out = append(out, "\r\n\r\n"...)
	if length <= 64<<10 {
		out = append(out, block[:length]...)
		_, err := conn.Write(out)
		return out, err
	}
	pieces := net.Buffers{out}
	for left := length; left > 0; left -= min(left, int64(len(block))) {
		pieces = append(pieces, block[:min(left, int64(len(block)))])
	}
	_, err := pieces.WriteTo(conn)
	return out, err
}

// accept is a WebSocket server's answer to a client's key (RFC 6455, section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(strings.TrimSpace(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echo accepts an upgrade to WebSocket and sends each message back. It knows frames of up to
// 64 KiB in one piece, which is all that the clients here send.
func echo(conn net.Conn, in *wire, key []byte) {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(string(key)))
	var out []byte
	for err == nil {
		var frame []byte
		if frame, err = in.frame(true); err != nil {
			return
		}
		out = appendFrame(out[:0], frame, nil)
		_, err = conn.Write(out)
	}
}

// frame reads one binary frame and returns its payload, unmasked, valid until the next call.
func (c *wire) frame(masked bool) ([]byte, error) {
	start, size := 2, 0
	for size == 0 || c.w-c.r < size {
		if got := c.buf[c.r:c.w]; size == 0 && len(got) >= 4 {
			size = int(got[1] & 0x7f)
			if size > 126 || got[0] != 0x82 || masked != (got[1]&0x80 != 0) {
				return nil, fmt.Errorf("frame that starts with % x", got[:2])
			}
			if size == 126 {
				start, size = 4, int(binary.BigEndian.Uint16(got[2:]))
			}
			if masked {
				start += 4
			}
			size += start
			continue
		}
		if err := c.fill(); err != nil {
			return nil, broken(err)
		}
	}
	frame := c.buf[c.r : c.r+size]
	c.r += size
	if masked {
		for i := range frame[start:] {
			frame[start+i] ^= frame[start-4+i%4]
		}
	}
	return frame[start:], nil
}

// appendFrame appends one binary frame of at most 64 KiB, masked if there is a mask.
func appendFrame(dst, payload, mask []byte) []byte {
	bit := byte(0)
	if mask != nil {
		bit = 0x80
	}
	dst = append(dst, 0x82)
	if len(payload) < 126 {
		dst = append(dst, bit|byte(len(payload)))
	} else {
		dst = append(dst, bit|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)))
	}
	dst = append(dst, mask...)
	for i, b := range payload {
		if mask != nil {
			b ^= mask[i%4]
		}
		dst = append(dst, b)
	}
	return dst
}
