package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

var answers = []struct {
	text   string
	length int64
}{
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5},
	{"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length:   0 \r\n\r\n", 0},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 15},
	{"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40_000), 40_000},
}

// Messages are told apart however their bytes arrive, and the next one begins where the last ends.
func TestWireReadsOneAfterAnother(t *testing.T) {
	var all string
	for range 3 {
		for _, a := range answers {
			all += a.text
		}
	}
	for name, from := range map[string]io.Reader{
		"at once": strings.NewReader(all), "in single bytes": iotest.OneByteReader(strings.NewReader(all)), "in halves": iotest.HalfReader(strings.NewReader(all)),
	} {
		in := newWire(from, 0)
		for i := range 3 * len(answers) {
			want := answers[i%len(answers)]
			head, err := in.head()
			if err != nil || status(head) != http.StatusOK {
				t.Fatalf("%s: head %d: %q, %v", name, i, head, err)
			}
			if n, err := in.body(head, true); n != want.length || err != nil {
				t.Fatalf("%s: body %d: %d bytes, %v", name, i, n, err)
			}
		}
		if _, err := in.head(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// A message that is cut anywhere is an error, and never a short message.
func TestWireNoticesEveryCut(t *testing.T) {
	for _, a := range answers {
		for cut := 1; cut < len(a.text); cut++ {
			in := newWire(strings.NewReader(a.text[:cut]), 0)
			head, err := in.head()
			if err == nil {
				_, err = in.body(head, true)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d bytes of %.60q: %v", cut, a.text, err)
			}
		}
	}
}

func TestWireRefuses(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
	} {
		in := newWire(strings.NewReader(text), 0)
		head, err := in.head()
		if err == nil {
			_, err = in.body(head, true)
		}
		if err == nil {
			t.Errorf("accepted %.80q", text)
		}
	}
}

// Whatever arrives, reading ends, with no more bytes counted than there were.
func FuzzWire(f *testing.F) {
	for _, a := range answers[:3] {
		f.Add([]byte(a.text), false)
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"), true)
	f.Add([]byte("\x82\x83\x01\x02\x03\x04abc"), true)
	f.Fuzz(func(t *testing.T, text []byte, frames bool) {
		in := newWire(bytes.NewReader(text), 0)
		var total int64
		for range len(text) + 1 {
			if frames {
				payload, err := in.frame(true)
				if err != nil {
					return
				}
				total += int64(len(payload))
				continue
			}
			head, err := in.head()
			if err != nil {
				return
			}
			n, err := in.body(head, false)
			if err != nil {
				return
			}
			if total += n; total > int64(len(text)) {
				t.Fatalf("%d bytes of body in %d bytes", total, len(text))
			}
		}
	})
}

// Frames come back as they were, of every length, masked and not, and back to back.
func TestFrames(t *testing.T) {
	var stream []byte
	lengths := []int{2, 4, 124, 125, 126, 127, 128, 4096, 16_000}
	for _, n := range lengths {
		stream = appendFrame(stream, block[:n], []byte{9, 8, 7, 6})
	}
	in := newWire(iotest.HalfReader(bytes.NewReader(stream)), 64<<10)
	for _, n := range lengths {
		if got, err := in.frame(true); err != nil || !bytes.Equal(got, block[:n]) {
			t.Fatalf("frame of %d: %d bytes, %v", n, len(got), err)
		}
	}
	in = newWire(bytes.NewReader(appendFrame(nil, block[:10], nil)), 0)
	if _, err := in.frame(true); err == nil {
		t.Error("a frame that has no mask was taken for one that has")
	}
	if got := accept(socketKey); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept: %q is not what RFC 6455 says", got)
	}
}

// What a scenario sends is what net/http understands.
func TestRequests(t *testing.T) {
	for _, s := range scenarios() {
		in := newWire(bytes.NewReader(s.request([]byte("a=b"))), 0)
		head, err := in.head()
		if err != nil {
			t.Fatal(err)
		}
		head = bytes.Clone(head)
		if n, err := in.body(head, false); n != int64(s.upload) || err != nil {
			t.Errorf("%s: body of %d, %v", s.name, n, err)
		}
		if n, ok := wanted(head); n != s.answer || !ok {
			t.Errorf("%s: asks for %d", s.name, n)
		}
		if string(field(head, "cookie")) != "a=b" {
			t.Errorf("%s: cookie in %q", s.name, head)
		}
	}
}
